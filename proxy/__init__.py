"""The machinery: sockets, Redis, upstream, command line. It asks policies/ what to do and does it."""
