"""What goes back to the client: answers made of entries, of Jira's replies, or of our own words.

No decision lives here, and no sockets: an answer is a value that proxy.front sends.
"""

import asyncio
import math
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, ParamSpec, TypeVar

import orjson

from policies import conditional, links
from policies.cachestatus import cache_status
from policies.decide import age_of
from policies.headers import end_to_end, replayable
from policies.http_date import http_date
from policies.model import Entry, Request, Why
from policies.settle import OK, is_json
from proxy.question import Question
from proxy.stores.lru import Lru

try:
    from isal.isal_zlib import compress as _compress  # codes a body in less than half of the time
except ImportError:  # it is not made for every machine
    from zlib import compress as _compress

Pairs = list[tuple[str, str]]

P = ParamSpec("P")
T = TypeVar("T")

GZIP, IDENTITY = "gzip", "identity"
_NOT_MODIFIED = 304
BODILESS = frozenset({204, _NOT_MODIFIED})
"""Statuses of answers that have no body."""
_FASTEST = 1
LONG_WORK = 256 * 1024
"""From how many bytes on a body is coded and decoded in a thread: it takes milliseconds."""
_KEPT_WITH = 448  # bytes that CPython spends on a remembered body besides it, about
# Written by whoever sends the body.
_FRAMING = frozenset({"content-length", "content-encoding"})


@dataclass(frozen=True, slots=True)
class Whole:
    """An answer whose body is at hand.

    `question` is there if it is a hit that the same request may get again, for as long as the answer to it stands.
    """

    status: int
    headers: Pairs
    body: bytes
    why: Why
    stored: bool = False
    collapsed: bool = False
    question: Question | None = None


@dataclass(frozen=True, slots=True)
class Streamed:
    """An answer whose body is still arriving from Jira. Whoever has one reads it to the end or closes it."""

    status: int
    headers: Pairs
    chunks: AsyncIterator[bytes]
    close: Callable[[], None]
    why: Why


Answer = Whole | Streamed


@dataclass(frozen=True, slots=True)
class Fetched:
    """What Jira sent, read whole. `body` is as it came, in `coding`; `plain` is it decoded, None if it could not be.

    `objects` is how many it shows, if it is JSON.
    """

    status: int
    pairs: Pairs
    headers: dict[str, str]
    body: bytes
    plain: bytes | None
    cost: float
    objects: int = 0
    confirmed: bool = False  # Jira said 304, and this is the kept answer that it confirmed

    @property
    def said(self) -> int:
        """The status that Jira answered with."""
        return _NOT_MODIFIED if self.confirmed else self.status

    @property
    def coding(self) -> str:
        return self.headers.get("content-encoding", "").lower() or IDENTITY


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Rendered:
    """An entry's body as one client gets it: links rewritten, coded, with the ETag of just these bytes."""

    body: bytes
    coding: str
    etag: str


@dataclass(frozen=True, slots=True)
class Sending:
    """What an answer from an entry says besides the entry. `private` are headers for the one who made Jira answer."""

    why: Why
    ttl: float
    status: int | None = None  # Jira's, if it was asked
    stored: bool = False
    collapsed: bool = False
    private: Pairs = field(default_factory=list)


