"""Who asks: the caller a request's credential stands for, and the partition of the cache that is theirs.

Credentials and account names leave this module only as keyed hashes.
"""

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import assert_never
from urllib.parse import parse_qsl

from policies.headers import unfamiliar
from policies.model import Request, Scope, Why

# Signed anew for each request, or bound to one connection: equal callers never look equal.
_CHANGING_SCHEMES = frozenset({"jwt", "oauth", "digest", "negotiate", "ntlm", "kerberos", "hawk"})
_QUERY_CREDENTIALS = frozenset(
    {"jwt", "access_token", "oauth_token", "oauth_signature", "os_username", "os_password", "pat", "token"}
)
# Gateways in front of Jira log callers in by such headers.
_IDENTITY_HEADERS = (
    "authorization",
    "cf-access-jwt-assertion",
    "remote-user",
    "x-api-key",
    "x-auth-token",
    "x-forwarded-user",
    "x-goog-iap-jwt-assertion",
    "x-remote-user",
)
# Cookies that never log anybody in. Any other cookie might, so it counts as part of the credential.
_HARMLESS_COOKIE = re.compile(
    r"(?:atlassian\.(?:account\.)?xsrf\.token|atl\.xsrf\.token|ajs_[^=]*|_ga(?:_[^=]*)?|_gid|_gcl_[^=]*"
    r"|awsalb(?:tg)?(?:cors)?|__cf_bm|_cfuvid|bigipserver[^=]*|jira\.editor\.user\.mode)\s*=",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular; all of them share one partition, which no one else is in."""


@dataclass(frozen=True, slots=True)
class Credentialed:
    """The holder of a credential, known by its keyed hash.

    `credential` is all that may have logged them in, `holder` the same without a session's cookies that came along with
    something better ("" where nothing better came).
    """

    credential: str
    holder: str = ""


@dataclass(frozen=True, slots=True)
class Untrackable:
    """Somebody whose next request will look like somebody else's: nothing is kept for them."""

    why: Why


Caller = Anonymous | Credentialed | Untrackable


def identify(request: Request, secret: bytes) -> Caller:
    """Tell who asks, by Authorization and the like, by cookies, and by whatever else may have a say in it."""
    return named_in(request.query) or known_by(request.headers, secret)


def named_in(query: str) -> Untrackable | None:
    """Tell of a credential in a query string: it outranks what the headers say. None if there is none."""
    return Untrackable(Why.QUERY_CREDENTIAL) if "=" in query and _query_credential(query) else None


def known_by(headers: Mapping[str, str], secret: bytes) -> Caller:
    """Tell who asks by headers alone; their names are lower case."""
    scheme = headers.get("authorization", "").partition(" ")[0].lower()
    if scheme in _CHANGING_SCHEMES:
        return Untrackable(Why.CHANGING_CREDENTIAL)
    presented = any(headers.get(name) for name in _IDENTITY_HEADERS)
    cookies = _login_cookies(headers.get("cookie", ""))
    if not presented and not cookies:
        return Anonymous()
    said = _said(headers)
    credential = keyed_hash(secret, "credential", *said, "cookies", *cookies)
    # Jira, or what stands before it, may go by the cookies although there is an Authorization or a gateway's key that
    # many share. So Jira has to accept each session anew; but what it then shows an account is the same in all sessions
    # of one holder, or each script that keeps cookies would begin with an empty cache.
    return Credentialed(credential, keyed_hash(secret, "holder", *said) if presented and cookies else "")


def keyed_hash(secret: bytes, *words: str) -> str:
    """Hash `words` with the deployment's secret: 32 hex digits that tell nothing without it."""
    return hmac.digest(secret, _framed(*words), "sha256").hex()[:32]


def _framed(*words: str) -> bytes:
    return b"\x00".join(word.encode("utf-8", "surrogateescape") for word in words)


def partition(scope: Scope, caller: Anonymous | Credentialed, account: str) -> str:
    """Name the part of the cache that `caller`, whom Jira resolved to `account` ("" if it never says), may share.

    Sharing is for those whom Jira let in by name; what it shows to nobody in particular may be less.
    """
    match caller:
        case Anonymous():
            return "anonymous"
        case Credentialed(credential, holder):
            if not account:
                return f"credential {credential}"
            if scope is Scope.TENANT:
                return "tenant"
            return f"account {account}" if scope is Scope.ACCOUNT else f"credential {holder or credential} {account}"
        case never:
            assert_never(never)


class Audience(Enum):
    """Who will see what is kept in a partition, in the distinctions of RFC 9111 sections 3.5 and 5.2.2.7."""

    CALLER = "one caller, so this is their private cache"
    AUTHORIZED = "all whom Jira let in"
    ANYBODY = "everybody who shows no credential"


def audience(scope: Scope, caller: Anonymous | Credentialed, account: str) -> Audience:
    """Tell who shares what `partition` names."""
    if isinstance(caller, Anonymous):
        return Audience.ANYBODY
    return Audience.AUTHORIZED if scope is Scope.TENANT and account else Audience.CALLER


def lock(request: Request, scope: Scope, caller: Anonymous | Credentialed, secret: bytes, account: str) -> bytes:
    """Make of what `caller` said in `request` a key, of 32 bytes, to what `partition` has them share with nobody else.

    It cannot be had without the credential, whatever else is known: neither from `secret` nor from what is stored. b""
    where those share who have no credential in common.
    """
    if isinstance(caller, Anonymous) or (account and scope is not Scope.CREDENTIAL):
        return b""
    said, cookies = _said(request.headers), _login_cookies(request.headers.get("cookie", ""))
    shown = said if caller.holder and account else [*said, "cookies", *cookies]
    return hmac.digest(secret, _framed("lock", *shown), "sha256")


def _said(headers: Mapping[str, str]) -> list[str]:
    """Tell what may log a caller in besides cookies."""
    return [f"authorization={headers.get('authorization', '')}", *unfamiliar(headers)]


def _query_credential(query: str) -> bool:
    if "%" in query or "+" in query:
        names = [name for name, _ in parse_qsl(query, keep_blank_values=True)]
    else:  # nothing hides, as in most
        names = [piece.partition("=")[0] for piece in query.split("&")]
    return any(name.lower() in _QUERY_CREDENTIALS for name in names)


def _login_cookies(cookie: str) -> list[str]:
    crumbs = (crumb.strip() for crumb in cookie.split(";"))
    return sorted(crumb for crumb in crumbs if crumb and not _HARMLESS_COOKIE.match(crumb))
