"""The fast lane: which requests that came before were hits, by what their bytes or their headers were.

A request is known again by equality, never by a hash of ours: two requests that share a shortcut are the same question
of the same caller.
"""

import time
from collections.abc import Callable, Hashable, Mapping
from email.utils import formatdate
from typing import NamedTuple

from aiohttp.http import HttpVersion11, RawRequestMessage

from proxy.record import Recorder
from proxy.shortcut import Sent, Shortcut
from proxy.stores.lru import Lru

_SHORTCUT_BYTES = 2300  # what CPython spends on one, its question and its place here, about
_CONTEXT_BYTES = 8192
_SEEN = 65_536
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


class _Context:
    """A set of headers, in whatever order, that requests have in common: shared by their shortcuts to save memory."""

    __slots__ = ("headers",)

    def __init__(self, headers: Mapping[str, str]) -> None:
        self.headers = headers


class Lane:
    """Shortcuts of a process, in `max_bytes` about. `clock` tells Unix time, as the age of answers is measured by."""

    def __init__(self, recorder: Recorder, clock: Callable[[], float], max_bytes: int) -> None:
        self._recorder = recorder
        self._clock = clock
        self._date = 0, b""
        self._by_bytes: Lru[bytes, Shortcut] = Lru(max_bytes // 8)
        self._contexts: Lru[frozenset[tuple[bytes, bytes]], _Context] = Lru(max_bytes // 8)
        self._by_context: Lru[tuple[_Context, str, str], Shortcut] = Lru(max_bytes * 3 // 4)
        self._seen = _Seen()

    def __repr__(self) -> str:
        return f"<Lane {len(self._by_bytes)} by bytes, {len(self._by_context)} by headers>"

    def by_bytes(self, data: bytes) -> Shortcut | None:
        """Find the shortcut of a request that came before, to the byte."""
        return self._by_bytes.get(data)

    def by_message(self, sole: Sole) -> Shortcut | None:
        """Find the shortcut of a request that came before, but perhaps with its headers in another order."""
        message = sole.message
        headers = frozenset(message.raw_headers)
        context = self._contexts.get(headers)
        # The same line twice is the same set, but perhaps not the same request.
        if context is None or len(headers) != len(message.raw_headers) or message.version != HttpVersion11:
            return None
        shortcut = self._by_context.get((context, message.method, message.path))
        if shortcut is not None and self._seen.again(sole.data):
            self._by_bytes.put(sole.data, shortcut, len(sole.data) + 256)
        return shortcut

    def answer(self, shortcut: Shortcut) -> Sent | None:
        """Answer a request by its shortcut; None if it has to take the ordinary way."""
        began = time.perf_counter()
        now = self._clock()
        sent = shortcut.answer(now, self._dated())
        if sent is not None and shortcut.again is not None:
            self._recorder.hit(shortcut.again, sent.age, time.perf_counter() - began, now)
        return sent

    def learn(self, sole: Sole, shortcut: Shortcut) -> None:
        """Remember a request that was a hit, if it is plain: anything else has to take the ordinary way again."""
        if not plain(sole.message):
            return
        headers = frozenset(sole.message.raw_headers)
        context = self._contexts.get(headers)
        if context is None:
            if not self._seen.again(headers):
                return
            context = _Context(shortcut.headers)
            self._contexts.put(headers, context, _CONTEXT_BYTES)
        shortcut.share(context.headers)
        self._by_context.put((context, sole.message.method, sole.message.path), shortcut, _SHORTCUT_BYTES)

    def _dated(self) -> bytes:
        now = int(time.time())
        if self._date[0] != now:
            self._date = now, formatdate(now, usegmt=True).encode()
        return self._date[1]


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
