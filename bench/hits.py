"""What a hit costs: jira-cache's tiers beside nginx and Varnish, in turns, over the same origin and the same issues.

Each round gives every server the same requests for a moment, one server after the other, so that what else the machine
does falls on all alike. Ratios are taken round by round; the figures are medians over the rounds.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median

from bench import peers, questions
from bench.client import Client
from bench.peers import Server
from bench.tables import Table, ratio

ROUNDS, SECONDS, ALONE = 5, 0.25, 150  # rounds, how long one lasts, how many requests on a connection alone
BOUND = 15.0
"""Seconds for the rounds of one comparison: on a busy machine there are fewer of them."""
_MOST = 30_000  # requests that a round may need
CODINGS: Mapping[str, str] = {"clients that accept gzip": "gzip", "clients that do not": "identity"}


@dataclass(frozen=True)
class Figures:
    """What a round found: CPU seconds for each request, those of Redis, requests a second, seconds alone."""

    cpu: float
    redis: float
    rate: float
    alone: float


@dataclass(frozen=True)
class Contender:
    """A server, its clients, and what the rounds found."""

    server: Server
    busy: Client
    alone: Client
    rounds: list[Figures] = field(default_factory=list)


def measure() -> Iterator[Table]:
    """Compare them for requests that repeat to the byte, and for a mix; for both kinds of clients."""
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin())
        servers = list(_servers(folder, jira, stack))
        for kind, coding in CODINGS.items():
            for server in servers:
                with closing(Client(server.port, connections=16)) as client:
                    client.run(questions.everything(coding))
            for what, asked in _scenarios(coding):
                yield _compare(f"A hit: {what}, {kind}", servers, asked, jira)


def _servers(folder: Path, jira: Server, stack: ExitStack) -> Iterator[Server]:
    if peers.program("nginx"):
        yield stack.enter_context(peers.nginx(folder, jira))
        yield stack.enter_context(peers.nginx(folder, jira, tuned=True))
    if peers.program("varnishd"):
        yield stack.enter_context(peers.varnish(folder, jira))
    yield stack.enter_context(peers.jira_cache(folder, jira, name="jira-cache: near tier over memory"))
    redis = stack.enter_context(peers.redis_server(folder))
    for tier, store in peers.OVER_REDIS.items():
        name = f"jira-cache: {tier}"
        yield stack.enter_context(peers.jira_cache(folder, jira, name=name, redis=redis, store=store))


def _scenarios(coding: str) -> Iterator[tuple[str, Callable[[int], Iterable[bytes]]]]:
    """Name what is asked, and tell for each round what that is."""
    mixed = questions.mix(coding, Random(1), ROUNDS * _MOST)
    yield "the same to the byte", lambda _: questions.repeats(coding)
    yield (
        f"{questions.URLS:,} URLs, {questions.CALLERS} callers, shuffled headers",
        lambda at: mixed[at * _MOST : (at + 1) * _MOST],
    )


def _compare(title: str, servers: list[Server], asked: Callable[[int], Iterable[bytes]], jira: Server) -> Table:
    before, count = peers.calls(jira), 0
    with ExitStack() as stack:
        contenders = [_contender(server, stack) for server in servers]
        until = time.monotonic() + BOUND
        for at in range(ROUNDS):
            if at and time.monotonic() > until:
                break
            count += sum(_round(contender, asked(at)) for contender in contenders)
    missed = peers.calls(jira) - before
    notes = [f"{missed:,} of {count:,} requests were no hits."] if missed else []
    return Table(title, _COLUMNS, list(_rows(contenders)), notes)


def _contender(server: Server, stack: ExitStack) -> Contender:
    busy, alone = Client(server.port, connections=16), Client(server.port, connections=1)
    stack.callback(busy.close)
    stack.callback(alone.close)
    return Contender(server, busy, alone)


def _round(contender: Contender, asked: Iterable[bytes]) -> int:
    requests, server = iter(asked), contender.server
    alone = median(contender.alone.waits(islice(requests, ALONE)))
    began, redis_began = server.process.cpu(), server.redis.cpu() if server.redis else 0.0
    ran = contender.busy.run(requests, SECONDS)
    cpu, redis = server.process.cpu() - began, server.redis.cpu() - redis_began if server.redis else 0.0
    contender.rounds.append(Figures(cpu / ran.requests, redis / ran.requests, ran.requests / ran.seconds, alone))
    return ran.requests + ALONE


_COLUMNS = (
    "",
    "CPU µs",
    "x nginx",
    "x near tier",
    "Redis' CPU µs",
    "requests/s",
    "x nginx",
    "p50 alone, µs",
    "x nginx",
)


def _rows(contenders: list[Contender]) -> Iterator[tuple[str, ...]]:
    rounds = {contender.server.name: contender.rounds for contender in contenders}
    for name, own in rounds.items():
        nginx, near = rounds.get("nginx", []), rounds["jira-cache: near tier over memory"]
        yield (
            name,
            f"{median(each.cpu for each in own) * 1e6:.1f}",
            ratio((each.cpu for each in own), (each.cpu for each in nginx)),
            ratio((each.cpu for each in own), (each.cpu for each in near)),
            f"{median(each.redis for each in own) * 1e6:.1f}" if any(each.redis for each in own) else "-",
            f"{median(each.rate for each in own):,.0f}",
            ratio((each.rate for each in own), (each.rate for each in nginx)),
            f"{median(each.alone for each in own) * 1e6:.0f}",
            ratio((each.alone for each in own), (each.alone for each in nginx)),
        )
