"""What has to go when there is no room: the oldest that nobody has found since its last turn."""

import pytest

from proxy.stores.lru import Lru


@pytest.fixture
def three():
    lru = Lru(3)
    for key in "abc":
        lru.put(key, key.upper(), 1)
    return lru


def test_what_nobody_found_goes_in_the_order_it_came(three):
    three.put("d", "D", 2)
    assert list(three) == ["c", "d"]
    assert (three.weight, three.evictions) == (3, 2)


def test_what_was_found_has_a_second_chance(three):
    three.get("a")
    three.put("d", "D", 1)
    assert list(three) == ["c", "a", "d"]
    assert three.evictions == 1


def test_a_second_chance_is_for_one_turn(three):
    three.get("a")
    for key in "def":
        three.put(key, key, 1)
    assert list(three) == ["d", "e", "f"]


def test_where_all_were_found_the_oldest_goes(three):
    for key in "abc":
        three.get(key)
    three.put("d", "D", 1)
    assert three.get("a") is three.get("missing") is None
    assert (three.get("b"), three.get("c"), three.weight, three.evictions) == ("B", "C", 3, 1)
