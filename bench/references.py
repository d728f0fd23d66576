"""How long it takes to read the entities of a search page: 50 issues, 250 KB.

Told are the fastest of many runs, in milliseconds, beside what parsing the page with orjson costs (without looking
at the objects).
"""

import timeit
from collections.abc import Iterator
from typing import Any

import orjson

from bench.issues import ISSUES, page
from bench.tables import Table
from policies.references import references


def milliseconds(body: bytes, work: Any) -> float:
    """Time the fastest of 100 runs."""
    return min(timeit.repeat(lambda: work(body), number=5, repeat=20)) / 5 * 1000


def measure() -> Iterator[Table]:
    """Measure a page of each kind of Jira."""
    rows = []
    for kind, cloud in (("Cloud", True), ("Data Center", False)):
        body = page(cloud=cloud)
        took = milliseconds(body, references), milliseconds(body, orjson.loads)
        found = len(references(body).tags)
        rows.append((kind, f"{len(body) // 1000}", str(found), f"{took[0]:.2f}", f"{took[1]:.2f}"))
    columns = ("", "KB", "tags", "references, ms", "orjson.loads alone, ms")
    yield Table(f"References: a page of {ISSUES} issues", columns, rows)
