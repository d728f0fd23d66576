"""How much memory an issue takes that is kept, tags and all that finds it included, beside its body."""

from collections.abc import Iterator
from contextlib import ExitStack, closing

import redis

from bench import peers, questions
from bench.client import Client
from bench.issues import ISSUE_SIZE
from bench.peers import Server
from bench.tables import Table

WARM, KEPT = 4_500, 4_000
LEARNT = 500  # of the first, so many are also asked for by clients of each kind
_FIRST = 10_001  # five digits each, so that all answers are of one length


def measure() -> Iterator[Table]:
    """Keep different issues, then have them all hit by clients of each kind; weigh after each step."""
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin())
        server = stack.enter_context(peers.redis_server(folder))
        near = stack.enter_context(peers.jira_cache(folder, jira))
        far = stack.enter_context(peers.jira_cache(folder, jira, redis=server, store={"coherence": "strict"}))
        rows = [*_in_process(near), _in_redis(far, server)]
    columns = ("", "bytes", f"x the body ({ISSUE_SIZE:,} bytes)")
    yield Table(f"Memory: a kept issue, on average of {KEPT:,} different ones", columns, rows)


def _in_process(server: Server) -> Iterator[tuple[str, ...]]:
    with closing(Client(server.port, connections=16)) as client:
        for coding in ("gzip", "identity"):
            client.run(_ask(0, LEARNT, coding))
        # What is remembered of so many requests, whatever is kept, is full before anything is weighed.
        client.run(_ask(LEARNT, WARM, "gzip"))
        before = server.process.memory()
        for step, coding in _STEPS:
            client.run(_ask(WARM, WARM + KEPT, coding))
            yield _row(f"in the process: {step}", server.process.memory() - before)


_STEPS = (
    ("kept", "gzip"),
    ("and hit by clients that accept gzip", "gzip"),
    ("and hit by clients that do not", "identity"),
)


def _in_redis(server: Server, store: Server) -> tuple[str, ...]:
    with closing(Client(server.port, connections=16)) as client, redis.Redis(port=store.port) as direct:
        client.run(_ask(0, WARM, "gzip"))
        before = _used(direct)
        client.run(_ask(WARM, WARM + KEPT, "gzip"))
        return _row("in Redis", _used(direct) - before)


def _used(direct: "redis.Redis[bytes]") -> int:
    return int(direct.info("memory")["used_memory_dataset"])


def _row(name: str, total: int) -> tuple[str, ...]:
    each = total / KEPT
    return name, f"{each:,.0f}", f"{each / ISSUE_SIZE:.2f}"


def _ask(start: int, end: int, coding: str) -> Iterator[bytes]:
    return (questions.head(f"/rest/api/2/issue/PROJ-{_FIRST + number}", coding=coding) for number in range(start, end))
