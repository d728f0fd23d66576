"""Which lists of issues may be kept for as long as webhooks look after them: those that no clock and no login moves."""

from urllib.parse import quote

import pytest

from policies.model import Policy, Read, Request
from policies.searches import ISSUES, live

LONG = Policy(ttl=60.0, stale_if_error=10.0, ttl_with_webhooks=86_400.0)


def asked(jql, *, is_search=True):
    request = Request("GET", "/rest/api/2/search", f"jql={quote(jql)}")
    read = Read("search", "/rest/api/2/search", "search", "jql", (ISSUES,), LONG, jql=is_search)
    return live(request, read)


@pytest.mark.parametrize(
    "jql",
    [
        "",
        "project = PROJ AND status in (Open, Done) ORDER BY created",
        'created > "2024-01-01" AND assignee is EMPTY',
        "cf[10010] = red",
        "key = PROJ-1 OR labels not in (a, b)",
    ],
)
def test_a_query_of_what_issues_show_stands_until_they_change(jql):
    read, registered = asked(jql)
    assert read.policy.ttl_with_webhooks == 86_400.0
    assert registered.life > 86_400.0  # an event must find it for as long as it may be served


@pytest.mark.parametrize(
    "jql",
    [
        "updated > -1d",
        "cf[10010] = -1d",
        "due < endOfWeek()",
        "assignee = currentUser()",
        "assignee not in (bob, membersOf(team))",
        "NOT (sprint in openSprints() OR project = X)",
        "status WAS Open",
        "status CHANGED AFTER -1w",
        "filter = Mine",
        "watchers > 3",
        "text ~ word",
        "project = PROJ ORDER BY lastViewed",
        "project = PROJ ORDER BY created, votes DESC",
    ],
)
def test_a_query_that_moves_without_an_event_keeps_the_plain_ttl(jql):
    read, _ = asked(jql)
    assert read.policy == Policy(ttl=60.0, stale_if_error=10.0)


@pytest.mark.parametrize(("jql", "is_search"), [("project =", True), ("project = PROJ", False)])
def test_a_query_that_is_not_understood_or_not_told_keeps_the_plain_ttl(jql, is_search):
    read, registered = asked(jql, is_search=is_search)
    assert (read.policy.ttl_with_webhooks, registered) == (None, None)
