"""Where an answer of Jira's begins and ends: aiohttp's parser, and what it lets pass that we must not.

aiohttp forgives servers much: bare line feeds, folded lines, control characters, codings nobody asked for. Two readers
may see other ends in that, and what follows an end would be taken for the answer to somebody else's question.

Most answers are small, tell their length and come whole. Such a one is taken as it stands: a parser, a stream and an
alarm for each would cost more than all that is left to do then.
"""

import asyncio
import re
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from aiohttp.http_exceptions import HttpProcessingError

MOST_INTERIM = 20
"""Answers that only announce the answer (1xx) which a request may have."""

LARGEST_HEAD = 256 * 1024
"""Bytes that the status line and headers of an answer may weigh together."""

_BEGINNING, _END = b"HTTP/1.", b"\r\n\r\n"
_VISIBLE = rb"[\t\x20-\x7e\x80-\xff]*"
_HEAD = re.compile(
    rb"HTTP/1\.(?P<minor>[01]) (?P<status>[1-5][0-9]{2})(?: " + _VISIBLE + rb")?\r\n"
    rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]+:" + _VISIBLE + rb"\r\n)*\r\n"
)
_BARE_FEED = re.compile(rb"(?<!\r)\n")
_VALUE = rb":[\t ]*(.*?)[\t ]*\r$"
_CODINGS = re.compile(rb"^transfer-encoding" + _VALUE, re.IGNORECASE | re.MULTILINE)
_LENGTHS = re.compile(rb"^content-length" + _VALUE, re.IGNORECASE | re.MULTILINE)
_LENGTH = re.compile(rb"[0-9]{1,9}")
_SWITCHING = 101
# Where one of these is said there is more to the end of an answer than its length.
_NOT_PLAIN = re.compile(rb"\A.{7}0|\r\ntransfer-encoding:|connection", re.IGNORECASE)


class Complete(NamedTuple):
    """An answer that came whole, in one piece."""

    status: int
    pairs: list[tuple[str, str]]
    body: bytes


class Replies(ResponseHandler):
    """A connection to Jira. aiohttp hears of an answer when its head has come whole and is as it should be."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._awaited = False  # a request was sent, and its answer has not come whole
        self._head: bytearray | None = None  # of that answer, until it has come whole
        self._interim = 0
        self._takes_complete = False
        self._params: dict[str, Any] = {}

    def set_response_params(self, *, takes_complete: bool = False, **params: Any) -> None:
        """Await an answer. Who `takes_complete` may read a Complete in the place of aiohttp's message and its payload.

        aiohttp itself calls this before it asks an outbound proxy for a tunnel.
        """
        self._awaited, self._head, self._interim = True, bytearray(), 0
        self._takes_complete, self._params = takes_complete and not params.get("skip_payload"), params
        self.read_timeout = params.get("read_timeout")

    def data_received(self, data: bytes) -> None:
        if not self._awaited:
            if data:
                self._hang_up()
            return
        if self._head is not None:
            try:
                data = self._after_checks(self._head, data)
            except HttpProcessingError as error:
                self._fail(error)
                return
            if not data:
                return
            if self._takes_complete and (complete := completed(data)) is not None:
                self._awaited = False
                self._drop_timeout()
                self.feed_data(complete)  # type: ignore[arg-type] # for who takes it
                return
            super().set_response_params(**self._params)
        super().data_received(data)
        if self._payload is not None and self._payload.is_eof():
            self._awaited = False

    def _hang_up(self) -> None:
        """Close a connection on which Jira says what nobody asked: the next request would take it for its answer."""
        self.force_close()
        if self.transport is not None:
            self.transport.close()

    def _after_checks(self, head: bytearray, data: bytes) -> bytes:
        """Return the answer from its beginning when its head is whole, nothing before. Raises HttpProcessingError."""
        head += data
        while 0 <= (end := head.find(_END)) < LARGEST_HEAD:
            if not self._is_interim(bytes(head[: end + len(_END)])):
                self._head = None
                return bytes(head)
            del head[: end + len(_END)]
        if not _BEGINNING.startswith(head[: len(_BEGINNING)]) or _BARE_FEED.search(head) or len(head) > LARGEST_HEAD:
            raise HttpProcessingError(message="this is no head of an answer")
        return b""

    def _is_interim(self, head: bytes) -> bool:
        status = checked(head)
        if status >= 200:  # noqa: PLR2004 - what begins with 1 is said before the answer
            return False
        self._interim += 1
        if status == _SWITCHING or self._interim > MOST_INTERIM:
            raise HttpProcessingError(message="protocols are not switched, nor answers announced for ever")
        return True

    def _fail(self, error: HttpProcessingError) -> None:
        self._awaited = False
        self._hang_up()
        self.set_exception(error)


def checked(head: bytes) -> int:
    """Read the status of an answer's head. Raises HttpProcessingError for one that can be read in two ways."""
    match = _HEAD.fullmatch(head)
    if match is None:
        raise HttpProcessingError(message="a line of the head is not as it should be")
    codings = [coding.lower() for coding in _CODINGS.findall(head)] if b"transfer-encoding" in head.lower() else []
    # No other coding was asked for, and HTTP/1.0 knows none (RFC 9112 section 6.1).
    if codings and (codings != [b"chunked"] or match["minor"] == b"0"):
        raise HttpProcessingError(message="the body is coded in a way that was not asked for")
    return int(match["status"])


def completed(data: bytes) -> Complete | None:
    """Read an answer whose head was checked, if it is plain where it ends, and that is where the data end."""
    end = data.index(_END)
    head, body = data[: end + 2], data[end + len(_END) :]
    lengths, status = _LENGTHS.findall(head), int(head[9:12])
    if len(lengths) != 1 or status in EMPTY_BODY_STATUS_CODES or _NOT_PLAIN.search(head):
        return None
    if not _LENGTH.fullmatch(lengths[0]) or int(lengths[0]) != len(body):
        return None
    lines = head.decode("utf-8", "surrogateescape").split("\r\n")[1:-1]
    pairs = [(name, value.strip(" \t")) for name, _, value in (line.partition(":") for line in lines)]
    return Complete(status, pairs, body)


class Connector(aiohttp.TCPConnector):
    """Makes such connections."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._factory: Callable[[], Replies] = partial(Replies, self._loop)  # type: ignore[assignment] # made alike
