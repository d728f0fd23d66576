"""Jira's registrations of webhooks: the APIs that Cloud and Data Center have for them, and how ours is kept in them."""
