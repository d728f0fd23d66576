"""The three errors of the machinery; library exceptions become one of them once, at the edge.

The fourth, PolicyError, belongs to the law (policies.rulebook).
"""

from policies.model import Why


class ConfigError(Exception):
    """The configuration cannot be used. The message names the file, the key and what is wrong, in one line."""


class StoreError(Exception):
    """The store could not do what was asked of it. Never reaches a client: the request goes to Jira instead."""


class StoreFullError(StoreError):
    """The store has no room left. What it has it still answers."""


class UpstreamError(Exception):
    """Jira could not be asked, or broke off. `sent` tells whether Jira may have seen the request."""

    retry_after: float | None = None

    def __init__(self, message: str, *, timeout: bool = False, sent: bool = True) -> None:
        super().__init__(message)
        self.timeout = timeout
        self.sent = sent
        self.why = Why.TIMEOUT if timeout else Why.UNREACHABLE


class NotAsked(UpstreamError):  # noqa: N818 - it says what happened
    """Jira was left alone, because it wants to be or because it has failed. `retry_after` is in seconds."""

    def __init__(self, message: str, why: Why, retry_after: float) -> None:
        super().__init__(message, sent=False)
        self.why = why
        self.retry_after = retry_after
