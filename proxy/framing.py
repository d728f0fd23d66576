"""Where one request of a client ends and the next begins: aiohttp's parser, and what it lets pass that we must not.

Whoever stands before us may see other ends than we do, and then one client's bytes become part of another's request. So
all that can be read in two ways is refused, and nothing is read any more from a connection that has sent it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from aiohttp import HttpVersion10, HttpVersion11, StreamReader
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError

from proxy.addresses import is_host
from proxy.refusals import Refusal, RefusedError

Message = tuple[RawRequestMessage, StreamReader]
Parsed = tuple[Sequence[Message], bool, bytes]

MOST_PIPELINED = 32
"""Requests that aiohttp's parser takes in before it waits for one to be answered (MAX_MSG_QUEUE_SIZE)."""

_NOTHING: Parsed = ((), False, b"")
# What a chunked body ends with that has no trailers: no other line of its end is a bare 0.
_PLAIN_END = b"\r\n0\r\n\r\n"
HEAD_END = b"\r\n\r\n"
_VERSIONS = frozenset({HttpVersion10, HttpVersion11})


class Parser(Protocol):
    """aiohttp's parser of requests, as its connections use it."""

    def feed_data(self, data: bytes) -> Parsed: ...
    def pause_reading(self) -> None: ...
    def message_consumed(self) -> None: ...
    def set_upgraded(self, upgraded: bool) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a request's line and headers, and its body, may weigh and take: bytes (None: any number) and seconds."""

    header: int
    upload: int | None
    header_seconds: float
    body_seconds: float


