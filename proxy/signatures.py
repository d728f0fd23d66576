"""Whether a webhook is Jira's: signed by the secret that Jira and the proxy share.

Administrators' webhooks sign the body (X-Hub-Signature). Those of apps on Cloud carry a token that is signed by the
app's client secret instead, and says nothing of the body; so the connection has to be trusted for that.
"""

import hashlib
import hmac
from base64 import urlsafe_b64decode
from binascii import Error as NotBase64Error
from collections.abc import Mapping
from typing import Any

import orjson

_METHODS: Mapping[str, Any] = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}
_LEEWAY = 60.0  # seconds that Jira's clock and ours may differ by


def is_signed(secret: str, signature: str, body: bytes) -> bool:
    """Tell whether `signature`, as `method=hex` in X-Hub-Signature, is the HMAC of `body` by `secret`.

    The methods are those of the SHA-2 family; Jira uses sha256.
    """
    method, _, given = signature.partition("=")
    if method.lower() not in _METHODS:
        return False
    expected = hmac.new(secret.encode(), body, _METHODS[method.lower()]).hexdigest()
    return hmac.compare_digest(expected.encode(), given.lower().encode("utf-8", "surrogateescape"))


def is_vouched(secret: str, authorization: str, now: float) -> bool:
    """Tell whether `authorization` is `Bearer` and a JWT (RFC 7519) by HS256 and `secret` that has not ended.

    `now` is Unix time. No other algorithm is believed, whatever the token says of itself (RFC 8725 section 3.1).
    """
    scheme, _, token = authorization.partition(" ")
    head, _, rest = token.strip().partition(".")
    claims, _, given = rest.partition(".")
    header, told = _opened(head), _opened(claims)
    if scheme.lower() != "bearer" or header is None or told is None or header.get("alg") != "HS256":
        return False
    expected = hmac.new(secret.encode(), f"{head}.{claims}".encode(), hashlib.sha256).digest()
    ends = told.get("exp")
    in_time = ends is None or (isinstance(ends, int | float) and now < ends + _LEEWAY)
    return hmac.compare_digest(expected, _decoded(given)) and in_time


def _opened(part: str) -> dict[str, Any] | None:
    try:
        told = orjson.loads(_decoded(part))
    except orjson.JSONDecodeError:
        return None
    return told if isinstance(told, dict) else None


def _decoded(part: str) -> bytes:
    try:
        return urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (NotBase64Error, ValueError):
        return b""
