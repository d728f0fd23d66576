"""What is about to be asked of Jira, as far as its limits care: who asks, through which app, and of what."""

import base64
import binascii
from dataclasses import dataclass

import orjson

from policies.callers import Anonymous, Caller, Credentialed, Untrackable, keyed_hash
from policies.model import Match, Pass, Read, Request, Why, Write
from policies.rows import OTHER

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_JWT_PARTS = 3
# What names the app: in the access tokens of OAuth 2.0, and in the tokens that a Connect app signs itself.
_APP_CLAIMS = {"bearer": "client_id", "jwt": "iss"}


@dataclass(frozen=True, slots=True)
class Call:
    """A call to Jira.

    `caller` and `app` are keyed hashes, `endpoint` is method and route, `issue` is the tag of the issue that a write
    changes. A `repeatable` call changes nothing, so that it may be made again. Nobody waits for a `background` call.
    `patience` is for how many seconds it may be held back; None leaves that to the configuration.
    """

    caller: str
    app: str
    type: str
    endpoint: str
    issue: str = ""
    repeatable: bool = False
    background: bool = False
    patience: float | None = None


def call_of(match: Match, request: Request, caller: Caller, secret: bytes) -> Call:
    """Describe the call that passes a client's request on."""
    app = _app(request.headers.get("authorization", ""), secret)
    who = app if app and isinstance(caller, Untrackable) else client(caller)
    return Call(
        caller=who,
        app=app or who,
        type=match.type,
        endpoint=_endpoint(match, request, secret),
        issue=_issue(match),
        repeatable=_repeatable(match, request),
    )


def client(caller: Caller) -> str:
    """Name who asks: all sessions of a credential by one name, and by one all whose credentials change each time."""
    match caller:
        case Credentialed(credential, holder):
            return holder or credential
        case Anonymous():
            return "anonymous"
        case Untrackable():
            return "untracked"


def _app(authorization: str, secret: bytes) -> str | None:
    """Name the app that a token says it was made for. Nobody verifies it here: it only groups calls by limit."""
    scheme, _, token = authorization.partition(" ")
    claim, parts = _APP_CLAIMS.get(scheme.lower()), token.strip().split(".")
    if claim is None or len(parts) != _JWT_PARTS:
        return None
    try:
        said = orjson.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (ValueError, binascii.Error):
        return None
    app = said.get(claim) if isinstance(said, dict) else None
    return keyed_hash(secret, "app", app) if isinstance(app, str) else None


def _endpoint(match: Match, request: Request, secret: bytes) -> str:
    if isinstance(match, Read) and request.method == "HEAD":
        return f"GET {match.route}"  # which is how Jira is asked
    if match.type == OTHER and match.row == "-":  # no row knows it, so that only the path tells it from the others
        return f"{request.method} {keyed_hash(secret, 'path', request.path)}"
    return f"{request.method} {match.route}"


def _issue(match: Match) -> str:
    tags = match.tags if isinstance(match, Write) else ()
    return next((tag for tag in tags if tag.startswith("issue:")), "")


def _repeatable(match: Match, request: Request) -> bool:
    match match:
        case Read():
            return True
        case Pass(why=why):
            return request.method in _SAFE and why is not Why.SIDE_EFFECT
        case Write():
            return False
