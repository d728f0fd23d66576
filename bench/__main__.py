"""All measurements: `python -m bench [PART ...]`. Without parts: all of them, and docs/benchmarks.md is written."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from bench import (
    classify,
    events,
    herd,
    hits,
    machine,
    memory,
    misses,
    peers,
    precision,
    profiling,
    purge,
    references,
    replay,
    sealing,
    watched,
    webhooks,
)
from bench.processes import pin
from bench.tables import Table

_OF_SERVERS = (hits, profiling, misses, herd, purge)
_OF_CODE = (replay, classify, references, events, precision, webhooks, sealing)
_LONG = (memory, watched)  # last, where the time is over before they all have had their turn
_PARTS = (*_OF_SERVERS, *_OF_CODE, *_LONG)
PARTS: Mapping[str, Callable[[], Iterable[Table]]] = {part.__name__.rpartition(".")[2]: part.measure for part in _PARTS}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"
BOUND = 240.0
"""Seconds after which no part is begun, so that all together take no more than five minutes."""


def main(wanted: Sequence[str]) -> int:
    """Measure, and print. Returns the exit code."""
    unknown = set(wanted) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))} (there are {', '.join(PARTS)})", file=sys.stderr)
        return 2
    if sys.platform != "linux":
        print("the measurements read /proc, so they need Linux", file=sys.stderr)
        return 2
    about = machine.described()
    print(*about, sep="\n")
    pin(0, peers.OTHERS_CORE)  # the servers have a core of their own
    left_out: list[str] = []
    tables = list(_measured(wanted or list(PARTS), left_out))
    print(*left_out, sep="\n")
    if not wanted:
        PAGE.write_text(page([*about, *left_out], tables))
    return 0


def _measured(names: Sequence[str], left_out: list[str]) -> Iterator[Table]:
    began = time.monotonic()
    for name in names:
        if time.monotonic() - began > BOUND:
            left_out.append(f"{name} is left out: the time was over")
            continue
        try:
            for table in PARTS[name]():
                print(table.text(), flush=True)
                yield table
        except RuntimeError as error:  # a program is missing, or did not start
            left_out.append(f"{name} is left out: {error}")


def page(about: Sequence[str], tables: Iterable[Table]) -> str:
    """Write docs/benchmarks.md."""
    return "\n".join([_INTRODUCTION, *(f"- {line}" for line in about), "", *(table.markdown() for table in tables)])


_INTRODUCTION = """# Benchmarks

Written by `make bench`; run it on a machine of yours. Servers are processes on a core of their own, load and origin
are on another. CPU is the kernel's count for all threads of a server, so what the load costs is not in it. Ratios are
medians over rounds in which the servers take turns. `x nginx` is beside nginx as Debian configures it, with a
`proxy_cache` on tmpfs; the tuned one has an `open_file_cache` and no `sendfile`, which is cheapest for bodies of this
size. All servers keep answers apart by Authorization, and none writes an access log. Only in the herd of several
processes do these share all cores; load, origin and Redis, which others have elsewhere, come first there (`nice`).
"""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
