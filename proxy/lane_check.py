"""Whether aiohttp's server is made as the fast lane knows it: tried at the start, because no interface promises it."""

import asyncio
import logging
from typing import Any

from aiohttp import __version__, web
from aiohttp.streams import EMPTY_PAYLOAD

from proxy.connection import Connection, Listener
from proxy.guard import Guard

log = logging.getLogger(__name__)

_HEAD = b"GET /-/live?a=b HTTP/1.1\r\nHost: a\r\nX-B: c\r\n\r\n"
_USED = ("_parser", "_waiter", "_messages", "_paused", "_close", "_force_close", "_upgraded", "_loop")
_ALSO_USED = ("_next_keepalive_close_time", "_keepalive_timeout", "transport")


def known(guard: Guard) -> bool:
    """Tell whether the lane may be used; if not, say so in the log: requests then all take the ordinary way."""
    try:
        _try(guard)
    except Exception as error:  # noqa: BLE001 - whatever another version of aiohttp may do
        log.warning(
            "the fast lane is off: aiohttp %s is not made as it is known to this version (%s)", __version__, error
        )
        return False
    return True


def _try(guard: Guard) -> None:
    loop = asyncio.get_running_loop()
    connection = Connection(Listener(_never, guard, None), guard, None, loop=loop)
    missing = [name for name in (*_USED, *_ALSO_USED) if not hasattr(connection, name)]
    _demand(not missing, f"no {', '.join(missing)}")
    parser: Any = connection._parser  # noqa: SLF001 - this is what is tried
    ((message, payload),), upgraded, tail = parser.feed_data(_HEAD)
    _demand(payload is EMPTY_PAYLOAD and not upgraded and not tail, "what feed_data returns")
    _demand(message.raw_headers == ((b"Host", b"a"), (b"X-B", b"c")), "raw_headers")
    _demand((message.method, message.path) == ("GET", "/-/live?a=b"), "the request line")
    _demand(message.should_close is message.upgrade is message.chunked is False, "what a message says of itself")
    parser.message_consumed()


def _demand(holds: bool, what: str) -> None:
    if not holds:
        raise ValueError(what)


async def _never(_request: web.BaseRequest) -> web.StreamResponse:
    raise AssertionError("nobody is connected")
