"""Opening listeners, and closing them so that what is under way comes to its end."""

import asyncio
import os
import socket
from contextlib import AsyncExitStack

from aiohttp import web

from proxy.addresses import Address
from proxy.app import App
from proxy.errors import ConfigError

DRAIN = 30.0
"""Seconds that requests and other work under way may take to their end when the process is to stop."""

_CUT = 0.5  # seconds that a request, cut off after that, has to notice it
_FIRST_LOOK, _LOOK = 0.001, 0.05


class Patience:
    """What is left of the time for what is under way: DRAIN seconds from when it is first asked for."""

    def __init__(self) -> None:
        self._until: float | None = None

    def left(self) -> float:
        """Tell how many seconds are left."""
        now = asyncio.get_running_loop().time()
        if self._until is None:
            self._until = now + DRAIN
        return max(0.0, self._until - now)


async def open_front(
    app: App, where: Address, stack: AsyncExitStack, patience: Patience, *, shared: bool = False
) -> Address:
    """Listen for Jira's clients until `stack` ends; `shared` with other processes that say so too."""
    server = app.front.server()
    runner = web.ServerRunner(server, shutdown_timeout=_CUT)
    address = await _listen(runner, where, "listen", stack, shared=shared)
    stack.push_async_callback(lambda: _finish(runner, server, patience))
    return address


async def open_admin(app: App, where: Address, stack: AsyncExitStack) -> Address:
    """Listen for those who run the proxy, until `stack` ends."""
    runner = web.AppRunner(app.admin.app(), access_log=None, shutdown_timeout=1)
    return await _listen(runner, where, "admin.listen", stack)


def reserve(where: Address, stack: AsyncExitStack) -> Address:
    """Take a port for processes that will share it, until `stack` ends. ConfigError if that cannot be done."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError("workers: here processes cannot share a port (no SO_REUSEPORT): only 1 is possible")
    try:
        # Processes of the same user could share it unasked, so look first whether somebody has it for themselves.
        with socket.create_server((where.host, where.port), family=_family(where)):
            pass
        holder = stack.enter_context(socket.socket(_family(where)))
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        holder.bind((where.host, where.port))
    except OSError as error:
        raise _cannot_listen("listen", where, error) from error
    return Address(where.host, holder.getsockname()[1])


async def _listen(
    runner: web.BaseRunner, where: Address, key: str, stack: AsyncExitStack, *, shared: bool = False
) -> Address:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, where.host, where.port, reuse_port=shared or None)
    try:
        await site.start()
    except OSError as error:
        raise _cannot_listen(key, where, error) from error
    return Address(where.host, runner.addresses[0][1])


def _cannot_listen(key: str, where: Address, error: OSError) -> ConfigError:
    return ConfigError(f"{key}: cannot listen on {where} ({os.strerror(error.errno or 0)})")


def _family(where: Address) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in where.host else socket.AF_INET


async def _finish(runner: web.BaseRunner, server: web.Server, patience: Patience) -> None:
    """Accept no more connections, and wait until those that there are have ended."""
    for site in runner.sites:
        await site.stop()
    pause = _FIRST_LOOK
    while server.connections and patience.left():
        await asyncio.sleep(pause)  # aiohttp tells nobody when a request has come to its end
        for connection in server.connections:
            _dismiss(connection)
        pause = min(2 * pause, _LOOK)


def _dismiss(connection: web.RequestHandler) -> None:
    """End a connection: at once if nothing is asked on it, else after the answer.

    Not while a body is still coming in: aiohttp would not read it any further. What it does not tell in public is
    sure enough for the versions that we take (pyproject.toml).
    """
    if connection._request_in_progress or connection._messages:  # noqa: SLF001 - see above
        request = connection._current_request  # noqa: SLF001
        if request is None or request.content.is_eof():
            connection.close()
    else:
        connection.force_close()
