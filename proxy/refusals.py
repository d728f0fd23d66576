"""What is refused of a client's connection or request before anybody looks for an answer: a table, and the exception.

Each has a status, a reason and a line of its own, and none repeats what the client sent.
"""

from enum import Enum

from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from policies.model import Why
from proxy import answers
from proxy.answers import Whole

_SOON = 1.0


class Refusal(Enum):
    """What is refused: status, reason, and the line that tells the client."""

    NOT_HTTP = 400, Why.BAD_REQUEST, "the request is not HTTP as it should be"
    FRAMING = 400, Why.BAD_REQUEST, "the request's body can be read in two ways"
    HOST = 400, Why.BAD_REQUEST, "the Host header is not the name of a host"
    TARGET = 400, Why.BAD_REQUEST, "the request target is not a path"
    BROKEN_BODY = 400, Why.BAD_REQUEST, "the request's body broke off or is not chunked as it says"
    SLOW_HEADER = 408, Why.SLOW_CLIENT, "the request's headers took too long to arrive"
    SLOW_BODY = 408, Why.SLOW_CLIENT, "the request's body took too long to arrive"
    BODY_TOO_LARGE = 413, Why.BODY_TOO_LARGE, "the request's body is larger than this proxy takes"
    EXPECTATION = 417, Why.EXPECTATION, "this proxy meets no expectation but 100-continue"
    ADDRESS_FULL = 429, Why.CONNECTION_LIMIT, "this address holds as many connections as it may"
    HEADER_TOO_LARGE = 431, Why.HEADER_TOO_LARGE, "the request's line and headers are larger than this proxy takes"
    INTERNAL = 500, Why.INTERNAL_ERROR, "this proxy failed; its log says where"
    TUNNEL = 501, Why.UPGRADE_REFUSED, "what is no HTTP does not go through this proxy"
    WEBSOCKET = 501, Why.UPGRADE_REFUSED, "WebSocket does not go through this proxy; connect to Jira itself"
    FULL = 503, Why.CONNECTION_LIMIT, "this proxy holds as many connections as it may"
    VERSION = 505, Why.HTTP_VERSION, "this proxy speaks HTTP/1.1 and HTTP/1.0"

    def __init__(self, status: int, why: Why, line: str) -> None:
        self.status = status
        self.why = why
        self.line = line

    def answer(self) -> Whole:
        """Say so in the shape of Jira's errors."""
        return answers.error(self.status, self.line, self.why, _SOON if self.why is Why.CONNECTION_LIMIT else None)


class RefusedError(HttpProcessingError):
    """A client's request cannot be taken. aiohttp's protocol turns its base class into an answer wherever it parses."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(code=refusal.status, message=refusal.line)
        self.refusal = refusal


def refusal_of(error: BaseException | None) -> Refusal:
    """Name what is refused by an error of aiohttp's parser or of ours; anything else is a failure of the proxy."""
    match error:
        case RefusedError(refusal=refusal):
            return refusal
        case LineTooLong():
            return Refusal.HEADER_TOO_LARGE
        case HttpProcessingError():
            return Refusal.NOT_HTTP
        case _:
            return Refusal.INTERNAL
