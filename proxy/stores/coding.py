"""An entry as bytes and back. The body is never coded: it goes in and comes out as it is."""

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple
from typing import Any

from policies.headers import shared
from policies.model import Entry, Live, Origin
from policies.tags import Tags


def pack_key(key: str) -> bytes:
    """Write a key, which may hold lone surrogates as tags may."""
    return key.encode(errors="surrogatepass")


def unpack_tag(packed: bytes) -> str:
    """Read one tag as the ledger holds it."""
    return packed.decode(errors="surrogatepass")


def pack_head(entry: Entry) -> bytes:
    """Write all of an entry but its tags and its body.

    Not with orjson: header values that are not UTF-8 come from aiohttp as lone surrogates, which it refuses.
    """
    times = (entry.stored, entry.ttl, entry.keep, entry.cost)
    origin = None if entry.origin is None else astuple(entry.origin)
    head = (entry.status, entry.headers, entry.coding, entry.etag, times, origin, entry.public)
    return json.dumps(head, separators=(",", ":")).encode()


def unpack_entry(packed_tags: bytes, head: bytes, body: bytes) -> Entry:
    """Put an entry together again. Raises ValueError if the parts are not what was written."""
    try:
        status, headers, coding, etag, (stored, ttl, keep, cost), origin, public = json.loads(head)
        return Entry(
            status=int(status),
            headers=shared(tuple((str(name), str(value)) for name, value in headers)),
            body=body,
            coding=str(coding),
            etag=str(etag),
            tags=Tags.read(packed_tags),
            stored=float(stored),
            ttl=float(ttl),
            keep=float(keep),
            cost=float(cost),
            origin=None if origin is None else _origin(origin),
            public=str(public),
        )
    except (TypeError, OverflowError, RecursionError) as error:  # whatever foreign JSON can do to the lines above
        raise ValueError(f"not an entry: {error}") from error


def _origin(packed: Sequence[Any]) -> Origin:
    etag, modified, revalidate, if_error, strict, vary, selected = packed
    names = tuple(map(str, vary))
    return Origin(str(etag), str(modified), float(revalidate), float(if_error), bool(strict), names, str(selected))


def pack_live(live: Live) -> tuple[bytes, int, bytes]:
    """Write a query's tag, its life in milliseconds, and its text."""
    return live.tag.encode(errors="surrogatepass"), int(live.life * 1000), live.jql.encode(errors="surrogatepass")


def unpack_live(tag: bytes, text: bytes | None, opened: Callable[[bytes], bytes]) -> Live:
    """Read what the register holds under a tag, the query itself by `opened`.

    What is missing, or cannot be opened, is the empty query, which all issues match.
    """
    _registered, life, jql = (text or b"0 0 ").split(b" ", 2)
    try:
        query = opened(jql) if jql else b""
    except ValueError:
        query = b""
    return Live(unpack_tag(tag), query.decode(errors="surrogatepass"), int(life) / 1000)
