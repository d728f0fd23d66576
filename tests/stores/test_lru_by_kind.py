"""Whether another answer may have been where one comes: who has seen that one has to look again."""

import pytest

from proxy.stores import lru
from proxy.stores.lru import LruByKind

A, B = "issue:A", "issue:B"


@pytest.fixture
def answers(clock):
    return LruByKind(10, clock)


def test_where_nothing_was_nothing_else_was_seen(answers):
    answers.put(A, "one", 4)
    assert not answers.had(A)


@pytest.mark.parametrize("way", ["dropped", "replaced", "expired", "had to make room"])
def test_what_went_is_known_until_that_was_told_once(answers, clock, way):
    answers.put(A, "one", 4, ttl=5.0)
    if way == "dropped":
        answers.drop(A)
    elif way == "replaced":
        answers.put(A, "two", 4)
    elif way == "expired":
        clock.now += 5.0
        answers.get(A)
    else:
        answers.put(B, "large", 8)
    assert not answers.had(B)
    assert answers.had(A)
    assert not answers.had(A)


def test_of_too_many_any_may_have_been_there(answers, monkeypatch):
    monkeypatch.setattr(lru, "GONE", 2)
    for number in range(4):
        answers.put(f"issue:{number}", "one", 8)
    assert answers.had(A)
    assert not answers.had(A)