async def aside(size: int, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do what takes time in proportion to `size`: in a thread if that is long, so that others need not wait for it."""
    if size < LONG_WORK:
        return work(*given, **named)
    return await asyncio.to_thread(work, *given, **named)


class Renderer:
    """Renders entries for clients, and remembers lately rendered bodies up to `max_bytes`."""

    def __init__(self, max_bytes: int) -> None:
        self._kept: Lru[tuple[str, links.Site, bool], Rendered] = Lru(max_bytes)

    def __len__(self) -> int:
        return len(self._kept)

    @property
    def weight(self) -> int:
        """How many bytes the remembered bodies weigh."""
        return self._kept.weight

    async def prepared(self, entry: Entry, site: links.Site, *, gzip_accepted: bool) -> Rendered:
        """Render, in a thread what takes long, and remember it unless it takes no work."""
        key = _rendering(entry, site, gzip_accepted)
        if _fits(entry, site, coded=key[2]):
            return _render(entry, site, coded=key[2])
        return self._kept.get(key) or self._keep(key, await aside(len(entry.body), _render, entry, site, coded=key[2]))

    def render(self, entry: Entry, site: links.Site, *, gzip_accepted: bool) -> Rendered:
        """Render here and now, and remember it: who holds it weakly need not ask again."""
        key = _rendering(entry, site, gzip_accepted)
        return self._kept.get(key) or self._keep(key, _render(entry, site, coded=key[2]))

    def _keep(self, key: tuple[str, links.Site, bool], rendered: Rendered) -> Rendered:
        self._kept.put(key, rendered, len(rendered.body) + len(key[1].public) + _KEPT_WITH)
        return rendered


def _rendering(entry: Entry, site: links.Site, gzip_accepted: bool) -> tuple[str, links.Site, bool]:
    return entry.etag, site, gzip_accepted and entry.coding == GZIP


def _render(entry: Entry, site: links.Site, *, coded: bool) -> Rendered:
    # The strong ETag follows from what the bytes follow from, so that a hit does not hash them again.
    tag = conditional.etag(f"{entry.etag} {site.public} {coded}".encode())
    body = entry.body if _fits(entry, site, coded=coded) else _fitting(entry, site, coded=coded)
    return Rendered(body, GZIP if coded else IDENTITY, tag)


def _fits(entry: Entry, site: links.Site, *, coded: bool) -> bool:
    return entry.public == site.public and coded == (entry.coding == GZIP)


def _fitting(entry: Entry, site: links.Site, *, coded: bool) -> bytes:
    plain = decoded(entry.body, entry.coding)
    told_by_jira = links.restored(plain, replace(site, public=entry.public)) if entry.public else plain
    fitting = links.rewrite(told_by_jira, site)
    if not coded:
        return fitting
    return entry.body if fitting == plain else compressed(fitting)


def mapped(body: bytes, coding: str, site: links.Site, limit: int = 0) -> bytes:
    """Make the links of a coded JSON body fit; the very same bytes where there are none or it cannot be read.

    Raises TooLargeError for one that decodes to more than `limit` bytes (0: any).
    """
    try:
        plain = decoded(body, coding, limit)
    except TooLargeError:
        raise
    except ValueError:
        return body
    fitting = links.rewrite(plain, site)
    if fitting == plain:
        return body
    return compressed(fitting) if coding == GZIP else fitting


def from_entry(
    entry: Entry, rendered: Rendered, request: Request, site: links.Site, *, now: float, sending: Sending
) -> Whole:
    """Answer with an entry: 304 where the client has it, else the body."""
    status_line = cache_status(
        sending.why, ttl=sending.ttl, status=sending.status, stored=sending.stored, collapsed=sending.collapsed
    )
    headers = [
        *(relayed(entry.headers, site) if entry.origin else entry.headers),
        *sending.private,
        ("ETag", _etag(entry, rendered)),
        ("Age", str(int(age_of(entry.stored, now)))),
        ("Cache-Status", status_line),
    ]
    if entry.status == OK and _unchanged(entry, rendered, request, now):
        return Whole(_NOT_MODIFIED, headers, b"", sending.why, sending.stored, sending.collapsed)
    if rendered.coding != IDENTITY:
        headers.append(("Content-Encoding", rendered.coding))
    return Whole(entry.status, headers, rendered.body, sending.why, sending.stored, sending.collapsed)


def _etag(entry: Entry, rendered: Rendered) -> str:
    """Tell the origin's own ETag while these are the origin's own bytes."""
    theirs = entry.origin.etag if entry.origin and rendered.body == entry.body else ""
    return theirs or rendered.etag


def _unchanged(entry: Entry, rendered: Rendered, request: Request, now: float) -> bool:
    if entry.origin is None:
        return conditional.unchanged(request.headers, (rendered.etag,), None, now)
    # Without a Last-Modified, it is no younger than when it was made (RFC 9111 section 4.3.2).
    modified = http_date(entry.origin.last_modified, now)
    etags = (rendered.etag, *([entry.origin.etag] if entry.origin.etag else []))
    return conditional.unchanged(request.headers, etags, entry.stored if modified is None else modified, now)


def from_fetched(fetched: Fetched, request: Request, site: links.Site, why: Why, *, led: bool) -> Whole:
    """Answer with a reply that was not kept; those who only shared the trip do not get its private headers."""
    headers = relayed(fetched.pairs if led else replayable(fetched.pairs), site)
    headers = [(name, value) for name, value in headers if name.lower() not in _FRAMING]
    headers.append(("Cache-Status", cache_status(why, status=fetched.status, collapsed=not led)))
    body, coding = fetched.body, fetched.coding
    if fetched.plain is not None and not takes_gzip(request):
        body, coding = fetched.plain, IDENTITY
    if coding != IDENTITY:
        headers.append(("Content-Encoding", coding))
    return Whole(fetched.status, headers, mapped(body, coding, site), why, collapsed=not led)


def error(status: int, message: str, why: Why, retry_after: float | None = None) -> Whole:
    """Answer in the shape of Jira's own errors, which its clients know how to show.

    `retry_after` is for how many seconds trying again is in vain.
    """
    body = orjson.dumps({"errorMessages": [message], "errors": {}})
    headers = [("Content-Type", "application/json;charset=UTF-8"), ("Cache-Status", cache_status(why))]
    if retry_after is not None:
        headers.append(("Retry-After", str(max(1, math.ceil(retry_after)))))
    return Whole(status, headers, body, why)


def relayed(pairs: Iterable[tuple[str, str]], site: links.Site) -> Pairs:
    """Headers of Jira's answer for the one who asked: addresses and cookies made to fit the proxy."""
    return [(name, _RELAY.get(name.lower(), _as_it_is)(value, site)) for name, value in end_to_end(pairs)]


def private(pairs: Iterable[tuple[str, str]], entry: Entry, site: links.Site) -> Pairs:
    """Those of Jira's headers that are for the one who asked alone: identity, cookies, limits, traces."""
    public = set(entry.headers)
    ours = _FRAMING | {"etag", "age", "cache-status"}
    return relayed((pair for pair in pairs if pair not in public and pair[0].lower() not in ours), site)


def takes_gzip(request: Request) -> bool:
    """Tell whether whoever asks takes gzip."""
    return accepts_gzip(request.headers.get("accept-encoding", ""))


def accepts_gzip(accept_encoding: str) -> bool:
    """Tell whether a client takes gzip (RFC 9110 section 12.5.3)."""
    for element in accept_encoding.lower().split(","):
        coding, _, weight = element.partition(";")
        if coding.strip() in {GZIP, "x-gzip", "*"}:
            return weight.replace(" ", "") not in {"q=0", "q=0.0", "q=0.00", "q=0.000"}
    return False


class TooLargeError(ValueError):
    """A body decodes to more bytes than are to be held."""


def decoded(body: bytes, coding: str, limit: int = 0) -> bytes:
    """Undo the content coding. ValueError for a broken body or an unknown coding.

    Raises TooLargeError for a body that decodes to more than `limit` bytes (0: any).
    """
    if coding in {"", IDENTITY}:
        return body
    if coding != GZIP:
        raise ValueError(f"unknown content coding {coding!r}")
    unzip = zlib.decompressobj(wbits=31)
    try:
        plain = unzip.decompress(body, limit and limit + 1)
    except zlib.error as broken:
        raise ValueError("the body is not gzip") from broken
    if limit and len(plain) > limit:
        raise TooLargeError(f"the body has more than {limit} bytes")
    if not unzip.eof or unzip.unused_data:
        raise ValueError("the body is cut off or goes on after its end")
    return plain


def compressed(body: bytes) -> bytes:
    """Code a body with gzip; equal bodies give equal bytes in this process."""
    return _compress(body, _FASTEST, wbits=31)


def is_json_answer(content_type: str) -> bool:
    """Tell whether a Content-Type header says JSON."""
    return is_json(content_type.partition(";")[0].strip().lower())


def parsed(body: bytes) -> Any | None:
    """Parse JSON; None for what is none."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def parsed_answer(answer: Whole) -> Any | None:
    """Parse the JSON of an answer that is about to be sent; None for what is none."""
    coding = next((value for name, value in answer.headers if name.lower() == "content-encoding"), IDENTITY)
    try:
        return parsed(decoded(answer.body, coding.lower()))
    except ValueError:
        return None


def _as_it_is(value: str, _site: links.Site) -> str:
    return value


_RELAY: dict[str, Callable[[str, links.Site], str]] = {
    "location": links.location,
    "content-location": links.location,
    "set-cookie": links.cookie,
}
