"""A day in three minutes: requests, writes, webhooks, clients that leave, and a Redis that restarts. `make soak`."""
