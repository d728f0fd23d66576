"""Real Redis servers in each topology, and a wire that can be cut."""

import asyncio
import signal
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import BusyLoadingError, RedisError

from tests.conftest import free_port, redis_binary
from tests.faults.load import happened

BUS_PORTS = 65536 - 10000  # a server of a Cluster also takes the port that is so much higher than its own


class Node:
    """A redis-server on a loopback port: to kill, to hang, to start again, and to talk to directly (`admin`)."""

    def __init__(self, folder: Path, *words: str) -> None:
        self.port = next(port for port in iter(free_port, 0) if port < BUS_PORTS)
        self.folder = folder / str(self.port)
        self.folder.mkdir(parents=True)
        self._words = words
        self.admin = redis.asyncio.Redis(port=self.port, retry=Retry(NoBackoff(), 1))

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    async def start(self, *words: str) -> None:
        own = ("--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "")
        self._run(redis_binary(), *own, *self._words, *words)
        await happened(self.answers)

    def _run(self, *words: str) -> None:
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, cwd=self.folder)

    async def answers(self) -> bool:
        """Tell whether it answers, be it that it is still loading."""
        try:
            await self.admin.ping()
        except BusyLoadingError:
            return True
        except (RedisError, OSError):
            return False
        return True

    async def says(self, section: str, name: str, value: object) -> bool:
        """Tell whether its INFO has this. One that is just changing its role closes connections, and has not yet."""
        with suppress(RedisError, OSError):
            return (await self.admin.info(section)).get(name) == value
        return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def hang(self) -> None:
        self.process.send_signal(signal.SIGSTOP)

    def wake(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    async def close(self) -> None:
        self.kill()
        with suppress(RedisError, OSError):
            await self.admin.aclose()


class SentinelNode(Node):
    """A Sentinel that alone decides, and soon."""

    def __init__(self, folder: Path, master: int) -> None:
        super().__init__(folder)
        self.config = self.folder / "sentinel.conf"
        lines = (
            f"port {self.port}",
            "bind 127.0.0.1",
            f"sentinel monitor mymaster 127.0.0.1 {master} 1",
            "sentinel down-after-milliseconds mymaster 500",
            "sentinel failover-timeout mymaster 3000",
        )
        self.config.write_text("\n".join(lines) + "\n")

    async def start(self) -> None:
        self._run(redis_binary(), str(self.config), "--sentinel")
        await happened(self.answers)


class Wire:
    """A TCP proxy between clients and a server: as `state` says it forwards, delays, keeps silent or resets."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.delay = 0.0
        self._open = asyncio.Event()
        self._open.set()
        self._resets = False
        self._tasks: set[asyncio.Task] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"

    def silence(self, on: bool) -> None:
        (self._open.clear if on else self._open.set)()

    def reset(self, on: bool) -> None:
        self._resets = on
        for writer in tuple(self._writers) if on else ():
            writer.transport.abort()

    async def close(self) -> None:
        self._server.close()
        self.reset(on=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._resets:
            writer.transport.abort()
            return
        there = await asyncio.open_connection("127.0.0.1", self._to)
        self._writers |= {writer, there[1]}
        for source, sink in ((reader, there[1]), (there[0], writer)):
            task = asyncio.create_task(self._pass(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while chunk := await source.read(65536):
                await asyncio.sleep(self.delay)
                await self._open.wait()
                sink.write(chunk)
                await sink.drain()
        self._writers.discard(sink)
        sink.close()


@asynccontextmanager
async def one(folder: Path, *words: str) -> AsyncIterator[Node]:
    async with AsyncExitStack() as stack:
        yield await _started(stack, Node(folder, *words))


@asynccontextmanager
async def wired(folder: Path) -> AsyncIterator[Wire]:
    async with one(folder) as node:
        wire = Wire(node.port)
        await wire.start()
        try:
            yield wire
        finally:
            await wire.close()


@asynccontextmanager
async def watched(folder: Path, front=None) -> AsyncIterator[tuple[Node, Node, SentinelNode]]:
    """A master, its replica, and a Sentinel, which may know the master by a port in `front` of its own."""
    async with AsyncExitStack() as stack:
        master = await _started(stack, Node(folder, "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0"))
        replica = await _started(stack, Node(folder, "--replicaof", "127.0.0.1", str(master.port)))
        await happened(lambda: replica.says("replication", "master_link_status", "up"))
        sentinel = await _started(stack, SentinelNode(folder, await front(master.port) if front else master.port))
        await happened(lambda: _knows_replica(sentinel))
        yield master, replica, sentinel


@asynccontextmanager
async def clustered(
    folder: Path, *, masters: int, replica_of: int | None = None, front=None
) -> AsyncIterator[list[Node]]:
    """Masters that share the slots evenly; then, if wanted, a replica of one of them.

    They may tell clients a port in `front` of their own.
    """
    words = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000", "--repl-diskless-sync-delay", "0")
    async with AsyncExitStack() as stack:
        count = masters + (replica_of is not None)
        nodes = [Node(folder, *words) for _ in range(count)]
        for node in nodes:
            announced = ("--cluster-announce-port", str(await front(node.port))) if front else ()
            await _started(stack, node, *announced)
        bounds = [16384 * number // masters for number in range(masters + 1)]
        for number, (node, (first, end)) in enumerate(zip(nodes, pairwise(bounds), strict=False)):
            await node.admin.execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            await node.admin.execute_command("CLUSTER", "ADDSLOTS", *range(first, end))
        for node in nodes[1:]:
            await nodes[0].admin.execute_command("CLUSTER", "MEET", "127.0.0.1", node.port)
        formed = ("cluster_state:ok", f"cluster_known_nodes:{count}")
        await happened(lambda: _all(nodes, lambda node: _cluster_says(node, *formed)))
        if replica_of is not None:
            master = (await nodes[replica_of].admin.execute_command("CLUSTER", "MYID")).decode()
            await nodes[-1].admin.execute_command("CLUSTER", "REPLICATE", master)
            await happened(lambda: nodes[-1].says("replication", "master_link_status", "up"))
        yield nodes


async def _started(stack: AsyncExitStack, node, *words: str):
    stack.push_async_callback(node.close)
    await node.start(*words)
    return node


async def _cluster_says(node: Node, *words: str) -> bool:
    told = (await node.admin.execute_command("CLUSTER", "INFO")).decode().split()
    return all(word in told for word in words)


async def _all(nodes: list[Node], condition) -> bool:
    return all([await condition(node) for node in nodes])


async def _knows_replica(sentinel: Node) -> bool:
    return bool(await sentinel.admin.execute_command("SENTINEL", "REPLICAS", "mymaster"))


class Front:
    """TLS in front of a server's port. Who speaks without TLS there is let through, so that servers find each other."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self._to = port
        self._context = context
        self._tasks: set[asyncio.Task] = set()

    async def start(self) -> int:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._socket.setblocking(False)
        self._begin(self._accept())
        return self._socket.getsockname()[1]

    async def close(self) -> None:
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._socket.close()

    def _begin(self, work) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self) -> None:
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(self._socket)
            self._begin(self._meet(connection))

    async def _meet(self, connection: socket.socket) -> None:
        reader, writer = await self._opened(connection)
        there = await asyncio.open_connection("127.0.0.1", self._to)
        try:
            await asyncio.gather(_pump(reader, there[1]), _pump(there[0], writer))
        finally:
            for each in (writer, there[1]):
                each.transport.abort()

    async def _opened(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        loop.add_reader(connection, readable.set_result, None)
        try:
            await readable
        finally:
            loop.remove_reader(connection)
        handshake = connection.recv(1, socket.MSG_PEEK) == b"\x16"
        reader = asyncio.StreamReader()
        protocol = asyncio.StreamReaderProtocol(reader)
        context = self._context if handshake else None
        transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await source.read(65536):
            sink.write(chunk)
            await sink.drain()
    sink.close()
