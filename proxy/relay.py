"""Passing on: a request to Jira as the client sent it, and Jira's reply to the client with its links made to fit.

Bodies stream both ways and are never held whole, but for JSON under /rest/ that is small enough to look at first.
"""

import time
import zlib
from collections.abc import AsyncIterator, Iterator

from policies import links
from policies.cachestatus import cache_status
from policies.calls import Call
from policies.model import Why
from proxy.answers import (
    BODILESS,
    GZIP,
    IDENTITY,
    Answer,
    Pairs,
    Streamed,
    TooLargeError,
    Whole,
    accepts_gzip,
    is_json_answer,
    mapped,
    relayed,
)
from proxy.errors import UpstreamError
from proxy.governor import Governor, Outgoing
from proxy.incoming import VIA, Incoming
from proxy.upstream import Reply

_PIECE = 256 * 1024
# Set by us or by the HTTP client underneath; and words to this cache that mean nothing to Jira.
_REPLACED = frozenset(
    {"host", "expect", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-jira-cache", "x-request-id"}
)
_REST = "/rest/"
_ACCEPTED = "accept-encoding"
_KNOWN = frozenset({"", GZIP, IDENTITY})


async def send(governor: Governor, call: Call, incoming: Incoming) -> Reply:
    """Send a client's request on, its body as it arrives."""
    request = incoming.request
    target = f"{request.path}?{request.query}" if request.query else request.path
    outgoing = Outgoing(request.method, target, _forwarded(incoming), incoming.body.rest())
    departed = time.perf_counter()
    try:
        return await governor.ask(call, outgoing, _as_it_comes)
    finally:
        incoming.notes.waited(time.perf_counter() - departed)


async def forward(governor: Governor, call: Call, incoming: Incoming, why: Why, max_body: int) -> Answer:
    """Pass a request on and its answer back."""
    return await answer(await send(governor, call, incoming), incoming, why, max_body)


async def _as_it_comes(reply: Reply) -> Reply:
    return reply


async def answer(reply: Reply, incoming: Incoming, why: Why, max_body: int) -> Answer:
    """Make the client's answer of Jira's reply: whole where its links had to be looked for, else as it arrives."""
    try:
        headers = relayed(reply.pairs, incoming.site)
        headers += [("Via", VIA), ("Cache-Status", cache_status(why, status=reply.status))]
        if not _may_hold_links(reply, incoming):
            return Streamed(reply.status, headers, reply.chunks(), reply.close, why)
        if incoming.request.method == "HEAD":
            return Streamed(reply.status, _unmeasured(headers), reply.chunks(), reply.close, why)
        taken, whole = await reply.read(max_body)
        body = _fitting(taken, reply, incoming.site, max_body) if whole else None
        if body is None:
            chunks = _mapped(taken, reply, incoming.site)
            return Streamed(reply.status, _unmeasured(headers), chunks, reply.close, why)
    except BaseException:
        reply.close()
        raise
    reply.close()
    return Whole(reply.status, headers if body is taken else _unmeasured(headers), body, why)


def _forwarded(incoming: Incoming) -> Pairs:
    headers = [pair for pair in incoming.greeting.pairs if pair[0].lower() not in _REPLACED]
    if incoming.request.path.startswith(_REST):
        headers = _legible(headers, incoming.header(_ACCEPTED))
    headers += [*incoming.trail(), ("X-Forwarded-Proto", incoming.header("x-forwarded-proto") or incoming.scheme)]
    host = incoming.header("x-forwarded-host") or incoming.header("host")
    return [*headers, ("X-Forwarded-Host", host)] if host else headers


def _legible(headers: list[tuple[str, str]], accepted: str) -> list[tuple[str, str]]:
    """Ask for no coding that we cannot undo: who follows a link to Jira itself leaves the proxy, and writes past it."""
    if {element.partition(";")[0].strip().lower() for element in accepted.split(",")} <= _KNOWN:
        return headers
    others = [pair for pair in headers if pair[0].lower() != _ACCEPTED]
    return [*others, ("Accept-Encoding", GZIP if accepts_gzip(accepted) else IDENTITY)]


def _may_hold_links(reply: Reply, incoming: Incoming) -> bool:
    headers = reply.headers
    return (
        reply.status not in BODILESS
        and incoming.request.path.startswith(_REST)
        and is_json_answer(headers.get("content-type", ""))
        and "content-range" not in headers
        and _coding(reply) in {IDENTITY, GZIP}
    )


def _fitting(body: bytes, reply: Reply, site: links.Site, limit: int) -> bytes | None:
    try:
        return mapped(body, _coding(reply), site, limit)
    except TooLargeError:
        return None


def _coding(reply: Reply) -> str:
    return reply.headers.get("content-encoding", "").lower() or IDENTITY


def _unmeasured(headers: Pairs) -> Pairs:
    """Drop the length, which changes with the links."""
    return [(name, value) for name, value in headers if name.lower() != "content-length"]


async def _mapped(taken: bytes, reply: Reply, site: links.Site) -> AsyncIterator[bytes]:
    """Map the links of a body too large to hold, on its way through. Raises UpstreamError for broken gzip."""
    rewriter = links.Rewriter(site)
    unzip, zip_ = (_Unzip(), zlib.compressobj(level=1, wbits=31)) if _coding(reply) == GZIP else (None, None)
    async for chunk in _rejoined(taken, reply.chunks()):
        for plain in unzip.feed(chunk) if unzip else (chunk,):
            fitting = rewriter.feed(plain)
            if piece := zip_.compress(fitting) if zip_ else fitting:
                yield piece
    rest = rewriter.feed(unzip.end() if unzip else b"") + rewriter.flush()
    yield zip_.compress(rest) + zip_.flush() if zip_ else rest


async def _rejoined(taken: bytes, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield taken
    async for chunk in chunks:
        yield chunk


class _Unzip:
    """Undoes gzip in pieces of bounded size. Several members in a row are one body (RFC 1952 section 2.2)."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=31)

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        while chunk:
            if self._member.eof:
                self._member = zlib.decompressobj(wbits=31)
            try:
                yield self._member.decompress(chunk, _PIECE)
            except zlib.error as broken:
                raise UpstreamError("Jira's answer is not gzip, though it says so") from broken
            chunk = self._member.unused_data if self._member.eof else self._member.unconsumed_tail

    def end(self) -> bytes:
        rest = self._member.flush()
        if not self._member.eof:
            raise UpstreamError("Jira's answer broke off")
        return rest
