"""The listener of the people who run the proxy. Who may use it is checked here, before anything else.

A web page that somebody looks at on the proxy's own machine must not get through: it can send a request to a loopback
address, or give itself a name that leads there. It cannot send JSON to another origin without being asked first whether
it may (which nothing here allows), and the Host it sends is its own.
"""

import hmac
import re
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.errors import StoreError
from proxy.explain import MalformedLineError
from proxy.metrics import Metrics
from proxy.purge import PurgeError, Purges

_BEARER = "Bearer "
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
_JSON = "application/json"

_BAD_REQUEST, _UNAUTHORIZED, _FORBIDDEN, _UNSUPPORTED, _UNAVAILABLE = 400, 401, 403, 415, 503

Explain = Callable[[str, str], dict[str, Any]]
"""Says what is done with a method and a path. Raises MalformedLineError."""


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
    ) -> None:
        self._token = token
        self._metrics = metrics
        self._stats = stats
        self._purges = purges
        self._explain = explain

    def app(self) -> web.Application:
        """Make the application to listen with."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/api/stats", self._show_stats)
        app.router.add_get("/api/explain", self._show_explanation)
        app.router.add_post("/api/purge", self._purge)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._token is not None:
            if not _same(request.headers.get("Authorization", ""), _BEARER + self._token):
                refused = _error(_UNAUTHORIZED, "a bearer token is required")
                refused.headers["WWW-Authenticate"] = "Bearer"
                return refused
        elif not _LOOPBACK.fullmatch(request.headers.get("Host", "")):
            return _error(_FORBIDDEN, "without admin.token only this machine may ask, and by a loopback address")
        if request.method == "POST" and request.content_type != _JSON:
            return _error(_UNSUPPORTED, f"the Content-Type should be {_JSON}")
        return await handler(request)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=await self._metrics.scrape(), headers={"Content-Type": content_type})

    async def _show_stats(self, _request: web.Request) -> web.Response:
        return _json(self._stats())

    async def _show_explanation(self, request: web.Request) -> web.Response:
        method, path = (request.query.get(name, "") for name in ("method", "path"))
        try:
            return _json(self._explain(method, path))
        except MalformedLineError as error:
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


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())


def _json(told: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(
        status=status, body=orjson.dumps(told), content_type=_JSON, headers={"Cache-Control": "no-store"}
    )


def _error(status: int, line: str) -> web.Response:
    return _json({"error": line}, status)
