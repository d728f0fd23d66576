"""Signing in at the admin listener with a browser: a link that is good once, then a session that a cookie stands for.

Redis holds only hashes of what lets somebody in (proxy.library.sessions).
"""

from collections.abc import Iterable
from urllib.parse import urlencode

from aiohttp import web

from proxy.service import AsyncCacheService, OneTimeTokens, Sessions

PATH = "/sign-in"
COOKIE = "jira_cache_session"

_WHO = "admin"  # there is one kind of person here


class SignIn:
    """Links and sessions, kept in `cache`, which has `on_error="raise"`. All coroutines raise StoreError."""

    def __init__(self, cache: AsyncCacheService) -> None:
        self._links = OneTimeTokens(cache)
        self._sessions = Sessions(cache)

    async def link(self) -> str:
        """Make a link, good once and for a quarter of an hour. Returns its path and query."""
        return f"{PATH}?{urlencode({'token': await self._links.issue(_WHO)})}"

    async def redeem(self, token: str) -> str | None:
        """Begin a session for the token of a link; None for one that was used, has expired, or never was."""
        who = await self._links.redeem(token)
        return None if who is None else await self._sessions.begin(who)

    async def admits(self, request: web.Request) -> bool:
        """Tell whether a request is of somebody who is signed in; their session then goes on for half an hour."""
        identifier = request.cookies.get(COOKIE)
        return identifier is not None and await self._sessions.find(identifier) is not None

    async def end(self, request: web.Request) -> None:
        """End the session of a request, if it has one."""
        identifier = request.cookies.get(COOKIE)
        if identifier is not None:
            await self._sessions.end(identifier)


def set_cookie(request: web.Request, response: web.Response, session: str) -> None:
    """Give a session to a browser. A script cannot read it, and another site's page cannot make use of it."""
    response.set_cookie(COOKIE, session, path="/", httponly=True, samesite="Strict", secure=_over_https(request))


def delete_cookie(response: web.Response) -> None:
    """Take the session from a browser."""
    response.del_cookie(COOKIE, path="/")


def same_origin(request: web.Request) -> bool:
    """Tell whether a request was made by a page of this very listener; a browser always says so of a POST."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    host = request.headers.get("Host", "").lower()
    return request.headers.get("Origin", "").lower() in {f"http://{host}", f"https://{host}"}


def without_cookie(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Leave the session out of headers: a browser sends it to every port of its host, and it is not for Jira."""
    kept = ((name, _without(value) if name.lower() == "cookie" else value) for name, value in pairs)
    return [(name, value) for name, value in kept if value or name.lower() != "cookie"]


def _without(cookies: str) -> str:
    crumbs = (crumb.strip() for crumb in cookies.split(";"))
    return "; ".join(crumb for crumb in crumbs if crumb.partition("=")[0].strip() != COOKIE)


def _over_https(request: web.Request) -> bool:
    return "https" in (request.scheme, request.headers.get("X-Forwarded-Proto", "").lower())
