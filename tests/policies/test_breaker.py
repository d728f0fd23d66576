import pytest

from policies.breaker import Closed, Open, Probing, answered, departed, failed, given_up, refused_for, word

NOW, LIMIT = 1000.0, 3


def fail(state, now=NOW):
    return failed(state, now, 1.0, LIMIT)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (Closed(0), Closed(1)),
        (Closed(1), Closed(2)),
        (Closed(2), Open(NOW + 2, 1)),
        (Probing(NOW, 1), Open(NOW + 4, 2)),
        (Probing(NOW, 2), Open(NOW + 8, 3)),
        (Probing(NOW, 9), Open(NOW + 30, 10)),
        (Open(NOW + 1, 1), Open(NOW + 1, 1)),
    ],
)
def test_a_failure(before, after):
    assert fail(before) == after


def test_half_of_a_pause_is_chance():
    assert failed(Closed(2), NOW, 0.0, LIMIT) == Open(NOW + 1, 1)


@pytest.mark.parametrize(
    ("state", "seconds"),
    [
        (Closed(2), 0.0),
        (Open(NOW + 5, 1), 5.0),
        (Open(NOW, 1), 0.0),
        (Probing(NOW + 5, 1), 5.0),
        (Probing(NOW - 1, 1), 0.0),
    ],
)
def test_for_how_long_no_call_may_go(state, seconds):
    assert refused_for(state, NOW) == seconds


def test_when_the_pause_is_over_one_call_goes_and_the_others_wait_for_it():
    probing = departed(Open(NOW, 1), NOW)
    assert isinstance(probing, Probing)
    assert refused_for(probing, NOW + 1) > 0


def test_a_probe_that_does_not_come_back_holds_nobody_for_ever():
    probing = departed(Open(NOW, 1), NOW)
    assert refused_for(probing, probing.until) == 0.0


def test_a_probe_that_was_given_up_makes_room_for_the_next():
    assert refused_for(given_up(departed(Open(NOW, 1), NOW), NOW), NOW) == 0.0
    assert given_up(Closed(2), NOW) == Closed(2)


def test_an_answer_closes_it():
    assert fail(answered()) == Closed(1)


@pytest.mark.parametrize(
    ("state", "said"), [(Closed(), "closed"), (Open(NOW, 1), "open"), (Probing(NOW, 1), "half-open")]
)
def test_it_says_how_it_is(state, said):
    assert word(state) == said
