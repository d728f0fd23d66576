"""What it costs to tell what a request is, for the routes that are asked most: CPU time of the fastest of many runs."""

import time
from collections.abc import Callable, Iterator

from bench.tables import Table
from policies.model import Request
from proxy.rules import rulebook
from proxy.schema import Config

HOT = [
    Request("GET", "/rest/api/3/issue/PROJ-1"),
    Request("GET", "/rest/api/3/issue/PROJ-1", "fields=summary,status"),
    Request("GET", "/rest/api/3/issue/PROJ-1", "expand=names"),
    Request("GET", "/rest/api/2/search", "jql=project%20%3D%20PROJ&maxResults=50"),
    Request("GET", "/rest/api/2/project/PROJ/statuses"),
    Request("GET", "/rest/agile/1.0/board/4/issue"),
    Request("GET", "/rest/api/2/field"),
]
RUNS, TIMES = 20, 2_000


def microseconds(work: Callable[[], object]) -> float:
    """Measure what `work` costs at best."""
    best = float("inf")
    for _ in range(RUNS):
        began = time.process_time()
        for _ in range(TIMES):
            work()
        best = min(best, time.process_time() - began)
    return best / TIMES * 1e6


def measure() -> Iterator[Table]:
    """Measure each route, the first time and again."""
    rules, rows = rulebook(Config()), []
    for request in HOT:
        parts = request.method, request.path, request.query
        first = microseconds(lambda asked=parts: rules._classify(*asked))  # noqa: SLF001 - what a request costs once
        again = microseconds(lambda asked=request: rules.classify(asked))
        url = f"{request.path}{'?' if request.query else ''}{request.query}"
        rows.append((f"{request.method} {url}", f"{first:.1f}", f"{again:.1f}"))
    yield Table("Classification, CPU µs", ("", "first time", "again"), rows)
