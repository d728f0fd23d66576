"""`python -m proxy` is `jira-cache`."""

from proxy.cli import main

main()
