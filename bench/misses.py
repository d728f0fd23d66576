"""What a miss costs: the time it adds to an answer that takes Jira 20 ms, and how many fit into a second."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from statistics import median

from bench import peers, questions
from bench.client import Client
from bench.peers import Server
from bench.tables import Table, ratio

DELAY, QUESTIONS = 0.02, 60  # seconds that Jira takes, questions asked of each
ROUNDS, SECONDS, CONNECTIONS = 4, 0.5, 32


def measure() -> Iterator[Table]:
    """Measure what one takes longer, and how many fit into a second at a slow Jira and at one that takes no time."""
    yield added()
    yield rate(DELAY)
    yield rate(0.0)


def added() -> Table:
    """Ask new questions one by one, in turns: of Jira itself, through nginx, and through jira-cache.

    So each server rests between two questions, and finds little of what it needs in the processor's caches.
    """
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin(DELAY))
        servers = [jira, *_servers(folder, jira, stack)]
        clients = {server.name: _client(server, stack, 1) for server in servers}
        asked, waits = questions.fresh(), {name: [0.0] * 0 for name in clients}
        for _ in range(QUESTIONS):
            for name, client in clients.items():
                waits[name] += client.waits(islice(asked, 1))
    p50 = {name: median(seconds) * 1000 for name, seconds in waits.items()}
    rows = [(name, f"{took:.2f}", f"{took - p50['origin']:.2f}") for name, took in p50.items()]
    return Table(f"A miss at a Jira that takes {DELAY * 1000:.0f} ms", ("", "p50, ms", "added, ms"), rows)


def rate(delay: float) -> Table:
    """Ask new questions as fast as they are answered, of nginx as a plain proxy and of jira-cache, in turns."""
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin(delay))
        servers = list(_servers(folder, jira, stack))
        clients = {server.name: _client(server, stack, CONNECTIONS) for server in servers}
        asked = questions.fresh()
        cpu: dict[str, list[float]] = {name: [] for name in clients}
        rates: dict[str, list[float]] = {name: [] for name in clients}
        for _ in range(ROUNDS):
            for server in servers:
                began = server.process.cpu()
                ran = clients[server.name].run(asked, SECONDS)
                cpu[server.name].append((server.process.cpu() - began) / ran.requests)
                rates[server.name].append(ran.requests / ran.seconds)
    rows = [
        (
            name,
            f"{median(rates[name]):,.0f}",
            ratio(rates[name], rates.get(_PROXY, [])),
            f"{median(cpu[name]) * 1e6:.0f}",
            ratio(cpu[name], cpu.get(_PROXY, [])),
        )
        for name in clients
    ]
    columns = ("", "misses/s", f"x {_PROXY}", "CPU µs", f"x {_PROXY}")
    takes = f"{delay * 1000:.0f} ms" if delay else "no time"
    return Table(f"Misses, {CONNECTIONS} at a time, at a Jira that takes {takes}", columns, rows)


_PROXY = "nginx"


def _servers(folder: Path, jira: Server, stack: ExitStack) -> Iterator[Server]:
    if peers.program("nginx"):
        yield stack.enter_context(peers.nginx(folder, jira, caches=False))
    yield stack.enter_context(peers.jira_cache(folder, jira, name="jira-cache: memory"))
    redis = stack.enter_context(peers.redis_server(folder))
    yield stack.enter_context(peers.jira_cache(folder, jira, name="jira-cache: Redis", redis=redis))


def _client(server: Server, stack: ExitStack, connections: int) -> Client:
    client = Client(server.port, connections=connections)
    stack.callback(client.close)
    client.run(islice(questions.repeats("gzip"), connections))  # connections to Jira stand, the lease is there
    return client
