# ruff: noqa: T201 - printing is what it is for
"""Prints the table of docs/reliability.md: `python -m tests.faults.figures [FAULT ...]`.

The store has its default timeout of 250 ms, so let the machine do nothing else meanwhile.
"""

import asyncio
import sys

from tests.faults.faults import FAULTS, try_all

TIMEOUT = 0.25


def main(names: list[str]) -> None:
    chosen = [fault for fault in FAULTS if not names or fault.name in names]
    outcomes = asyncio.run(try_all(chosen, TIMEOUT, at_once=1))
    print("| Fault | How | Requests | Failed | Untrue | Leaks | Longest | Recovery |")
    print("|---|---|--:|--:|--:|--:|--:|--:|")
    for fault in chosen:
        outcome = outcomes[fault.name]
        if isinstance(outcome, Exception):
            raise outcome
        tally, recovery = outcome.tally, outcome.recovery
        counts = (tally.requests, tally.failed, tally.untrue, tally.leaks)
        cells = (fault.name, fault.how, *counts, f"{tally.longest * 1000:.0f} ms", f"{recovery:.1f} s")
        print(f"| {' | '.join(map(str, cells))} |")
        for complaint in tally.complaints:
            print(complaint, file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1:])
