from math import log
from random import Random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from policies.early import BETA, calm, due


@pytest.mark.parametrize(
    ("lifetime", "cost", "seconds"),
    [
        (300, 0.0, 300.0),
        (300, 0.1, 299.309),  # 6.9 times its cost before the end, a chance is one in a thousand
        (300, 1.0, 293.092),
        (300, 20.0, 240.0),  # an answer that takes long is not fetched all the time for that
        (30, 1.0, 24.0),
    ],
)
def test_for_most_of_its_life_an_answer_is_surely_not_fetched_early(lifetime, cost, seconds):
    assert calm(lifetime, cost) == pytest.approx(seconds, abs=0.001)
    assert not due(calm(lifetime, cost), lifetime, cost, 0.0)


@pytest.mark.parametrize(
    ("age", "cost", "draw", "expected"),
    [
        (299, 1.0, 0.36, True),  # one cost is left: the chance is 1/e
        (299, 1.0, 0.37, False),
        (298, 1.0, 0.13, True),
        (298, 1.0, 0.14, False),
        (299.99, 1.0, 0.98, True),
        (299, 0.1, 0.0, False),
        (299, 0.0, 0.0, False),
        (301, 1.0, 1.0, True),
        (299, 1.0, 1.0, False),
    ],
)
def test_the_chance_to_be_fetched_early_grows_with_age_and_cost(age, cost, draw, expected):
    assert due(age, 300, cost, draw) == expected


@given(
    share=st.floats(0.001, 0.999),
    cost=st.floats(0.001, 30),
    draw=st.floats(0, 1, exclude_min=True, exclude_max=True),
)
@settings(deadline=None)
def test_once_the_calm_is_over_the_law_is_the_papers(share, cost, draw):
    age = calm(300, cost) + share * (300 - calm(300, cost))
    early_by = -cost * BETA * log(draw)
    assume(abs(300 - age - early_by) > 1e-9)
    assert due(age, 300, cost, draw) == (age + early_by >= 300)


def test_of_many_requests_with_one_cost_left_about_37_in_a_hundred_fetch():
    dice = Random(1)
    assert sum(due(299, 300, 1.0, dice.random()) for _ in range(10_000)) == pytest.approx(3679, abs=150)
