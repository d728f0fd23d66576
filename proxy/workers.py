"""Several processes that answer on one port, and the one that starts them, keeps their number, and stops them.

What there has to be once is here: the admin listener, echoes and repair polls. The workers only answer Jira's clients,
and hear of each other's changes as instances do that share a Redis.
"""

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from proxy.addresses import Address
from proxy.app import App
from proxy.clock import Steady
from proxy.errors import ConfigError
from proxy.listening import DRAIN, Patience, open_admin, reserve
from proxy.metrics import forget_figures, share_counts
from proxy.report import Report, parsed
from proxy.schema import Config
from proxy.server import attend
from proxy.stores.tasks import stop
from proxy.worker import FOLLOWED, LISTENING, Orders, pack

log = logging.getLogger(__name__)

_PATIENCE = 10.0  # seconds for a worker to take in a reload; one that cannot is stuck
_SPARE = 5.0  # seconds beyond its time that a worker has to stop by itself
_LONGEST_LINE = 16 * 1024 * 1024
_SILENCE = 60.0  # seconds after which a worker that tells nothing is stuck


class BackOff:
    """How long to wait before the next try: longer with each failure, until one try has gone well for a while."""

    FIRST, LONGEST, STEADY = 0.1, 30.0, 60.0  # seconds

    def __init__(self) -> None:
        self._next = self.FIRST

    def pause(self, lived: float) -> float:
        """Tell the pause after a try that went well for `lived` seconds."""
        now = self.FIRST if lived >= self.STEADY else self._next
        self._next = min(2 * now, self.LONGEST)
        return now


