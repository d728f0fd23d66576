"""The listener of the people who run the proxy. Who may use it is checked here, before anything else."""

import hmac

from aiohttp import web
from aiohttp.typedefs import Handler

from proxy.metrics import Metrics

_BEARER = "Bearer "


class Admin:
    """Answers the admin listener; `token` None lets everybody in who can reach it."""

    def __init__(self, metrics: Metrics, token: str | None) -> None:
        self._metrics = metrics
        self._token = token

    def app(self) -> web.Application:
        """Make the application to listen with."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/metrics", self._show_metrics)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "")
        if self._token is not None and not _same(given, _BEARER + self._token):
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": "Bearer"}, text="a bearer token is required\n")
        return await handler(request)

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        content_type = "text/plain; version=0.0.4; charset=utf-8"
        return web.Response(body=self._metrics.text(), headers={"Content-Type": content_type})


def _same(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), expected.encode())
