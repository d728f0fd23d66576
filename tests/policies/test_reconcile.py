import orjson
import pytest

from policies.model import Policy, Read, Request
from policies.reconcile import MOST, reconcilable, reconciled

IDS = [str(number) for number in range(10_000, 10_060)]


def get(query, ids):
    return reconciled(Request("GET", "/rest/api/3/search/jql", query), ids).query


def post(body, ids):
    return orjson.loads(reconciled(Request("POST", "/rest/api/3/search/jql", body=orjson.dumps(body)), ids).body)


@pytest.mark.parametrize(
    ("query", "ids", "sent"),
    [
        ("jql=a", [], "jql=a"),
        ("jql=a%20b", ["1", "2"], "jql=a%20b&reconcileIssues=1&reconcileIssues=2"),
        ("", ["1"], "reconcileIssues=1"),
        ("jql=a&nextPageToken=t", ["1"], "jql=a&nextPageToken=t"),
        ("reconcileIssues=1", ["1", "2"], "reconcileIssues=1&reconcileIssues=2"),
    ],
)
def test_ids_are_added_to_a_query(query, ids, sent):
    assert get(query, ids) == sent


@pytest.mark.parametrize(
    ("body", "ids", "sent"),
    [
        ({"jql": "a"}, [], {"jql": "a"}),
        ({"jql": "a"}, ["1", "2"], {"jql": "a", "reconcileIssues": [1, 2]}),
        ({"reconcileIssues": [2, 9]}, ["1", "2"], {"reconcileIssues": [2, 9, 1]}),
        ({"nextPageToken": "t"}, ["1"], {"nextPageToken": "t"}),
        ({"reconcileIssues": None}, ["1"], {"reconcileIssues": [1]}),
        ({"reconcileIssues": "odd"}, ["1"], {"reconcileIssues": "odd"}),
    ],
)
def test_ids_are_added_to_a_body(body, ids, sent):
    assert post(body, ids) == sent


def test_no_more_ids_are_sent_than_jira_takes_and_the_clients_own_go_first():
    assert get("reconcileIssues=7", IDS).count("reconcileIssues") == MOST
    assert post({"reconcileIssues": [7]}, IDS)["reconcileIssues"][:2] == [7, 10_000]
    assert len(post({"reconcileIssues": [7]}, IDS)["reconcileIssues"]) == MOST
    assert get("reconcileIssues=" + ",".join(IDS[:50]), ["1"]).endswith("10049")


@pytest.mark.parametrize(("route", "takes"), [("/rest/api/{v}/search/jql", True), ("/rest/api/{v}/search", False)])
def test_only_clouds_new_search_takes_ids(route, takes):
    assert reconcilable(Read("search", route, "search", "-", (), Policy(ttl=1))) is takes


@pytest.mark.parametrize("body", [b'{"jql":"\\ud800"}', b'{"jql":' + b"[" * 5000 + b"]" * 5000 + b"}"])
def test_a_body_that_only_others_can_read_goes_as_it_is(body):
    request = Request("POST", "/rest/api/3/search/jql", body=body)
    assert reconciled(request, IDS) == request
