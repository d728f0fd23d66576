"""What an event costs at 10,000 live searches.

Once where the event's project is one of a hundred that the searches are about, once where the searches name no project.
"""

import time
from collections.abc import Iterator

from bench.precision import LABELS, PEOPLE, STATUSES, view
from bench.tables import Table
from policies.change import Change, Changed
from policies.model import Live
from policies.names import Names
from policies.searches import Index

SEARCHES, EVENTS = 10_000, 50


def texts(*, projects: int) -> list[str]:
    """Make up distinct queries, of so many projects; of none where that is 0."""
    return [
        (f"project = {'PRJA' if at % projects == 0 else f'P{at % projects}'} AND " if projects else "")
        + f"status = '{STATUSES[at % 4]}' AND labels = {LABELS[at % 3]} AND summary ~ 'word{at}'"
        for at in range(SEARCHES)
    ]


def cost(queries: list[str]) -> tuple[float, int]:
    """Measure milliseconds of CPU per event, and how many searches were found concerned."""
    index, names = Index(), Names()
    index.add(Live(f"search:{at}", text, 60) for at, text in enumerate(queries))
    fields = {"status": "Open", "issuetype": "Bug", "assignee": PEOPLE[0], "labels": "backend"}
    issue, was = view("PRJA-1", 1, fields), view("PRJA-1", 1, fields | {"status": "Done"})
    change = Change(frozenset(), (Changed(was, issue),))
    concerned = index.concerned(change, names)  # warm: queries are compiled when they become live
    began = time.process_time()
    for _ in range(EVENTS):
        index.concerned(change, names)
    return (time.process_time() - began) / EVENTS * 1000, len(concerned)


def measure() -> Iterator[Table]:
    """Measure both."""
    rows = []
    for projects, told in ((0, "no project named"), (100, "the project index leaves 100")):
        milliseconds, concerned = cost(texts(projects=projects))
        rows.append((told, f"{milliseconds:.2f}", str(concerned)))
    yield Table(f"JQL: an event at {SEARCHES:,} live searches", ("", "CPU ms", "searches concerned"), rows)