class Framing:
    """Reads the requests of one connection.

    `wake` makes the connection read on although nothing came, `finish` lets no request follow those that were read.
    """

    def __init__(
        self,
        parser: Parser,
        bounds: Bounds,
        loop: asyncio.AbstractEventLoop,
        *,
        wake: Callable[[], None],
        finish: Callable[[], None],
    ) -> None:
        self._parser = parser
        self._bounds = bounds
        self._loop = loop
        self._wake = wake
        self._finish = finish
        self._timer: asyncio.TimerHandle | None = None
        self._header = 0  # bytes so far of a header that has not come whole
        self._late = False
        self._over = False
        self._queued = 0
        self._body: StreamReader | None = None  # of the last request, until it has ended
        self._risky = False  # aiohttp may lose its place at the end of that request ...
        self._last = b""  # ... unless these bytes of it are a plain end

    def feed_data(self, data: bytes) -> Parsed:
        """Parse what came. Raises RefusedError, or another HttpProcessingError, for what is not to be taken."""
        if self._over:
            return _NOTHING
        try:
            return self._parse(data)
        except HttpProcessingError as error:
            self._over = True
            self.close()
            if self._body is not None and not self._body.is_eof():
                # aiohttp would leave whoever reads this body waiting for ever.
                self._body.set_exception(RefusedError(Refusal.BROKEN_BODY), error)
            raise

    def _parse(self, data: bytes) -> Parsed:
        if self._late:
            raise RefusedError(Refusal.SLOW_HEADER)
        messages, upgraded, tail = self._parser.feed_data(data)
        if self._risky or len(messages) > 1:
            messages = self._until_doubt(messages, data)
        for message, body in messages:
            self._check(message, len(data))
            self._queued += 1
            self._header = 0
            self._body = body
            if _is_risky(message):
                self._note_risk(message, body, data)
        self._find_place(0 if messages else len(data))
        return messages, upgraded, tail

    def _until_doubt(self, messages: Sequence[Message], data: bytes) -> Sequence[Message]:
        """Drop requests that come right behind a risky one."""
        if self._last:
            self._last = (self._last + data)[-len(_PLAIN_END) :]
        risky = (number for number, (message, _) in enumerate(messages, 1) if _is_risky(message))
        kept = 0 if self._risky else next(risky, len(messages))
        if kept == len(messages):
            return messages
        self._stop()
        return messages[:kept]

    def _check(self, message: RawRequestMessage, came: int) -> None:
        bounds = self._bounds
        if self._header + came > bounds.header and _weight(message) > bounds.header:
            raise RefusedError(Refusal.HEADER_TOO_LARGE)
        if bounds.upload is not None and int(message.headers.get("Content-Length", 0)) > bounds.upload:
            raise RefusedError(Refusal.BODY_TOO_LARGE)
        if not _is_plain(message):
            for refusal, is_found in _FAULTS:
                if is_found(message):
                    raise RefusedError(refusal)

    def _note_risk(self, message: RawRequestMessage, body: StreamReader, data: bytes) -> None:
        self._risky = True
        if message.chunked:
            self._last = data[-len(_PLAIN_END) :]
        elif body.is_eof() and data.find(HEAD_END) == len(data) - len(HEAD_END):
            self._last = _PLAIN_END

    def _find_place(self, came: int) -> None:
        """Tell whether we are in a body, between two requests, or in a header of which so many bytes `came`."""
        if self._body is None:
            self._header += came
            if self._header > self._bounds.header:
                raise RefusedError(Refusal.HEADER_TOO_LARGE)
        elif self._body.is_eof():
            if self._risky and (self._last != _PLAIN_END or self._queued >= MOST_PIPELINED):
                self._stop()
            self._body, self._risky, self._last = None, False, b""
        if self._header or self._timer:
            self._watch()

    def _stop(self) -> None:
        self._over = True
        self._finish()

    def _watch(self) -> None:
        if not self._header:
            self.close()
        elif self._timer is None:
            self._timer = self._loop.call_later(self._bounds.header_seconds, self._too_late)

    def _too_late(self) -> None:
        self._late = True
        self._wake()

    def close(self) -> None:
        """Stop watching the time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def pause_reading(self) -> None:
        self._parser.pause_reading()

    def message_consumed(self) -> None:
        self._queued -= 1
        self._parser.message_consumed()

    def set_upgraded(self, upgraded: bool) -> None:
        self._parser.set_upgraded(upgraded)


def _is_risky(message: RawRequestMessage) -> bool:
    """Tell whether aiohttp may lose its place at a request's end.

    It takes the last trailer of a chunked one for a header of the next request, and loses what came in one piece with
    the end of one that asks for an upgrade.
    """
    return message.chunked or message.upgrade


def _weight(message: RawRequestMessage) -> int:
    """Weigh a request's line and headers as they came: `GET path HTTP/1.1`, `name: value`, and the lines' ends."""
    line = len(message.method) + len(message.path) + 12
    return line + sum(len(name) + len(value) + 4 for name, value in message.raw_headers)


def _is_plain(message: RawRequestMessage) -> bool:
    """Tell whether a request is one of most, of which no fault needs to be looked for."""
    headers = message.headers
    return (
        message.version == HttpVersion11
        and not message.upgrade
        and message.method != "CONNECT"
        and "Transfer-Encoding" not in headers
        and "Expect" not in headers
        and is_host(headers["Host"])  # which aiohttp has seen to be there, once
    )


def _is_of_another_version(message: RawRequestMessage) -> bool:
    return message.version not in _VERSIONS


def _is_coded_otherwise(message: RawRequestMessage) -> bool:
    """Tell of a coding that is not chunked alone: we undo no other, and HTTP/1.0 knows none (RFC 9112 section 6.1)."""
    if "Transfer-Encoding" not in message.headers:
        return False
    said = [value.lower() for value in message.headers.getall("Transfer-Encoding")]
    return said != ["chunked"] or message.version != HttpVersion11


def _is_for_no_host(message: RawRequestMessage) -> bool:
    host = message.headers.get("Host", "")
    return host != "" and not is_host(host)


def _names_no_path(message: RawRequestMessage) -> bool:
    return message.method == "CONNECT"


def _is_websocket(message: RawRequestMessage) -> bool:
    return _upgrades_to(message, "websocket")


def _is_tunnel(message: RawRequestMessage) -> bool:
    return _upgrades_to(message, "tcp")


def _upgrades_to(message: RawRequestMessage, protocol: str) -> bool:
    """Tell of an upgrade that aiohttp gets ready for, and then reads no other request. All others it leaves alone."""
    return message.upgrade and message.headers.get("Upgrade", "").lower() == protocol


def _expects_otherwise(message: RawRequestMessage) -> bool:
    if "Expect" not in message.headers:
        return False
    return [value.lower() for value in message.headers.getall("Expect")] != ["100-continue"]


_FAULTS: tuple[tuple[Refusal, Callable[[RawRequestMessage], bool]], ...] = (
    (Refusal.VERSION, _is_of_another_version),
    (Refusal.FRAMING, _is_coded_otherwise),
    (Refusal.HOST, _is_for_no_host),
    (Refusal.TARGET, _names_no_path),
    (Refusal.WEBSOCKET, _is_websocket),
    (Refusal.TUNNEL, _is_tunnel),
    (Refusal.EXPECTATION, _expects_otherwise),
)
