from dataclasses import replace

import pytest

from policies.login import Accepted, Refused, Silent
from policies.model import Entry, Policy, Why
from policies.settle import Fail, Failure, Keep, Relay, Reply, StandIn, settle

POLICY = Policy(ttl=300, stale_while_revalidate=60, stale_if_error=3600, negative_ttl=30)
JSON = {"content-type": "application/json;charset=UTF-8"}
GOOD = Reply(200, JSON, b"{}", readable=True)
OLD = Entry(200, (), b"{}", "identity", '"e"', ("*",), stored=0, ttl=300, keep=3900)
IN = Accepted("alice")


def reply(status=200, *, body=b"{}", readable=True, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(status, JSON | named, body, readable)


@pytest.mark.parametrize(
    ("outcome", "login", "fallback", "expected"),
    [
        (GOOD, IN, None, Keep(300, 3900)),
        (GOOD, IN, OLD, Keep(300, 3900)),
        (reply(404), IN, None, Keep(30, 30)),
        (reply(404), IN, OLD, Keep(30, 30)),
        (reply(content_encoding="gzip"), IN, None, Keep(300, 3900)),
        (reply(content_type="application/problem+json"), IN, None, Keep(300, 3900)),
        # Jira is in trouble
        (reply(500), IN, None, Relay(Why.STATUS)),
        (reply(500), IN, OLD, StandIn(OLD)),
        (reply(503), Silent(), OLD, StandIn(OLD)),
        (reply(429), IN, OLD, StandIn(OLD)),
        (reply(429), Silent(), None, Relay(Why.STATUS)),
        (Failure(Why.TIMEOUT), IN, None, Fail(Why.TIMEOUT)),
        (Failure(Why.UNREACHABLE), IN, OLD, StandIn(OLD)),
        # the caller is not who they say
        (GOOD, Refused(), None, Relay(Why.LOGIN_FAILED)),
        (GOOD, Refused(), OLD, Relay(Why.LOGIN_FAILED)),
        (reply(401), Refused(), OLD, Relay(Why.LOGIN_FAILED)),
        (GOOD, Refused(Why.ACCOUNT_CHANGED), OLD, Relay(Why.ACCOUNT_CHANGED)),
        (GOOD, Silent(), None, Relay(Why.ACCOUNT_UNNAMED)),
        (reply(404), Silent(), None, Relay(Why.ACCOUNT_UNNAMED)),
        # the answer is not one to keep
        *((reply(status), IN, None, Relay(Why.STATUS)) for status in (201, 204, 206, 301, 302, 304, 400, 403, 410)),
        (reply(content_type="text/html"), IN, None, Relay(Why.NOT_JSON)),
        (reply(404, content_type="text/html"), IN, None, Relay(Why.NOT_JSON)),
        (Reply(200, {}, b"{}", readable=True), IN, None, Relay(Why.NOT_JSON)),
        (reply(readable=False), IN, None, Relay(Why.UNREADABLE_ANSWER)),
        (reply(content_encoding="br"), IN, None, Relay(Why.UNREADABLE_ANSWER)),
        (reply(body=None), IN, None, Relay(Why.TOO_LARGE)),
        (reply(vary="Accept-Encoding, *"), IN, None, Relay(Why.VARIES)),
        (reply(vary="Accept-Encoding"), IN, None, Keep(300, 3900)),
    ],
)
def test_a_trip_is_settled(outcome, login, fallback, expected):
    assert settle(outcome, login, fallback, POLICY, "issue") == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [("image/png", Keep(300, 3900)), ("image/svg+xml", Keep(300, 3900)), ("text/html", Relay(Why.NOT_JSON))],
)
def test_media_may_be_pictures_but_never_a_page(content_type, expected):
    assert settle(reply(content_type=content_type), IN, None, POLICY, "media") == expected


def test_a_404_is_not_kept_where_policy_gives_it_no_time():
    assert settle(reply(404), IN, None, replace(POLICY, negative_ttl=0), "issue") == Relay(Why.STATUS)
