import csv
from pathlib import Path

import pytest

from proxy.config import read
from proxy.hooks.events import CLOUD, DATA_CENTER, DYNAMIC
from proxy.rules import rulebook

FACTS = Path(__file__).parents[3] / "shared" / "jira" / "webhook_events.tsv"
# jira_expression_evaluation_failed and app_access_*: told to apps of themselves. The last one is an old name.
NOT_ASKED_FOR = {"jira:version_merged", "jira_expression_evaluation_failed", "jira:worklog_updated"}


@pytest.mark.parametrize("events", [CLOUD, DATA_CENTER, DYNAMIC])
def test_every_event_that_is_asked_for_has_a_row_that_says_what_it_makes_old(events):
    assert set(events) <= set(rulebook(read(None, {})).events)
    assert len(set(events)) == len(events)


@pytest.mark.parametrize(
    ("events", "column", "value"), [(CLOUD, "products", "cloud"), (DATA_CENTER, "products", "dc"), (DYNAMIC, "d", "y")]
)
def test_every_event_that_jira_has_is_asked_for(events, column, value):
    if not FACTS.exists():
        pytest.skip(f"{FACTS} is not here")
    with FACTS.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    name = next(each for each in rows[0] if each.startswith("dynamic")) if column == "d" else column
    known = {row["event"] for row in rows if value in row[name].partition("(")[0]}
    if events is not DYNAMIC:
        known -= {event for event in known if event in NOT_ASKED_FOR or event.startswith("app_access_")}
    assert set(events) == known
