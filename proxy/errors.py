"""The three errors of the machinery; library exceptions become one of them once, at the edge.

The fourth, PolicyError, belongs to the law (policies.rulebook).
"""


class ConfigError(Exception):
    """The configuration cannot be used. The message names the file, the key and what is wrong, in one line."""


class StoreError(Exception):
    """The store could not do what was asked of it. Never reaches a client: the request goes to Jira instead."""


class UpstreamError(Exception):
    """Jira could not be asked, or broke off. `sent` tells whether Jira may have seen the request."""

    def __init__(self, message: str, *, timeout: bool = False, sent: bool = True) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.sent = sent
