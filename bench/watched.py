"""What a hit waits while somebody watches: bursts of hits with the dashboard's stream open, and without, in turns."""

import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from statistics import median, quantiles
from threading import Thread
from time import perf_counter

from bench import peers, questions
from bench.client import Client
from bench.tables import Table, ratio

ROUNDS, SECONDS, CONNECTIONS = 16, 1.0, 16
_PIECE = 64 * 1024
_GET = b"GET /api/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
_ALONE, _OPEN = "nobody watches", "the dashboard is open"
_SHARES = {"p50": 500, "p99": 990, "p99.9": 999}  # of a thousand


def measure() -> Iterator[Table]:
    """Compare the slowest of the hits, round by round."""
    waits: dict[str, list[list[float]]] = {_ALONE: [], _OPEN: []}
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin())
        server = stack.enter_context(peers.jira_cache(folder, jira))
        client = stack.enter_context(closing(Client(server.port, connections=CONNECTIONS)))
        client.run(questions.everything("gzip"))
        for _ in range(ROUNDS):
            waits[_ALONE].append(_hits(client, nullcontext()))
            waits[_OPEN].append(_hits(client, watching(server.admin)))
    columns = ("", *(f"{share}{what}" for share in _SHARES for what in (", ms", " x nobody")))
    rows = [(name, *_figures(rounds, waits[_ALONE])) for name, rounds in waits.items()]
    yield Table(f"Hits in bursts of {CONNECTIONS}, while the dashboard is open", columns, rows)


@contextmanager
def watching(port: int) -> Iterator[None]:
    """Read the events of the admin listener as an open dashboard does."""
    with socket.create_connection(("127.0.0.1", port)) as stream:
        stream.sendall(_GET)
        if not stream.recv(_PIECE).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("the admin listener does not let anybody listen")
        reader = Thread(target=_read, args=(stream,))
        reader.start()
        try:
            yield
        finally:
            stream.shutdown(socket.SHUT_RDWR)
            reader.join()


def _read(stream: socket.socket) -> None:
    while stream.recv(_PIECE):
        pass


def _hits(client: Client, watched: AbstractContextManager[None]) -> list[float]:
    """Have bursts answered for a while; return the seconds that each hit took."""
    requests, waited = questions.repeats("gzip"), list[float]()
    with watched:
        until = perf_counter() + SECONDS
        while perf_counter() < until:
            waited += client.herd(next(requests))
    return waited


def _figures(rounds: list[list[float]], beside: list[list[float]]) -> Iterator[str]:
    own, others = ([quantiles(waited, n=1000) for waited in each] for each in (rounds, beside))
    for at in _SHARES.values():
        yield f"{median(cuts[at - 1] for cuts in own) * 1000:.2f}"
        yield ratio((cuts[at - 1] for cuts in own), (cuts[at - 1] for cuts in others))
