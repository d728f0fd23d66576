"""A herd: a hundred callers who want the same at once, which nobody has asked before, and Jira takes 300 ms."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing
from statistics import mean, median

from bench import peers, questions
from bench.client import Client
from bench.peers import Server
from bench.tables import Table

DELAY, CALLERS, TIMES, PROCESSES = 0.3, 100, 3, 3
GIVE_WAY = 15
"""How nice the instances that share a Redis are: they run on all cores there are, and Jira, Redis and the load come
first there, for in life these have machines of their own, and do not wait until three proxies have read all questions.
"""


def measure() -> Iterator[Table]:
    """Send herds at one process, at three that share a Redis, and at nginx with its lock."""
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin(DELAY))
        one = stack.enter_context(peers.jira_cache(folder, jira))
        redis = stack.enter_context(peers.redis_server(folder))
        three = [
            stack.enter_context(peers.jira_cache(folder, jira, redis=redis, core=None, nice=GIVE_WAY))
            for _ in range(PROCESSES)
        ]
        herds: dict[str, Sequence[Server]] = {
            "jira-cache, one process": [one],
            f"jira-cache, {PROCESSES} processes on one Redis": three,
        }
        if peers.program("nginx"):
            herds["nginx, proxy_cache_lock"] = [stack.enter_context(peers.nginx(folder, jira))]
        numbers = iter(range(len(herds) * TIMES))
        rows = [_row(name, servers, jira, [next(numbers) for _ in range(TIMES)]) for name, servers in herds.items()]
    columns = ("", "calls to Jira", "mean wait - Jira's time, ms", "longest, ms")
    yield Table(f"A herd: {CALLERS} equal questions at once, Jira takes {DELAY * 1000:.0f} ms", columns, rows)


def _row(name: str, servers: Sequence[Server], jira: Server, numbers: Sequence[int]) -> tuple[str, ...]:
    first = questions.head(questions.path(0))
    with closing(Client(jira.port, connections=1)) as direct:
        alone = median(direct.waits([first] * TIMES))
    with closing(Client(*(server.port for server in servers), connections=CALLERS)) as client:
        client.herd(first)  # connections stand, and the lease is known everywhere
        before = peers.calls(jira)
        herds = [client.herd(questions.head(questions.path(1, f"?properties=herd{number}"))) for number in numbers]
        asked = (peers.calls(jira) - before) / TIMES
    added = [median(figure(herd) for herd in herds) - alone for figure in (mean, max)]
    return name, f"{asked:.1f}", *(f"{seconds * 1000:+.1f}" for seconds in added)
