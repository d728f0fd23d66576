from email.utils import formatdate

import pytest

from policies.calls import Call
from policies.throttle import LONGEST, Reach, Throttled, backoff, heard, near_limit, retry_after, scope, scopes

NOW = 1_750_000_000.0  # 2025-06-15T15:06:40Z
CALL = Call(caller="alice", app="bot", type="issue", endpoint="GET /issue/{issue}")
WRITE = Call(caller="alice", app="bot", type="issue", endpoint="PUT /issue/{issue}", issue="issue:PROJ-1")


def reading(status=429, /, **headers):
    return heard(status, {name.replace("_", "-"): value for name, value in headers.items()}, NOW)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        # how long
        (reading(retry_after="7"), Throttled(Reach.QUESTION, 7.0)),
        (reading(retry_after=formatdate(NOW + 9, usegmt=True)), Throttled(Reach.QUESTION, 9.0)),
        (reading(retry_after=formatdate(NOW - 9, usegmt=True)), Throttled(Reach.QUESTION, None)),
        (reading(retry_after="0"), Throttled(Reach.QUESTION, None)),
        (reading(), Throttled(Reach.QUESTION, None)),
        (reading(retry_after="soon"), Throttled(Reach.QUESTION, None)),
        (reading(retry_after="999999"), Throttled(Reach.QUESTION, LONGEST)),
        (reading(x_ratelimit_reset="2025-06-15T15:07Z"), Throttled(Reach.QUESTION, 20.0)),
        (reading(x_ratelimit_reset="2025-06-15T15:07:00+00:00", retry_after="3"), Throttled(Reach.QUESTION, 3.0)),
        (reading(x_ratelimit_reset="2025-06-15T15:07:00+00:00", retry_after="0"), Throttled(Reach.QUESTION, 20.0)),
        (reading(x_ratelimit_reset="2025-06-15T17:07:00+02:00"), Throttled(Reach.QUESTION, 20.0)),
        (reading(x_ratelimit_reset="later"), Throttled(Reach.QUESTION, None)),
        # what
        (reading(ratelimit_reason="jira-burst-based", retry_after="1"), Throttled(Reach.ENDPOINT, 1.0)),
        (reading(ratelimit_reason="jira-quota-global-based", retry_after="1"), Throttled(Reach.APP, 1.0)),
        (reading(ratelimit_reason="Jira-Quota-Tenant-Based", retry_after="1"), Throttled(Reach.APP, 1.0)),
        (reading(ratelimit_reason="jira-per-issue-on-write", retry_after="1"), Throttled(Reach.ISSUE, 1.0)),
        (reading(ratelimit_reason="a new one", retry_after="1"), Throttled(Reach.QUESTION, 1.0)),
        # Data Center's bucket of tokens, one for each user
        (reading(x_ratelimit_interval_seconds="1", retry_after="4"), Throttled(Reach.CALLER, 4.0)),
        (reading(x_ratelimit_interval_seconds="60", x_ratelimit_fillrate="10"), Throttled(Reach.CALLER, 60.0)),
        (reading(x_ratelimit_fillrate="10"), Throttled(Reach.CALLER, None)),
        # what is no throttling
        (reading(503, retry_after="5"), Throttled(Reach.ENDPOINT, 5.0)),
        (reading(503), None),
        (reading(503, retry_after="0"), None),
        (reading(200, retry_after="5"), None),
        (reading(500, retry_after="5"), None),
    ],
)
def test_what_an_answer_says_of_limits(told, expected):
    assert told == expected


@pytest.mark.parametrize(
    ("headers", "near"),
    [
        ({}, False),
        ({"x-ratelimit-nearlimit": "true"}, True),
        ({"x-ratelimit-nearlimit": "false"}, False),
        ({"x-ratelimit-remaining": "19", "x-ratelimit-limit": "100"}, True),
        ({"x-ratelimit-remaining": "20", "x-ratelimit-limit": "100"}, False),
        ({"x-ratelimit-remaining": "1"}, False),
        ({"x-ratelimit-remaining": "few", "x-ratelimit-limit": "100"}, False),
    ],
)
def test_when_a_limit_is_near(headers, near):
    assert near_limit(headers) is near


@pytest.mark.parametrize(
    ("reach", "call", "expected"),
    [
        (Reach.APP, CALL, "app bot"),
        (Reach.CALLER, CALL, "caller alice"),
        (Reach.ENDPOINT, CALL, "endpoint GET /issue/{issue}"),
        (Reach.QUESTION, CALL, "question alice GET /issue/{issue}"),
        (Reach.ISSUE, WRITE, "issue issue:PROJ-1"),
        (Reach.ISSUE, CALL, "endpoint GET /issue/{issue}"),
    ],
)
def test_what_a_limit_holds_back(reach, call, expected):
    assert scope(reach, call) == expected
    assert expected in scopes(call)


def test_reading_is_not_held_back_by_a_limit_on_writes():
    assert scope(Reach.ISSUE, WRITE) not in scopes(CALL)


@pytest.mark.parametrize(
    ("times", "draw", "seconds"),
    [(0, 0.0, 0.5), (0, 1.0, 1.0), (1, 1.0, 2.0), (5, 0.5, 24.0), (6, 1.0, 60.0), (5000, 1.0, 60.0)],
)
def test_waits_double_up_to_a_bound_and_half_of_each_is_chance(times, draw, seconds):
    assert backoff(times, draw) == seconds


@pytest.mark.parametrize(
    ("value", "seconds"), [("", 0), ("0", 0), ("12", 12), ("-1", 0), ("soon", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)]
)
def test_retry_after_counts_seconds(value, seconds):
    assert retry_after(value, NOW) == seconds


def test_retry_after_may_be_a_date():
    assert retry_after(formatdate(NOW + 60, usegmt=True), NOW) == 60
