"""A worker: one of several processes that answer Jira's clients on one port.

It is started by `proxy.workers`, which speaks to it by its standard input: first the Orders, then, after each reload,
the configuration to go by. By its standard output the worker tells how it is, a JSON object a line. When the input
ends, the one who started it is gone, and so it stops as it would when told to.
"""

import asyncio
import logging
import os
import pickle
import signal
import struct
import sys
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from proxy import logs
from proxy.addresses import Address
from proxy.app import App, Rules
from proxy.clock import Steady
from proxy.errors import ConfigError
from proxy.garbage import search_seldom
from proxy.listening import Patience, open_front
from proxy.metrics import share_counts
from proxy.report import Report
from proxy.rules import rulebook
from proxy.schema import Config
from proxy.server import announce, attend, loop_factory

log = logging.getLogger(__name__)

LISTENING, FOLLOWED, ALIVE = "listening", "followed", "alive"
"""What a worker tells: that it answers, that it goes by the last configuration, and each second that it lives."""

_BEAT = 1.0
_LENGTH = struct.Struct("!I")
_MISTAKE = 2


@dataclass(frozen=True, slots=True)
class Orders:
    """What a worker is to do. `counts` is the folder in which all count (proxy.metrics)."""

    number: int
    listen: Address
    config: Config
    secret: bytes
    counts: Path


def pack(order: Orders | Config) -> bytes:
    """Write an order as it goes down the pipe."""
    told = pickle.dumps(order)
    return _LENGTH.pack(len(told)) + told


class Parent:
    """The process that started this one, as seen from here."""

    def __init__(self, heard: asyncio.StreamReader, said: asyncio.WriteTransport) -> None:
        self._heard = heard
        self._said = said

    @classmethod
    async def meet(cls) -> "Parent":
        """Listen to standard input, and speak by standard output."""
        loop, heard = asyncio.get_running_loop(), asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(heard), sys.stdin)
        said, _ = await loop.connect_write_pipe(asyncio.Protocol, sys.stdout)
        return cls(heard, said)

    async def order(self) -> Any:
        """Wait for the next order; None when there will be none any more."""
        with suppress(asyncio.IncompleteReadError):
            (length,) = _LENGTH.unpack(await self._heard.readexactly(_LENGTH.size))
            return pickle.loads(await self._heard.readexactly(length))  # noqa: S301 - whoever started us
        return None

    @property
    def listens(self) -> bool:
        """Whether the parent has heard all that it was told."""
        return not self._said.get_write_buffer_size()

    def tell(self, what: str, report: Report | None = None) -> None:
        """Tell how it is; what a parent that does not listen has not yet heard is not added to."""
        if self.listens:
            self._said.write(orjson.dumps({"told": what, "report": report}) + b"\n")


async def work() -> int:
    """Answer until told to stop. Returns the exit code."""
    parent = await Parent.meet()
    orders = await parent.order()
    if orders is None:
        return 0
    logs.start(orders.config.log)
    share_counts(orders.counts, str(orders.number))
    try:
        await _answer(parent, orders, _stop_signal())
    except ConfigError as error:
        log.error("worker %d: %s", orders.number, error)  # noqa: TRY400 - the line says it all
        return _MISTAKE
    return 0


def _stop_signal() -> asyncio.Event:
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    return told


async def _answer(parent: Parent, orders: Orders, told: asyncio.Event) -> None:
    app = App(orders.config, os.environ, Steady(), secret=orders.secret)
    patience = Patience()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(lambda: app.close(patience.left()))
        attend(app, [*app.loops(), _obey(parent, app, told), _beat(parent, app)], stack)
        await open_front(app, orders.listen, stack, patience, shared=True)
        parent.tell(LISTENING)
        search_seldom()
        await told.wait()
        told.clear()
        await announce(app, told)


async def _obey(parent: Parent, app: App, told: asyncio.Event) -> None:
    while isinstance(config := await parent.order(), Config):
        app.take(Rules(config, rulebook(config)))
        parent.tell(FOLLOWED)
    told.set()


async def _beat(parent: Parent, app: App) -> None:
    """Write down what this process knows, and show that it lives, and what it has seen."""
    while True:
        app.metrics.refresh()
        if parent.listens:  # else the next report tells it too
            parent.tell(ALIVE, app.tally.take())
        await asyncio.sleep(_BEAT)


def main() -> None:
    """Run one worker. Who stops all of them at a terminal, or reloads them, tells their parent."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        sys.exit(runner.run(work()))


if __name__ == "__main__":
    main()