class Worker:
    """One worker process, from its start to its end. One that tells nothing for `silence` seconds is ended.

    `report` is told what it reports.
    """

    def __init__(
        self,
        number: int,
        process: asyncio.subprocess.Process,
        report: Callable[[Report], None],
        silence: float = _SILENCE,
    ) -> None:
        self.number = number
        self._process = process
        self._report = report
        self._silence = silence
        self._told = {LISTENING: asyncio.Event(), FOLLOWED: asyncio.Event()}
        self._ended = asyncio.create_task(self._hear())

    @classmethod
    async def start(cls, orders: Orders, report: Callable[[Report], None]) -> "Worker":
        """Start one, with the modules that this process has."""
        path = os.pathsep.join(each or "." for each in sys.path)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            env={**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1"},
        )
        worker = cls(orders.number, process, report)
        worker._order(orders)
        return worker

    @property
    def alive(self) -> bool:
        """Whether it answers."""
        return self._told[LISTENING].is_set() and not self._ended.done()

    async def answers(self) -> bool:
        """Wait until it answers Jira's clients. False if it ends before."""
        return await self._until(LISTENING)

    async def follow(self, config: Config) -> None:
        """Have it go by other policies and routes. One that does not within 10 s is ended."""
        self._told[FOLLOWED].clear()
        self._order(config)
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._until(FOLLOWED)
        except TimeoutError:
            log.error("worker %d did not take in the reload", self.number)  # noqa: TRY400 - the line says it all
            self._signal(signal.SIGKILL)

    async def ended(self) -> str:
        """Wait for its end, and tell it."""
        code = await asyncio.shield(self._ended)
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"

    def tell_to_stop(self) -> None:
        """Have it finish what is under way and end."""
        self._signal(signal.SIGTERM)

    async def end(self) -> None:
        """End it at once, if it has not ended."""
        self._signal(signal.SIGKILL)
        await self._ended

    async def _until(self, what: str) -> bool:
        told = asyncio.ensure_future(self._told[what].wait())
        try:
            await asyncio.wait({told, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            return told.done()
        finally:
            told.cancel()

    async def _hear(self) -> int:
        try:
            while line := await asyncio.wait_for(self._line(), self._silence):
                said = orjson.loads(line)
                if (told := self._told.get(said["told"])) is not None:
                    told.set()
                if said["report"] is not None:
                    self._report(parsed(said["report"]))
        except TimeoutError:
            log.error("worker %d is stuck", self.number)  # noqa: TRY400 - the line says it all
            self._signal(signal.SIGKILL)
        return await self._process.wait()

    async def _line(self) -> bytes:
        assert self._process.stdout is not None  # noqa: S101 - a pipe, as asked for
        return await self._process.stdout.readline()

    def _order(self, order: Orders | Config) -> None:
        assert self._process.stdin is not None  # noqa: S101 - a pipe, as asked for
        self._process.stdin.write(pack(order))

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            self._process.send_signal(number)


class Team:
    """All workers. Each that ends unasked is replaced, after a pause that grows where they end one after the other."""

    def __init__(self, app: App, orders: Orders) -> None:
        self._app = app
        self._orders = orders
        self._workers: dict[int, Worker] = {}
        self._keepers: list[asyncio.Task[None]] = []
        app.metrics.keep(self._count)

    async def start(self) -> None:
        """Start all, and wait until they answer. ConfigError if one cannot."""
        for number in range(1, self._app.config.workers + 1):
            await self._hire(number)
        await asyncio.gather(*map(_has_started, self._workers.values()))
        self._keepers = [asyncio.create_task(self._keep(number)) for number in self._workers]

    async def follow(self, config: Config) -> None:
        """Have all go by other policies and routes, those too that will be started later."""
        self._orders = replace(self._orders, config=config)
        await asyncio.gather(*(worker.follow(config) for worker in self._workers.values()))

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        """Have all finish what is under way and end, and wait for that."""
        await self._leave_be()
        workers = self._workers.values()
        _tell_to_stop(workers)
        hurrying = asyncio.create_task(_when(hurry, lambda: _tell_to_stop(workers)))
        with suppress(TimeoutError):
            async with asyncio.timeout(self._app.config.drain_delay + DRAIN + _SPARE):
                await asyncio.gather(*(worker.ended() for worker in workers))
        await stop(hurrying)

    async def end(self) -> None:
        """End those that have not ended."""
        await self._leave_be()
        for worker in self._workers.values():
            await worker.end()

    async def _leave_be(self) -> None:
        for keeper in self._keepers:
            await stop(keeper)

    async def _hire(self, number: int) -> Worker:
        worker = self._workers[number] = await Worker.start(
            replace(self._orders, number=number), self._app.events.take_in
        )
        return worker

    async def _keep(self, number: int) -> None:
        backoff, worker = BackOff(), self._workers[number]
        while True:
            began = time.monotonic()
            how = await worker.ended()
            forget_figures(self._orders.counts, str(number))
            self._app.metrics.worker_restarts.inc()
            pause = backoff.pause(time.monotonic() - began)
            log.error("worker %d %s; another takes its place in %.1f s", number, how, pause)
            await asyncio.sleep(pause)
            worker = await self._hire(number)
            if await worker.answers():
                log.info("worker %d answers again", number)

    def _count(self) -> None:
        self._app.metrics.workers.set(sum(worker.alive for worker in self._workers.values()))


async def _has_started(worker: Worker) -> None:
    if not await worker.answers():
        raise ConfigError(f"workers: number {worker.number} could not start: it {await worker.ended()}")


def _tell_to_stop(workers: Iterable[Worker]) -> None:
    for worker in workers:
        worker.tell_to_stop()


async def _when(told: asyncio.Event | None, deed: Callable[[], None]) -> None:
    if told is not None:
        await told.wait()
        deed()


class Supervised:
    """A proxy in several processes, and this one to supervise them."""

    def __init__(self, app: App, team: Team, stack: AsyncExitStack, address: Address, admin: Address) -> None:
        self.app = app
        self._team = team
        self._stack = stack
        self.address = address
        self.admin = admin
        self._one_at_a_time = asyncio.Lock()

    async def reload(self) -> None:
        async with self._one_at_a_time:
            rules = self.app.read_anew()
            # What a worker still keeps by the former rules is made old by us, so we come last.
            await self._team.follow(rules.config)
            await self.app.follow(rules)

    async def stop(self, hurry: asyncio.Event | None = None) -> None:
        self.app.health.draining = True
        await self._team.stop(hurry)
        await self._stack.aclose()


async def start(config: Config, environ: Mapping[str, str] = os.environ) -> Supervised:
    """Start the workers and what there has to be once. Raises ConfigError where the start must stop."""
    async with AsyncExitStack() as stack:
        address = reserve(config.listen, stack)
        counts = _folder(stack)
        share_counts(counts, "0")
        app = App(config, environ, Steady(), counts=counts)
        stack.push_async_callback(lambda: app.close(Patience().left()))
        attend(app, [*app.loops(), *app.duties()], stack)
        admin = await open_admin(app, config.admin.listen, stack)
        team = Team(app, Orders(0, address, config, app.secret, counts))
        stack.push_async_callback(team.end)
        await team.start()
        return Supervised(app, team, stack.pop_all(), address, admin)
    raise AssertionError("unreachable: the stack never swallows an exception")


def _folder(stack: AsyncExitStack) -> Path:
    """Make a folder for the counts, that only this user can read."""
    try:
        return Path(stack.enter_context(TemporaryDirectory(prefix="jira-cache-")))
    except OSError as error:
        raise ConfigError(f"workers: no folder for their counts can be made ({error.strerror}): set $TMPDIR") from error
