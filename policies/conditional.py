"""Conditional requests: our own strong ETag, and If-None-Match (RFC 9110 section 13.1.2)."""

import re
from collections.abc import Iterable, Mapping
from hashlib import blake2b

from policies.http_date import http_date

_ENTITY_TAG = re.compile(r'"[^"]*"')
_DIGEST_BYTES = 16


def etag(body: bytes) -> str:
    """Make the strong ETag of a body as the client gets it, before any content coding."""
    return f'"{blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()}"'


def unchanged(headers: Mapping[str, str], etags: Iterable[str], modified: float | None, now: float) -> bool:
    """Tell whether a request's condition says that the client has this answer (RFC 9110 section 13.2.2).

    If-None-Match decides where there is one, else If-Modified-Since, if it is known when the answer was `modified`.
    """
    named = headers.get("if-none-match")
    if named:
        return any(matches(named, etag) for etag in etags)
    since = http_date(headers.get("if-modified-since", ""), now)
    return modified is not None and since is not None and modified <= since


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether If-None-Match names `etag`, by weak comparison: W/"x" and "x" are the same."""
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix("W/") in _ENTITY_TAG.findall(if_none_match)
