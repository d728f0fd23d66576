"""Asks Jira itself which issues changed lately, with a credential of the proxy's own.

Such a poll shows what that account may browse, and it does not show what was deleted.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode

import orjson

from policies import login
from policies.callers import Credentialed
from policies.calls import Call
from policies.channel import Found, jira_time
from policies.model import Why
from policies.throttle import retry_after
from proxy.answers import decoded
from proxy.errors import NotAsked, UpstreamError
from proxy.governor import Governor, Outgoing
from proxy.upstream import Reply

_PAGES, _PAGE = 10, 500
_LARGEST = 8 * 1024 * 1024
_TOTAL = 60.0
_OK, _THROTTLED = 200, 429
_REFUSED = frozenset({401, 403})
_NOT_HERE = frozenset({404, 405, 410})
# It is repeated by the next poll anyway; but it may be held back for a while, page by page.
_CALL = Call(caller="repair", app="repair", type="repair", endpoint="", background=True, patience=30.0)
_CLOUD, _DATA_CENTER = "/rest/api/3/search/jql", "/rest/api/2/search"

Place = Mapping[str, str | int]
Project = Mapping[str, Any]


class Outcome(StrEnum):
    """How a poll went: the word that is counted, logged and shown."""

    OK = "ok"
    FLOODED = "flooded"  # more changes than are looked through
    REFUSED = "refused"  # Jira does not accept the credential, or it may not search
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"
    NOT_RECORDED = "not-recorded"  # the store failed


@dataclass(frozen=True, slots=True)
class Polled:
    """What changed; not `whole`: more did. `projects` are those of the issues, by key, as Jira shows them."""

    found: tuple[Found, ...]
    projects: Mapping[str, Project] = field(default_factory=dict)
    whole: bool = True


@dataclass(frozen=True, slots=True)
class Failed:
    """Jira did not tell; it wants to be left alone for `pause` seconds."""

    outcome: Outcome
    pause: float = 0.0


@dataclass(frozen=True, slots=True)
class _Page:
    found: tuple[Found, ...]
    projects: Mapping[str, Project]
    following: Place | None


class Poll:
    """Polls one Jira. `credential` is the value of an Authorization header; `cloud` says which Jira it seems to be.

    `clock` is Unix time, for the dates until which Jira wants to be left alone.
    """

    def __init__(self, governor: Governor, credential: str, *, cloud: bool, clock: Callable[[], float]) -> None:
        self._governor = governor
        self._clock = clock
        self._headers = [("Authorization", credential), ("Accept", "application/json"), ("Accept-Encoding", "gzip")]
        self._cloud = cloud

    async def ask(self, minutes: int) -> Polled | Failed:
        """List the issues changed within the last minutes, page by page up to a bound."""
        found: tuple[Found, ...] = ()
        projects: dict[str, Project] = {}
        place: Place = {}
        for _ in range(_PAGES):
            page = await self._page(minutes, place)
            if isinstance(page, Failed):
                return page
            found += page.found
            projects.update(page.projects)
            if page.following is None:
                return Polled(found, projects)
            place = page.following
        return Polled(found, projects, whole=False)

    async def _page(self, minutes: int, place: Place) -> _Page | Failed:
        # The latest first: what changes while we turn the pages moves to the front, so that nothing is skipped.
        jql = f"updated >= -{minutes}m ORDER BY updated DESC"
        asked = {"jql": jql, "fields": "updated,project", "maxResults": _PAGE}
        path = _CLOUD if self._cloud else _DATA_CENTER
        outgoing = Outgoing("GET", f"{path}?{urlencode({**asked, **place})}", self._headers)
        try:
            async with asyncio.timeout(_TOTAL):
                reply, body = await self._governor.ask(replace(_CALL, endpoint=f"GET {path}"), outgoing, _whole)
        except NotAsked as spared:
            throttled = spared.why is Why.THROTTLED
            return Failed(Outcome.THROTTLED if throttled else Outcome.UNREACHABLE, spared.retry_after or 0.0)
        except (UpstreamError, TimeoutError):
            return Failed(Outcome.UNREACHABLE)
        return self._read(reply, body)

    def _read(self, reply: Reply, body: bytes) -> _Page | Failed:
        headers, status = reply.headers, reply.status
        # A wrong credential is answered 200 as well, with what anybody may see.
        seen_as = login.judge(Credentialed("repair"), "", status, headers, site_names=False, pseudonym=str)
        if status in _REFUSED or isinstance(seen_as, login.Refused):
            return Failed(Outcome.REFUSED)
        if status == _THROTTLED:
            return Failed(Outcome.THROTTLED, self._pause(headers))
        if status in _NOT_HERE:
            self._cloud = not self._cloud  # each kind of Jira has one of the two; the next poll tries the other
            return Failed(Outcome.UNREADABLE)
        if status != _OK:
            return Failed(Outcome.UNREACHABLE, self._pause(headers))
        return _page_of(headers, body) or Failed(Outcome.UNREADABLE)

    def _pause(self, headers: Mapping[str, str]) -> float:
        return retry_after(headers.get("retry-after", ""), self._clock())


async def _whole(reply: Reply) -> tuple[Reply, bytes]:
    """Read an answer; nothing of one that is too large."""
    try:
        body, whole = await reply.read(_LARGEST)
    finally:
        reply.close()
    return reply, body if whole else b""


def _page_of(headers: Mapping[str, str], body: bytes) -> _Page | None:
    """Read a page; None if anything about it is not as expected: an issue left out could be a change overlooked."""
    try:
        said = orjson.loads(decoded(body, headers.get("content-encoding", "").lower(), _LARGEST))
        found = tuple(_found(issue) for issue in said["issues"])
        projects = [issue["fields"].get("project") for issue in said["issues"]]
    except (ValueError, LookupError, TypeError, AttributeError):
        return None
    shown = {str(project.get("key")): project for project in projects if isinstance(project, dict)}
    return _Page(found, shown, _following(said, len(found)))


def _found(issue: Any) -> Found:
    updated = jira_time(issue["fields"]["updated"])
    if updated is None:
        raise ValueError("an issue without the time of its last change")
    return Found(str(issue["id"]), str(issue["key"]).upper(), updated)


def _following(said: Mapping[str, Any], count: int) -> Place | None:
    """Tell where the next page begins; None after the last. Cloud names it by a token, Data Center counts."""
    if token := said.get("nextPageToken"):
        return {"nextPageToken": str(token)}
    begun, total = said.get("startAt"), said.get("total")
    if not isinstance(begun, int) or not isinstance(total, int) or not count or begun + count >= total:
        return None
    return {"startAt": begun + count}
