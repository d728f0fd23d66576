from dataclasses import replace

import pytest

from policies.callers import Audience
from policies.decide import LastResort
from policies.http_freshness import Arrival
from policies.login import Accepted, Refused, Silent
from policies.model import Entry, Freshness, Origin, Policy, Why
from policies.settle import Fail, Failure, Keep, Relay, Reply, StandIn, settle
from policies.tags import Tags

POLICY = Policy(ttl=300, stale_while_revalidate=60, stale_if_error=3600, negative_ttl=30)
JSON = {"content-type": "application/json;charset=UTF-8"}
GOOD = Reply(200, JSON, b"{}", readable=True)
OLD = Entry(200, (), b"{}", "identity", '"e"', Tags.of("*"), stored=0, ttl=300, keep=3900)
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


BY_ORIGIN = Policy(ttl=3600, stale_if_error=0, freshness=Freshness.ORIGIN)
PICTURE = {"content_type": "image/png"}


def by_origin(*, type_="app", audience=Audience.CALLER, **said):
    told = reply(**said)
    return settle(replace(told, arrival=Arrival(1_000.0, 0.0)), IN, None, BY_ORIGIN, type_, audience=audience)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"cache_control": "max-age=60"}, Keep(60, 60, 0, Origin())),
        ({"cache_control": "max-age=60", "age": "20"}, Keep(60, 40, 20, Origin())),
        ({"cache_control": "max-age=60", "etag": '"e"'}, Keep(60, 3660, 0, Origin(etag='"e"'))),
        ({"cache_control": "no-cache", "etag": '"e"'}, Keep(0, 3600, 0, Origin(etag='"e"', strict=True))),
        ({"etag": '"e"'}, Keep(0, 3600, 0, Origin(etag='"e"'))),
        ({"cache_control": "max-age=60", "vary": "B, a"}, Keep(60, 60, 0, Origin(vary=("a", "b")))),
        ({"cache_control": "no-cache"}, Relay(Why.NO_FRESHNESS)),
        ({}, Relay(Why.NO_FRESHNESS)),
        ({"cache_control": "max-age=60, age=0", "age": "60"}, Relay(Why.NO_FRESHNESS)),
        ({"cache_control": "no-store"}, Relay(Why.ORIGIN_FORBIDS)),
        ({"cache_control": "max-age=60", "vary": "*"}, Relay(Why.VARIES)),
        ({"cache_control": "max-age=60", **PICTURE}, Keep(60, 60, 0, Origin())),
        ({"cache_control": "max-age=60", "content_type": "text/css"}, Keep(60, 60, 0, Origin())),
        # pages of a login, and what nobody says what it is
        ({"cache_control": "max-age=60", "content_type": "text/html"}, Relay(Why.NOT_JSON)),
        ({"cache_control": "max-age=60", "content_type": ""}, Relay(Why.NOT_JSON)),
        ({"status": 302, "cache_control": "max-age=60", "location": "/login.jsp"}, Relay(Why.NOT_JSON)),
        ({"status": 302, "cache_control": "max-age=60", "location": "/picture"}, Keep(60, 60, 0, Origin())),
        # parts
        ({"status": 206, "cache_control": "max-age=60"}, Relay(Why.STATUS)),
        ({"cache_control": "max-age=60", "content_range": "bytes 0-1/2"}, Relay(Why.STATUS)),
        # a 304 can only confirm a 200
        ({"status": 404, "cache_control": "max-age=60", "etag": '"e"'}, Keep(60, 60, 0, Origin(etag='"e"'))),
    ],
)
def test_a_trip_is_settled_by_the_origins_own_headers(said, expected):
    assert by_origin(**said) == expected


@pytest.mark.parametrize("status", [203, 204, 300, 301, 302, 303, 307, 308, 404, 405, 410, 414])
def test_a_status_that_is_understood_is_kept(status):
    assert by_origin(status=status, cache_control="max-age=60") == Keep(60, 60, 0, Origin())


@pytest.mark.parametrize("status", [201, 206, 299, 304, 400, 401, 403, 416, 429, 499, 500, 501, 502, 503, 504, 599])
@pytest.mark.parametrize("control", ["max-age=60", "max-age=60, must-understand", "no-store, must-understand"])
def test_a_status_that_is_not_understood_is_not_kept_whatever_it_says(status, control):
    assert by_origin(status=status, cache_control=control) == Relay(Why.STATUS)


def test_unless_told_otherwise_what_is_kept_is_for_many():
    told = replace(reply(cache_control="private, max-age=60"), arrival=Arrival(0.0, 0.0))
    assert settle(told, IN, None, BY_ORIGIN, "app") == Relay(Why.ORIGIN_FORBIDS)


LAST = LastResort(OLD, Why.OUTAGE_LEASE)


@pytest.mark.parametrize(
    ("outcome", "login", "expected"),
    [
        (Failure(Why.UNREACHABLE), IN, StandIn(OLD, Why.OUTAGE_LEASE)),
        (Failure(Why.TIMEOUT), IN, StandIn(OLD, Why.OUTAGE_LEASE)),
        (Failure(Why.BREAKER_OPEN), IN, StandIn(OLD, Why.OUTAGE_LEASE)),
        (Failure(Why.THROTTLED), IN, Fail(Why.THROTTLED)),
        (Failure(Why.QUEUE_FULL), IN, Fail(Why.QUEUE_FULL)),
        (reply(500), Silent(), StandIn(OLD, Why.OUTAGE_LEASE)),
        (reply(503), IN, StandIn(OLD, Why.OUTAGE_LEASE)),
        (reply(503), Refused(), Relay(Why.LOGIN_FAILED)),
        (reply(429), Silent(), Relay(Why.STATUS)),
        (reply(401), Refused(), Relay(Why.LOGIN_FAILED)),
        (GOOD, IN, Keep(300, 3900)),
    ],
)
def test_a_last_resort_is_for_when_jira_is_down(outcome, login, expected):
    assert settle(outcome, login, None, POLICY, "issue", last_resort=LAST) == expected


@pytest.mark.parametrize("why", [Why.UNREACHABLE, Why.TIMEOUT, Why.BREAKER_OPEN, Why.THROTTLED, Why.QUEUE_FULL])
def test_an_old_answer_stands_in_for_whatever_keeps_jira_from_answering(why):
    assert settle(Failure(why), IN, OLD, POLICY, "issue") == StandIn(OLD)


def test_nothing_stands_in_for_somebody_whom_jira_refuses_while_it_fails():
    assert settle(reply(500), Refused(), OLD, POLICY, "issue") == Relay(Why.LOGIN_FAILED)
