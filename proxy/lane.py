"""The fast lane: which requests that came before were hits, by what their bytes or their lines were.

A request is known again by equality, never by a hash of ours: two requests that share a shortcut are the same question
of the same caller. Nothing is parsed for that. A request that aiohttp has parsed is remembered only if it is plain, and
each of its lines is a header by itself: so another one of the same first line and the same lines in another order is
the same request, whatever stands in them.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from email.utils import formatdate
from itertools import count
from typing import NamedTuple

from aiohttp.http import HttpVersion11, RawRequestMessage

from proxy.framing import HEAD_END
from proxy.record import Recorder
from proxy.shortcut import Shortcut
from proxy.stores.lru import Lru

_SHORTCUT_BYTES = 1500  # what CPython spends on one, its question and its place here, about
_CONTEXT_BYTES = 8192
_LONGEST = 8192  # bytes of a head worth remembering
_SEEN = 65_536
_NO_LINES: tuple[bytes, frozenset[bytes]] = b"", frozenset()
_BODILESS = frozenset({"GET", "HEAD"})
_NOT_PLAIN = frozenset({b"expect", b"upgrade"})


class Sole(NamedTuple):
    """A request that came alone and whole in one piece of `data`, with no body."""

    data: bytes
    message: RawRequestMessage


class _Seen:
    """Tells what is seen for the first time, as far as a bounded memory goes; a false "again" does no harm."""

    def __init__(self) -> None:
        self._hashes: set[int] = set()

    def again(self, thing: Hashable) -> bool:
        known = hash(thing) in self._hashes
        if not known:
            if len(self._hashes) >= _SEEN:
                self._hashes.clear()
            self._hashes.add(hash(thing))
        return known


class _Context(NamedTuple):
    """The headers, in whatever order, that requests have in common: shared by their shortcuts to save memory.

    `mark` is no other context's: with a request's first line behind it, it names the shortcut. Names made of bytes are
    found with fewer looks at memory that no processor cache holds than names made of two things.
    """

    mark: bytes
    headers: Mapping[str, str]


class Lane:
    """Shortcuts of a process, in `max_bytes` about. `clock` tells Unix time, as the age of answers is measured by."""

    def __init__(self, recorder: Recorder, clock: Callable[[], float], max_bytes: int) -> None:
        self._recorder = recorder
        self._clock = clock
        self._second, self._date = 0, b""
        self._by_bytes: Lru[bytes, Shortcut] = Lru(max_bytes // 8)
        self._contexts: Lru[frozenset[bytes], _Context] = Lru(max_bytes // 8)
        self._by_context: Lru[bytes, Shortcut] = Lru(max_bytes * 3 // 4)
        self._marks = count()
        self._seen = _Seen()

    def __repr__(self) -> str:
        return f"<Lane {len(self._by_bytes)} by bytes, {len(self._by_context)} by headers>"

    def answer(self, data: bytes) -> bytes | None:
        """Answer what came from a client who waits for nothing else; None if it has to take the ordinary way."""
        began = time.perf_counter()
        shortcut = self._by_bytes.get(data) or self._by_lines(data)
        if shortcut is None:
            return None
        now = self._clock()
        if int(now) != self._second:
            self._second, self._date = int(now), formatdate(usegmt=True).encode()
        answer = shortcut.answer(now, self._date)
        if answer is not None and shortcut.alike is not None:
            self._recorder.hit(shortcut.alike, shortcut.again, now, time.perf_counter() - began)
        return answer

    def _by_lines(self, data: bytes) -> Shortcut | None:
        """Find the shortcut of a request that came before, but perhaps with its headers in another order."""
        first, headers = _lines(data)
        context = self._contexts.get(headers)
        shortcut = None if context is None else self._by_context.get(context.mark + first)
        if shortcut is not None and shortcut.comes_again(data):
            self._by_bytes.put(data, shortcut, len(data) + 256)
        return shortcut

    def learn(self, sole: Sole, shortcut: Shortcut) -> None:
        """Remember a request that was a hit, if it is plain: anything else has to take the ordinary way again."""
        first, headers = _lines(sole.data)
        if not plain(sole.message) or headers != {b"%b: %b" % header for header in sole.message.raw_headers}:
            return
        context = self._contexts.get(headers)
        if context is None:
            if not self._seen.again(headers):
                return
            context = _Context(b"%d " % next(self._marks), shortcut.headers)
            self._contexts.put(headers, context, _CONTEXT_BYTES)
        shortcut.share(context.headers)
        self._by_context.put(context.mark + first, shortcut, _SHORTCUT_BYTES)


def _lines(data: bytes) -> tuple[bytes, frozenset[bytes]]:
    """Take a head to pieces: its first line, and those of its headers in whatever order; none where one comes twice."""
    if len(data) > _LONGEST or not data.endswith(HEAD_END):
        return _NO_LINES
    lines = data.split(b"\r\n")
    headers = frozenset(lines[1:-2])
    return (lines[0], headers) if len(headers) == len(lines) - 3 else _NO_LINES


def plain(message: RawRequestMessage) -> bool:
    """Tell whether a request is all in its head, ends nothing, begins nothing, and names no header twice."""
    names = [name.lower() for name, _ in message.raw_headers]
    return (
        message.method in _BODILESS
        and message.version == HttpVersion11
        and not (message.should_close or message.upgrade or message.chunked or message.compression)
        and len(set(names)) == len(names)
        and _NOT_PLAIN.isdisjoint(names)
    )
