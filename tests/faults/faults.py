"""What can happen to a Redis, made to happen to a real one while two proxies that share it are under load.

Each fault is a row of FAULTS: a trial that ends when the trouble does (or, where the servers have to help themselves,
when it has begun), from which moment on the recovery is measured: until every proxy answers from cache again.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count, pairwise
from pathlib import Path

from redis.crc import key_slot

from tests.faults.load import Load, Tally, happened, under_load
from tests.faults.redises import Node, Wire, clustered, one, watched, wired

LEDGER = "tenant:default:ledger"
SLOT = key_slot(b"{tenant:default}")


@dataclass(frozen=True)
class Outcome:
    """What the load saw, how many seconds the recovery took, and what was shown besides."""

    tally: Tally
    recovery: float


class Trial:
    """A load over a store; `timeout` is the store's, in seconds."""

    def __init__(self, folder: Path, timeout: float) -> None:
        self.folder = folder
        self.timeout = timeout
        self.outcome: Outcome

    @asynccontextmanager
    async def over(self, store_url: str) -> AsyncIterator[Load]:
        """Load a store until it serves; let the trouble happen; wait for the recovery and a little longer."""
        async with under_load(store_url, self.timeout) as load:
            await load.served_from_cache_again()
            yield load
            recovery = await load.served_from_cache_again()
            await load.answered(100)
        self.outcome = Outcome(load.tally, recovery)

    async def last(self, load: Load) -> None:
        """Let the trouble last until all who wait for the store have given up on it twice, and some did not wait."""
        await asyncio.sleep(2 * self.timeout)
        await load.answered(60)


Stage = Callable[[Trial], Awaitable[None]]


