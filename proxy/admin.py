"""The listener of the people who run the proxy. Who may use it is checked here, before anything else.

A web page that somebody looks at on the proxy's own machine must not get through: it can send a request to a loopback
address, or give itself a name that leads there. It cannot send JSON to another origin without being asked first whether
it may (which nothing here allows), and the Host it sends is its own. What a session's cookie is to let in has to come
from a page of this listener.
"""

import hmac
import re
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.assets import PAGE, PREFIX, SIGN_IN, Assets
from proxy.errors import StoreError
from proxy.events import Events
from proxy.explain import MalformedLineError
from proxy.gauges import EVERYBODY
from proxy.inspection import InspectionError
from proxy.metrics import Metrics
from proxy.purge import PurgeError, Purges
from proxy.report import OUTCOMES
from proxy.signin import COOKIE, PATH, SignIn, delete_cookie, same_origin, set_cookie
from proxy.units import shown

_BEARER = "Bearer "
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_JSON = "application/json"
_STALE_LINK = "this link was used, has expired, or never was one; `jira-cache admin-link` prints a new one"
_PRIVATE = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
_SEE_OTHER, _BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 303, 400, 401, 403, 404
_UNSUPPORTED, _UNAVAILABLE = 415, 503

Explain = Callable[[str, str, str | None, str | None], Awaitable[dict[str, Any]]]
"""Says what is done with a method and a path, for a tenant and a caller. Raises MalformedLineError, InspectionError."""


class Admin:
    """Answers the admin listener; `token` None lets everybody in who is on this machine."""

    def __init__(
        self,
        token: str | None,
        *,
        metrics: Metrics,
        stats: Callable[[], dict[str, Any]],
        purges: Purges,
        explain: Explain,
        sign_in: SignIn,
        events: Events,
        parts: Callable[[], dict[str, Any]],
    ) -> None:
        self._token = token
        self._metrics = metrics
        self._stats = stats
        self._purges = purges
        self._explain = explain
        self._sign_in = sign_in
        self._events = events
        self._parts = parts
        self._assets = Assets()

    def app(self) -> web.Application:
        """Make the application to listen with."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/api/stats", self._show_stats)
        app.router.add_get("/api/parts", self._show_parts)
        app.router.add_get("/api/explain", self._show_explanation)
        app.router.add_post("/api/purge", self._purge)
        app.router.add_get("/", self._show_page)
        app.router.add_get(f"{PREFIX}{{name}}", self._show_asset)
        app.router.add_get("/api/about", self._show_about)
        app.router.add_post("/api/sign-in-links", self._make_link)
        app.router.add_get(PATH, self._begin_session, allow_head=False)
        app.router.add_post("/sign-out", self._end_session)
        app.router.add_get("/api/events", self._stream_events, allow_head=False)
        app.on_shutdown.append(self._let_go)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            refused = await self._refusal(request)
            return await handler(request) if refused is None else refused
        except StoreError as error:
            return _error(_UNAVAILABLE, f"the store cannot be asked: {error}")

    async def _refusal(self, request: web.Request) -> web.Response | None:
        """Make the answer for who may not ask this; None for who may."""
        by_token = self._token is not None and _same(request.headers.get("Authorization", ""), _BEARER + self._token)
        if self._token is None:
            if not _LOOPBACK.fullmatch(request.headers.get("Host", "")):
                return _error(_FORBIDDEN, "without admin.token only this machine may ask, and by a loopback address")
        elif not by_token and not _open(request) and not await self._sign_in.admits(request):
            return self._unauthorized(request)
        if request.method != "POST":
            return None
        if request.content_type != _JSON:
            return _error(_UNSUPPORTED, f"the Content-Type should be {_JSON}")
        if not by_token and COOKIE in request.cookies and not same_origin(request):
            return _error(_FORBIDDEN, "another site's page may not order anything")
        return None

    def _unauthorized(self, request: web.Request) -> web.Response:
        if request.path == "/" and "text/html" in request.headers.get("Accept", ""):
            refused = self._assets.page(SIGN_IN, _UNAUTHORIZED)
        else:
            refused = _error(_UNAUTHORIZED, "a bearer token is required, or a link of `jira-cache admin-link`")
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=await self._metrics.scrape(), headers={"Content-Type": content_type})

    async def _show_stats(self, _request: web.Request) -> web.Response:
        return _json(self._stats())

    async def _show_parts(self, _request: web.Request) -> web.Response:
        return _json(self._parts())

    async def _show_explanation(self, request: web.Request) -> web.Response:
        asked = request.query
        try:
            told = await self._explain(
                asked.get("method", ""), asked.get("path", ""), asked.get("tenant"), asked.get("caller")
            )
            return _json(told)
        except (MalformedLineError, InspectionError) as error:
            return _error(_BAD_REQUEST, str(error))

    async def _purge(self, request: web.Request) -> web.Response:
        try:
            return _json(await self._purges.order(orjson.loads(await request.read())))
        except orjson.JSONDecodeError:
            return _error(_BAD_REQUEST, "the body is not JSON")
        except PurgeError as error:
            return _error(_BAD_REQUEST, str(error))
        except StoreError as error:
            return _error(_UNAVAILABLE, f"the store could not record it: {error}")

    async def _show_page(self, _request: web.Request) -> web.Response:
        return self._assets.page(PAGE)

    async def _show_asset(self, request: web.Request) -> web.Response:
        return self._assets.file(request.match_info["name"]) or _error(_NOT_FOUND, "there is no such file")

    async def _show_about(self, request: web.Request) -> web.Response:
        """Tell the page what there is to choose from."""
        about = {
            "version": version("jira-cache-proxy"),
            "tenants": list(self._purges.tenants),
            "types": sorted(self._purges.types),
            "outcomes": OUTCOMES,
            "signed_in": COOKIE in request.cookies,
        }
        return _json(about)

    async def _stream_events(self, request: web.Request) -> web.StreamResponse:
        tenant = request.query.get("tenant", EVERYBODY)
        if tenant not in {EVERYBODY, *self._purges.tenants}:
            return _error(_BAD_REQUEST, f"tenant {shown(tenant)} is not known")
        if self._events.crowded:
            return _error(_UNAVAILABLE, "as many as can are listening already")
        return await self._events.stream(request, tenant)

    async def _let_go(self, _app: web.Application) -> None:
        self._events.drop_all()

    async def _make_link(self, _request: web.Request) -> web.Response:
        return _json({"path": await self._sign_in.link()})

    async def _begin_session(self, request: web.Request) -> web.Response:
        session = await self._sign_in.redeem(request.query.get("token", ""))
        if session is None:
            return web.Response(status=_FORBIDDEN, text=f"{_STALE_LINK}\n", headers=_PRIVATE)
        response = web.Response(status=_SEE_OTHER, headers={"Location": "/", **_PRIVATE})
        set_cookie(request, response, session)
        return response

    async def _end_session(self, request: web.Request) -> web.Response:
        await self._sign_in.end(request)
        self._events.drop_all()  # who is still signed in comes again
        response = _json({"signed_in": False})
        delete_cookie(response)
        return response


def _open(request: web.Request) -> bool:
    """Tell whether a request is one that nobody needs to be let in for: following a link, and files of the page."""
    return request.path == PATH or request.path.startswith(PREFIX)


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _json(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(told), content_type=_JSON, headers={"Cache-Control": "no-store"}
    )


def _error(status: int, line: str) -> web.Response:
    return _json({"error": line}, status)
