"""The ledger of calls: what is counted, and that it is bounded."""

from collections import Counter

import pytest

from proxy import spending
from proxy.spending import Spending


@pytest.fixture
def counted():
    return Counter()


@pytest.fixture
def ledger(counted):
    def count(type_, account):
        counted.update(
            {(type_, "calls"): account.calls, (type_, "points"): account.points, (type_, "saved"): account.saved}
        )

    return Spending(count)


def test_a_call_costs_a_point_and_one_for_each_object(ledger, counted):
    ledger.called("alice", "search")
    ledger.read("alice", "search", 50)
    ledger.called("alice", "issue")
    ledger.saved("alice", "issue")
    ledger.saved("bob", "issue")
    ledger.settle()
    assert counted["search", "calls"] == 1
    assert counted["search", "points"] == 51
    assert counted["issue", "saved"] == 2
    assert ledger.callers()[0] == {
        "caller": "alice",
        "types": {
            "search": {"calls": 1, "points": 51, "saved": 0},
            "issue": {"calls": 1, "points": 1, "saved": 1},
        },
    }


def test_it_tells_of_those_who_ask_most(ledger):
    for number in range(30):
        for _ in range(number):
            ledger.called(f"caller{number:02}", "issue")
    assert [one["caller"] for one in ledger.callers(3)] == ["caller29", "caller28", "caller27"]


def test_only_so_many_callers_are_remembered(ledger, counted, monkeypatch):
    monkeypatch.setattr(spending, "_REMEMBERED", 3)
    for name in ("a", "b", "c", "a", "d", "e"):
        ledger.called(name, "issue")
        ledger.settle()
    assert {one["caller"] for one in ledger.callers()} == {"a", "d", "e"}
    assert counted["issue", "calls"] == 6
