"""Who asks: the caller a request's credential stands for, and the partition of the cache that is theirs.

Credentials and account names leave this module only as keyed hashes.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import assert_never
from urllib.parse import parse_qsl

from policies.model import Request, Scope, Why

# Signed anew for each request, or bound to one connection: equal callers never look equal.
_CHANGING_SCHEMES = frozenset({"jwt", "oauth", "digest", "negotiate", "ntlm", "kerberos", "hawk"})
_QUERY_CREDENTIALS = frozenset(
    {"jwt", "access_token", "oauth_token", "oauth_signature", "os_username", "os_password", "pat", "token"}
)
# Gateways in front of Jira log callers in by such headers; they are part of the credential like Authorization.
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
_HARMLESS_COOKIES = ("atlassian.xsrf.token", "atl.xsrf.token", "ajs_", "_ga", "_gid", "_gcl", "awsalb", "jira.")


@dataclass(frozen=True, slots=True)
class Anonymous:
    """Nobody in particular; all of them share one partition, which no one else is in."""


@dataclass(frozen=True, slots=True)
class Credentialed:
    """The holder of a credential, known by its keyed hash."""

    credential: str


@dataclass(frozen=True, slots=True)
class Untrackable:
    """Somebody whose next request will look like somebody else's: nothing is kept for them."""

    why: Why


Caller = Anonymous | Credentialed | Untrackable


def identify(request: Request, secret: bytes) -> Caller:
    """Tell who asks, by Authorization (and the like) or else by Jira's session cookies."""
    if "=" in request.query and _query_credential(request.query):
        return Untrackable(Why.QUERY_CREDENTIAL)
    headers = request.headers
    scheme = headers.get("authorization", "").partition(" ")[0].lower()
    if scheme in _CHANGING_SCHEMES:
        return Untrackable(Why.CHANGING_CREDENTIAL)
    presented = [f"{name}={headers[name]}" for name in _IDENTITY_HEADERS if name in headers]
    if not presented:
        # A request with Authorization is its holder's whatever session it drags along: Jira's own Set-Cookie
        # would otherwise make a new caller of every script that keeps cookies.
        presented = _login_cookies(headers.get("cookie", ""))
    if not presented:
        return Anonymous()
    return Credentialed(keyed_hash(secret, "credential", *presented))


def keyed_hash(secret: bytes, *words: str) -> str:
    """Hash `words` with the deployment's secret: 32 hex digits that tell nothing without it."""
    message = b"\x00".join(word.encode("utf-8", "surrogateescape") for word in words)
    return hmac.new(secret, message, hashlib.sha256).hexdigest()[:32]


def partition(scope: Scope, caller: Anonymous | Credentialed, account: str) -> str:
    """Name the part of the cache that `caller`, whom Jira resolved to `account` ("" if it never says), may share.

    Tenant scope is for those whom Jira let in; what it shows to nobody in particular may be less.
    """
    match caller:
        case Anonymous():
            return "anonymous"
        case Credentialed(credential):
            if scope is Scope.TENANT:
                return "tenant"
            if scope is Scope.ACCOUNT and account:
                return f"account {account}"
            return f"credential {credential} {account}"
        case never:
            assert_never(never)


def _query_credential(query: str) -> bool:
    return any(name.lower() in _QUERY_CREDENTIALS for name, _ in parse_qsl(query, keep_blank_values=True))


def _login_cookies(cookie: str) -> list[str]:
    crumbs = (crumb.strip() for crumb in cookie.split(";"))
    return sorted(crumb for crumb in crumbs if crumb and not crumb.lower().startswith(_HARMLESS_COOKIES))
