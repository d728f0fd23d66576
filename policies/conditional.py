"""Conditional requests: our own strong ETag, and If-None-Match (RFC 9110 section 13.1.2)."""

import re
from hashlib import blake2b

_ENTITY_TAG = re.compile(r'"[^"]*"')
_DIGEST_BYTES = 16


def etag(body: bytes) -> str:
    """Make the strong ETag of a body as the client gets it, before any content coding."""
    return f'"{blake2b(body, digest_size=_DIGEST_BYTES).hexdigest()}"'


def matches(if_none_match: str, etag: str) -> bool:
    """Tell whether If-None-Match names `etag`, by weak comparison: W/"x" and "x" are the same."""
    if if_none_match.strip() == "*":
        return True
    return etag.removeprefix("W/") in _ENTITY_TAG.findall(if_none_match)
