"""A running proxy: listening, reloading, stopping. What it is made of is put together in proxy.app."""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AsyncExitStack

from aiohttp import web

from proxy.addresses import Address
from proxy.app import App
from proxy.errors import ConfigError
from proxy.rules import edition
from proxy.schema import Config
from proxy.stores.tasks import stop

log = logging.getLogger(__name__)

_DRAIN = 30.0


class Running:
    """An app that listens. `address` is where, also when port 0 asked for a free one."""

    def __init__(self, app: App, stack: AsyncExitStack, address: Address, admin: Address) -> None:
        self.app = app
        self._stack = stack
        self.address = address
        self.admin = admin

    async def stop(self) -> None:
        """Stop accepting, finish what is under way (30 s at most), close."""
        self.app.health.draining = True
        await self._stack.aclose()


async def start(
    config: Config, environ: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.time
) -> Running:
    """Put everything together and listen. Raises ConfigError where the start must stop.

    `clock` tells the Unix time that the age of answers is measured by.
    """
    app = App(config, environ, clock)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(app.close)
        stack.push_async_callback(_end, [asyncio.create_task(loop) for loop in app.loops()])
        address = await _listen(
            web.ServerRunner(app.front.server(), shutdown_timeout=_DRAIN), config.listen, "listen", stack
        )
        admin = await _listen(
            web.AppRunner(app.admin.app(), access_log=None, shutdown_timeout=1),
            config.admin.listen,
            "admin.listen",
            stack,
        )
        return Running(app, stack.pop_all(), address, admin)
    raise AssertionError("unreachable: the stack never swallows an exception")


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        await stop(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a loop had ended: %r", error)


async def _listen(runner: web.BaseRunner, where: Address, key: str, stack: AsyncExitStack) -> Address:
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    site = web.TCPSite(runner, where.host, where.port)
    try:
        await site.start()
    except OSError as error:
        raise ConfigError(f"{key}: cannot listen on {where} ({os.strerror(error.errno or 0)})") from error
    port = runner.addresses[0][1]
    return Address(where.host, port)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads policies and routes anew. Returns the exit code."""
    runner = asyncio.Runner(loop_factory=_loop_factory())
    with runner:
        return runner.run(_serve(config))


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not for Windows

    return uvloop.new_event_loop


async def _serve(config: Config) -> int:
    running = await start(config)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    reloads: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.ensure_future(_reload(running.app))))
    for name, tenant in config.tenants.items():
        log.info(
            "serving %s on http://%s%s", tenant.upstream, running.address, tenant.path_prefix, extra={"tenant": name}
        )
    _warn_of_unsigned(config)
    await _greet_stores(running.app, config)
    await stopped.wait()
    log.info("stopping: no new requests; those under way are finished")
    await running.stop()
    return 0


def _warn_of_unsigned(config: Config) -> None:
    unsigned = [name for name, tenant in config.tenants.items() if tenant.webhook_secret is None]
    if unsigned:
        log.warning(
            "without webhook_secret, whoever reaches the listener can announce changes, so make answers old: %s",
            ", ".join(unsigned),
        )


async def _reload(app: App) -> None:
    try:
        await app.reload()
    except ConfigError as error:
        log.error("nothing was reloaded: %s", error)  # noqa: TRY400 - the line says it all
    else:
        log.info("policies and routes were read anew")


async def _greet_stores(app: App, config: Config) -> None:
    """Say at the start, rather than at the first request, that a store cannot be reached."""
    await app.adopt(edition(config))
    for name, store in app.stores.items():
        if store.state != "ok":
            log.warning("the store cannot be reached: serving without a cache until it can", extra={"tenant": name})
