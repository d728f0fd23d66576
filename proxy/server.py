"""A running proxy: listening, reloading, stopping. What it is made of is put together in proxy.app."""

import asyncio
import logging
import os
import signal
import sys
from collections.abc import Callable, Collection, Coroutine, Mapping
from contextlib import AsyncExitStack, suppress
from typing import Any, Protocol

from proxy.addresses import Address
from proxy.app import App
from proxy.clock import Steady
from proxy.errors import ConfigError
from proxy.garbage import search_seldom
from proxy.listening import Patience, open_admin, open_front
from proxy.risks import risks
from proxy.rules import edition
from proxy.schema import Config
from proxy.stores.tasks import stop

log = logging.getLogger(__name__)


class Service(Protocol):
    """A proxy that answers, in this process or in several."""

    app: App
    address: Address
    admin: Address

    async def reload(self) -> None:
        """Read policies and routes anew. ConfigError, and nothing changed, if the file is bad."""

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Say so to who asks whether we are ready, then accept no more, finish what is under way, and close.

        `hurry`, once set, ends the wait for those who ask (`drain_delay`).
        """


class Running:
    """A proxy in this process. `address` is where it listens, also when port 0 asked for a free one."""

    def __init__(self, app: App, stack: AsyncExitStack, address: Address, admin: Address) -> None:
        self.app = app
        self._stack = stack
        self.address = address
        self.admin = admin

    async def reload(self) -> None:
        await self.app.follow(self.app.read_anew())

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        if not self.app.health.draining:
            await announce(self.app, hurry)
            await self._stack.aclose()


async def start(
    config: Config,
    environ: Mapping[str, str] = os.environ,
    clock: Callable[[], float] | None = None,
    **environment: Any,
) -> Running:
    """Put everything together and listen. Raises ConfigError where the start must stop.

    `clock` tells the Unix time that the age of answers is measured by, if not the one of the machine; what else of the
    world may be replaced, `App` tells.
    """
    app = App(config, environ, clock or Steady(), **environment)
    patience = Patience()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: app.close(patience.left()))
        attend(app, [*app.loops(), *app.duties()], stack)
        admin = await open_admin(app, config.admin.listen, stack)
        address = await open_front(app, config.listen, stack, patience)
        app.metrics.workers.set(1)
        return Running(app, stack.pop_all(), address, admin)
    raise AssertionError("unreachable: the stack never swallows an exception")


def attend(app: App, loops: Collection[Coroutine[Any, Any, None]], stack: AsyncExitStack) -> None:
    """Run loops until `stack` ends, and show how many tasks this process has."""
    app.metrics.keep(lambda: app.metrics.tasks.set(len(asyncio.all_tasks())))
    stack.push_async_callback(_end, [asyncio.create_task(loop) for loop in loops])


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        await stop(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a loop had ended: %r", error)


async def announce(app: App, hurry: asyncio.Event | None) -> None:
    """Answer on, but as not ready, for `drain_delay`: so that who shares out requests sends them elsewhere first."""
    app.health.draining = True
    with suppress(TimeoutError):
        await asyncio.wait_for((hurry or asyncio.Event()).wait(), app.config.drain_delay)


def run(config: Config) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads policies and routes anew. Returns the exit code."""
    runner = asyncio.Runner(loop_factory=loop_factory())
    with runner:
        return runner.run(_serve(config))


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Tell what makes this platform's fastest event loop."""
    if sys.platform == "win32":
        return None
    import uvloop  # noqa: PLC0415 - not for Windows

    return uvloop.new_event_loop


async def _serve(config: Config) -> int:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    service = await _start(config)
    reloads: set[asyncio.Task[None]] = set()
    loop.add_signal_handler(signal.SIGHUP, lambda: reloads.add(asyncio.ensure_future(_reload(service))))
    for name, tenant in config.tenants.items():
        log.info(
            "serving %s on http://%s%s", tenant.upstream, service.address, tenant.path_prefix, extra={"tenant": name}
        )
    log.info("the admin listener is at http://%s", service.admin)
    for risk in risks(config):
        log.warning("%s: %s", risk.key, risk.why)
    await _greet_stores(service.app, config)
    search_seldom()
    await stopped.wait()
    log.info("stopping: no new requests; those under way are finished")
    stopped.clear()  # a second signal is in a hurry
    await service.stop(stopped)
    return 0


async def _start(config: Config) -> Service:
    if config.workers == 1:
        return await start(config)
    from proxy import workers  # noqa: PLC0415 - it is made of this module's parts

    return await workers.start(config)


async def _reload(service: Service) -> None:
    try:
        await service.reload()
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