async def refused(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        node.kill()
        await trial.last(load)
        await node.start()


async def _for_a_while(trial: Trial, trouble: Callable[..., None]) -> None:
    async with wired(trial.folder) as wire, trial.over(wire.url) as load:
        trouble(wire, on=True)
        await trial.last(load)
        trouble(wire, on=False)


async def reset(trial: Trial) -> None:
    await _for_a_while(trial, Wire.reset)


async def reset_now_and_then(trial: Trial) -> None:
    async with wired(trial.folder) as wire, trial.over(wire.url) as load:
        for _ in range(10):
            wire.reset(on=True)
            wire.reset(on=False)
            await load.answered(10)


async def silent(trial: Trial) -> None:
    await _for_a_while(trial, Wire.silence)


async def hung(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        node.hang()
        await trial.last(load)
        node.wake()


async def slow(trial: Trial) -> None:
    async with wired(trial.folder) as wire, trial.over(wire.url) as load:
        wire.delay = 0.2 * trial.timeout
        await trial.last(load)
        wire.delay = 0.0


async def full(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        await node.admin.config_set("maxmemory", 1)
        await trial.last(load)
        await node.admin.config_set("maxmemory", 0)


async def evicting(trial: Trial) -> None:
    async with one(trial.folder, "--maxmemory-policy", "allkeys-random") as node, trial.over(node.url) as load:
        room = (await node.admin.info("memory"))["used_memory"] + 500_000
        await node.admin.config_set("maxmemory", room)
        filler = count()

        async def ledger_evicted() -> bool:
            await node.admin.set(f"filler:{next(filler)}", b"x" * 50_000)
            return not await node.admin.exists(LEDGER)

        for _ in range(5):
            await happened(ledger_evicted)
        await load.answered(60)
        await node.admin.config_set("maxmemory", 0)


async def flushed(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        for _ in range(10):
            await node.admin.flushall()
            await load.answered(10)


async def scripts_flushed(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        for _ in range(10):
            await node.admin.script_flush()
            await load.answered(10)


async def read_only(trial: Trial) -> None:
    async with one(trial.folder) as node, trial.over(node.url) as load:
        await node.admin.execute_command("REPLICAOF", "127.0.0.1", "1")
        await trial.last(load)
        await node.admin.execute_command("REPLICAOF", "NO", "ONE")


async def loading(trial: Trial) -> None:
    # It answers whenever it has read another 2 MB.
    async with one(trial.folder, "--rdbcompression", "no") as node, trial.over(node.url) as load:
        await node.admin.eval("for n = 1, 3000 do redis.call('SET', 'filler:' .. n, string.rep('x', 10000)) end", 0)
        await node.admin.save()
        for delay in (500, 2000, 8000):  # microseconds for each key; a busy machine may see the end of the first only
            node.kill()
            await node.start("--key-load-delay", str(delay))
            if await node.says("persistence", "loading", 1):
                break
        await load.answered(60)
        await happened(lambda: node.says("persistence", "loading", 0))


async def master_killed(trial: Trial) -> None:
    async with watched(trial.folder) as (master, _, sentinel):
        nobody = "127.0.0.1:1"  # a Sentinel that is gone
        async with trial.over(f"redis+sentinel://{nobody},127.0.0.1:{sentinel.port}/mymaster"):
            master.kill()


async def master_hung(trial: Trial) -> None:
    """It wakes up when another has taken over, and takes itself for the master until the Sentinel tells it."""
    async with watched(trial.folder) as (master, replica, sentinel):
        url = f"redis+sentinel://127.0.0.1:{sentinel.port}/mymaster"
        async with trial.over(url) as load:
            master.hang()
            await happened(lambda: replica.says("replication", "role", "master"))
            await trial.last(load)
            master.wake()


async def slot_moved(trial: Trial) -> None:
    async with clustered(trial.folder, masters=2) as nodes:
        places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        owner = _owner(2)
        async with trial.over(f"redis+cluster://{places}") as load:
            for source, target in ((owner, 1 - owner), (1 - owner, owner)):
                await _move_slot(nodes[source], nodes[target], load)


async def cluster_master_killed(trial: Trial) -> None:
    owner = _owner(3)
    async with clustered(trial.folder, masters=3, replica_of=owner) as nodes:
        places = ",".join(f"127.0.0.1:{node.port}" for node in nodes)
        async with trial.over(f"redis+cluster://{places}"):
            nodes[owner].kill()


def _owner(masters: int) -> int:
    """Tell which of so many masters has the tenant's slot."""
    bounds = pairwise(16384 * number // masters for number in range(masters + 1))
    return next(number for number, (first, end) in enumerate(bounds) if first <= SLOT < end)


async def _move_slot(source: Node, target: Node, load: Load) -> None:
    """Move the tenant's slot as `redis-cli --cluster reshard` does, key by key, while requests go on."""
    ids = [(await node.admin.execute_command("CLUSTER", "MYID")).decode() for node in (source, target)]
    await target.admin.execute_command("CLUSTER", "SETSLOT", SLOT, "IMPORTING", ids[0])
    await source.admin.execute_command("CLUSTER", "SETSLOT", SLOT, "MIGRATING", ids[1])
    while keys := await source.admin.execute_command("CLUSTER", "GETKEYSINSLOT", SLOT, 10):
        for key in keys:
            await source.admin.execute_command("MIGRATE", "127.0.0.1", target.port, key, 0, 5000)
            await load.answered(3)
    for node in (target, source):
        await node.admin.execute_command("CLUSTER", "SETSLOT", SLOT, "NODE", ids[1])
    await load.answered(60)


@dataclass(frozen=True)
class Fault:
    """A fault, what to call it, and how it is injected."""

    name: str
    how: str
    stage: Stage


FAULTS = tuple(
    Fault(stage.__name__.replace("_", " "), how, stage)
    for stage, how in {
        refused: "`kill -9`, then started again, empty",
        reset: "every connection and every new one reset by a TCP proxy",
        reset_now_and_then: "ten times every connection reset by a TCP proxy, new ones let through",
        silent: "a TCP proxy accepts and forwards nothing",
        hung: "`SIGSTOP`, then `SIGCONT`",
        slow: "a TCP proxy adds 40 % of `store.timeout` to each round trip",
        full: "`maxmemory 1`, `noeviction`",
        evicting: "`allkeys-random`, others fill it up until the ledger has been evicted five times",
        flushed: "ten times `FLUSHALL`",
        scripts_flushed: "ten times `SCRIPT FLUSH`",
        read_only: "`REPLICAOF` a master that is not there, then `NO ONE`",
        loading: "`kill -9`, then started with an RDB file that takes long to load",
        master_killed: "Sentinel: `kill -9` of the master; down after 0.5 s",
        master_hung: "Sentinel: `SIGSTOP` of the master, `SIGCONT` after another took over; down after 0.5 s",
        slot_moved: "Cluster: the tenant's slot moved to another server and back, key by key",
        cluster_master_killed: "Cluster: `kill -9` of the tenant's master; `cluster-node-timeout` 1 s",
    }.items()
)


async def try_all(
    faults: Collection[Fault],
    timeout: float,  # noqa: ASYNC109 - the store's own
    *,
    at_once: int,
) -> dict[str, Outcome | Exception]:
    """Let the faults happen, `at_once` of them at the same time, each to servers and proxies of its own.

    An exception spoils no other."""
    turns = asyncio.Semaphore(at_once)
    with tempfile.TemporaryDirectory() as folder:

        async def attempt(fault: Fault) -> Outcome | Exception:
            async with turns:
                trial = Trial(Path(folder) / fault.stage.__name__, timeout)
                try:
                    await fault.stage(trial)
                except Exception as error:  # noqa: BLE001 - whoever asks for this outcome raises it
                    return error
            return trial.outcome

        return dict(zip((fault.name for fault in faults), await asyncio.gather(*map(attempt, faults)), strict=True))
