"""What the proxy would do with a request, and why: the law's answer without asking anyone, neither Jira nor a store.

What only Jira's answer or the caller's credential can tell (a lease, a login, a size) is not foreseen here.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any, assert_never
from urllib.parse import parse_qs

import orjson

from policies import jql
from policies.callers import Untrackable, identify
from policies.canon import key
from policies.model import Freshness, Match, Pass, Policy, Read, Request, Why, Write
from policies.rulebook import Rulebook
from policies.searches import live
from proxy.schema import Config
from proxy.words import meaning

CACHEABLE = "cacheable"
"""Why a read may be answered from cache. Whether it hits, and with which word then, depends on what has been kept."""

_ORIGIN = re.compile(r"https?://[^/?\[\]]+")


class MalformedLineError(ValueError):
    """A line that is not METHOD PATH."""


def request_of(line: str, config: Config, body: bytes = b"") -> Request:
    """Read `METHOD PATH` or `METHOD URL`. MalformedLineError says what is wrong."""
    method, _, address = line.strip().partition(" ")
    address = address.strip().partition("#")[0]
    path, _, query = _relative(address, config).partition("?")
    if not method.isalpha() or not path.startswith("/") or " " in path:
        raise MalformedLineError(f"{line.strip()!r} is not METHOD PATH")
    return Request(method.upper(), path, query.replace(" ", "%20"), body=body)


def tell(rulebook: Rulebook, request: Request) -> dict[str, Any]:
    """Say what is done with a request, why, and what that makes old. Times are seconds."""
    match = _judged(request, rulebook.classify(request))
    asked = f"{request.path}?{request.query}" if request.query else request.path
    told = {"method": request.method, "path": asked, "type": match.type, **_told(rulebook, match, request)}
    if match.type == "search" and isinstance(match, Read):
        told["jql"] = _query(_searched(request))
    return told


def _judged(request: Request, match: Match) -> Match:
    """Look closer at a read, as the proxy does before it looks anything up."""
    if not isinstance(match, Read):
        return match
    caller = identify(request, b"")
    if isinstance(caller, Untrackable):
        return Pass(match.row, match.route, match.type, caller.why)
    if request.body and key(request, match, "") is None:
        return Pass(match.row, match.route, match.type, Why.UNREADABLE_BODY)
    return match


def _told(rulebook: Rulebook, match: Match, request: Request) -> dict[str, Any]:
    match match:
        case Read(entity=entity, policy=policy):
            tags = live(request, match)[0].tags
            kept = {"scope": policy.scope.value, "tags": sorted(tags)}
            return _outcome(entity, "cache", CACHEABLE) | _freshness(policy) | kept
        case Pass(why=why):
            return _outcome("-", "forward", why.word)
        case Write(entity=entity, why=why):
            touched = sorted(rulebook.touched(match, _json(request.body), None))
            return _outcome(entity, "forward", why.word) | {"invalidates": touched}
        case never:
            assert_never(never)


def _outcome(entity: str, action: str, why: str) -> dict[str, Any]:
    nothing: dict[str, Any] = {"ttl": None, "scope": None, "tags": [], "invalidates": []}
    return {"entity": entity, "action": action, "why": why, **nothing}


def _freshness(policy: Policy) -> dict[str, Any]:
    by_origin = policy.freshness is Freshness.ORIGIN
    return {"ttl": None, "freshness": policy.freshness.value} if by_origin else {"ttl": policy.ttl}


def _searched(request: Request) -> str:
    body = _json(request.body)
    given = body.get("jql") if isinstance(body, dict) else None
    return given if isinstance(given, str) else parse_qs(request.query).get("jql", [""])[0]


def _query(text: str) -> dict[str, Any]:
    """Say what the cache understands of a search. `projects` is null where it may show issues of any project."""
    try:
        query = jql.parse(text)
    except jql.JqlError as error:
        return {"text": text, "valid": False, "error": str(error), "projects": None, "unknown": []}
    projects = jql.projects(query)
    return {
        "text": text,
        "valid": True,
        "error": None,
        "projects": None if projects is None else sorted(projects),
        "unknown": [str(clause) for clause in jql.unknown(query)],
    }


def _relative(address: str, config: Config) -> str:
    """Cut a URL down to what the rules see: path and query, without the path that Jira itself stands under."""
    for tenant in config.tenants.values():
        if address.startswith(f"{tenant.upstream}/"):
            return address.removeprefix(tenant.upstream)
    relative = _ORIGIN.sub("", address)
    return relative if relative.startswith("/") or relative == address else f"/{relative}"


def _json(body: bytes) -> Any | None:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def as_json(told: Mapping[str, Any]) -> str:
    """Write what was told as one line of JSON."""
    return orjson.dumps(told).decode()


def as_text(told: Mapping[str, Any]) -> str:
    """Write what was told for people, a line for each thing that can be said."""
    lines = [f"{told['method']} {told['path']}", *(f"  {name:14}{value}" for name, value in _lines(told))]
    return "\n".join(lines)


def _lines(told: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in told.items():
        match value:
            case dict():
                yield from ((f"{name} {inner}", shown) for inner, shown in _lines(value))
            case list():
                yield name, ", ".join(value) or "-"
            case None:
                yield name, "-"
            case _ if name == "why" and (said := meaning(value)):
                yield name, f"{value} ({said})"
            case _ if name not in {"method", "path"}:
                yield name, f"{value:g} s" if name == "ttl" else f"{value}"
