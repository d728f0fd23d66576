import base64
import json

import pytest

from policies.callers import Anonymous, Credentialed, Untrackable, identify
from policies.calls import call_of, client
from policies.model import Request, Why
from policies.retry import after_error, after_status
from proxy.config import read
from proxy.rules import rulebook

SECRET = b"a secret of the tests' own"


@pytest.fixture(scope="module")
def rules():
    return rulebook(read(None, {}))


def token(**claims):
    parts = [{"alg": "HS256"}, claims]
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + ".x"


def called(rules, method, target, authorization="Basic abc"):
    path, _, query = target.partition("?")
    request = Request(method, path, query, {"authorization": authorization})
    return call_of(rules.classify(request), request, identify(request, SECRET), SECRET)


@pytest.mark.parametrize(
    ("method", "target", "repeatable"),
    [
        ("GET", "/rest/api/2/issue/PROJ-1", True),
        ("HEAD", "/rest/api/2/issue/PROJ-1", True),
        ("POST", "/rest/api/2/search", True),
        ("POST", "/rest/api/3/search/approximate-count", True),
        ("GET", "/rest/api/2/issue/picker", True),
        ("GET", "/rest/unknown/1.0/thing", True),
        ("GET", "/browse/PROJ-1", True),
        ("GET", "/rest/api/2/issue/PROJ-1?updateHistory=true", False),
        ("PUT", "/rest/api/2/issue/PROJ-1", False),
        ("POST", "/rest/api/2/issue", False),
        ("DELETE", "/rest/api/2/issue/PROJ-1", False),
        ("POST", "/rest/unknown/1.0/thing", False),
        ("PROPFIND", "/rest/unknown/1.0/thing", False),
    ],
)
def test_only_what_changes_nothing_may_be_repeated(rules, method, target, repeatable):
    assert called(rules, method, target).repeatable is repeatable


@pytest.mark.parametrize(
    ("method", "target", "issue"),
    [
        ("PUT", "/rest/api/2/issue/proj-1", "issue:PROJ-1"),
        ("POST", "/rest/api/3/issue/PROJ-1/comment", "issue:PROJ-1"),
        ("POST", "/rest/api/2/issue", ""),
        ("GET", "/rest/api/2/issue/PROJ-1", ""),
    ],
)
def test_a_write_names_its_issue(rules, method, target, issue):
    assert called(rules, method, target).issue == issue


def test_an_endpoint_is_a_method_of_a_route(rules):
    one, other = (called(rules, "GET", f"/rest/api/2/issue/PROJ-{number}") for number in (1, 2))
    assert one.endpoint == other.endpoint
    assert one.endpoint != called(rules, "PUT", "/rest/api/2/issue/PROJ-1").endpoint


def test_what_is_asked_by_head_is_asked_of_jira_by_get(rules):
    head, get = (called(rules, method, "/rest/api/2/issue/PROJ-1") for method in ("HEAD", "GET"))
    assert head.endpoint == get.endpoint


def test_endpoints_that_no_row_knows_are_told_apart_and_named_by_a_hash(rules):
    one, other = (called(rules, "GET", f"/rest/app/1.0/{word}") for word in ("secret", "other"))
    assert one.endpoint != other.endpoint
    assert "secret" not in one.endpoint


def test_tokens_of_one_app_share_its_quota(rules):
    path = "/rest/api/2/issue/PROJ-1"
    alice = called(rules, "GET", path, f"Bearer {token(client_id='bot', sub='alice')}")
    bob = called(rules, "GET", path, f"Bearer {token(client_id='bot', sub='bob')}")
    other = called(rules, "GET", path, f"Bearer {token(client_id='dashboard', sub='bob')}")
    assert alice.caller != bob.caller
    assert alice.app == bob.app != other.app
    assert "bot" not in alice.app


def test_a_connect_app_signs_its_own_name(rules):
    one, two = (
        called(rules, "GET", "/rest/api/2/issue/PROJ-1", f"JWT {token(iss='addon', exp=time)}") for time in (1, 2)
    )
    assert one.app == two.app == one.caller == two.caller
    assert one.caller != called(rules, "GET", "/rest/api/2/issue/PROJ-1", f"JWT {token(iss='other')}").caller


@pytest.mark.parametrize(
    "authorization",
    ["Basic abc", "Bearer opaque", "Bearer a.b.c", f"Bearer {token(sub='x')}", f"Bearer {token(client_id=7)}", "", "x"],
)
def test_who_names_no_app_is_an_app_of_their_own(rules, authorization):
    call = called(rules, "GET", "/rest/api/2/issue/PROJ-1", authorization)
    assert call.app == call.caller


@pytest.mark.parametrize(
    ("caller", "name"),
    [
        (Credentialed("c"), "c"),
        (Credentialed("c", "h"), "h"),
        (Anonymous(), "anonymous"),
        (Untrackable(Why.CHANGING_CREDENTIAL), "untracked"),
    ],
)
def test_a_client_has_one_name_in_all_sessions(caller, name):
    assert client(caller) == name


# what is tried again


@pytest.fixture
def a_read(rules):
    return called(rules, "GET", "/rest/api/2/issue/PROJ-1")


@pytest.fixture
def a_write(rules):
    return called(rules, "PUT", "/rest/api/2/issue/PROJ-1")


@pytest.mark.parametrize(
    ("status", "held", "pause"),
    [(200, 0.0, None), (404, 0.0, None), (500, 0.0, None), (429, 7.0, 7.0), (503, 7.0, 7.0)]
    + [(status, 0.0, 0.2) for status in (502, 503, 504)],
)
def test_after_which_answers_a_read_is_tried_again(a_read, status, held, pause):
    assert after_status(a_read, status, held, 0, 1.0) == pause


def test_pauses_between_tries_grow(a_read):
    assert [after_status(a_read, 503, 0.0, tried, 1.0) for tried in range(3)] == [0.2, 0.4, 0.8]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_an_answered_write_is_never_repeated(a_write, status):
    assert after_status(a_write, status, 1.0, 0, 1.0) is None


@pytest.mark.parametrize(
    ("sent", "timeout", "of_a_read", "of_a_write"),
    [(False, False, 0.2, 0.2), (True, False, 0.0, None), (True, True, None, None), (False, True, None, None)],
)
def test_what_is_repeated_after_no_answer(a_read, a_write, sent, timeout, of_a_read, of_a_write):
    assert after_error(a_read, 0, 1.0, sent=sent, timeout=timeout) == of_a_read
    assert after_error(a_write, 0, 1.0, sent=sent, timeout=timeout) == of_a_write


def test_only_the_first_lost_connection_may_be_one_that_was_merely_idle(a_read):
    assert [after_error(a_read, tried, 1.0, sent=True, timeout=False) for tried in range(3)] == [0.0, 0.4, 0.8]
