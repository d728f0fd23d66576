from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.directives import NOTHING, Asked, asked
from policies.model import Directives, Request

EXPLICIT, ALL, NONE = Directives.EXPLICIT, Directives.ALL, Directives.NONE


def ask(mode=EXPLICIT, **headers):
    return asked(
        Request("GET", "/rest/x", headers={name.replace("_", "-"): text for name, text in headers.items()}), mode
    )


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("no-store", Asked(no_store=True)),
        ("only-if-cached", Asked(only_if_cached=True)),
        ("max-age=60", Asked(max_age=60)),
        ("max-age=0", Asked(max_age=0)),
        ("min-fresh=5", Asked(min_fresh=5)),
        ("max-stale=30", Asked(max_stale=30)),
        ("max-stale", Asked(max_stale=inf)),
        (" No-Store , MAX-AGE = 60\t", Asked(no_store=True, max_age=60)),
        ("only-if-cached,max-stale=9,,", Asked(only_if_cached=True, max_stale=9)),
        ('max-age="60"', Asked(max_age=60)),
        ('max-age="6\\0"', Asked(max_age=60)),
        ("no-transform, future-directive=3", Asked()),
        ("", Asked()),
    ],
)
def test_a_directive_is_read(control, expected):
    assert ask(cache_control=control) == expected


@pytest.mark.parametrize(
    ("control", "expected"),
    [
        ("max-age=60, max-age=5", Asked(max_age=5)),
        ("min-fresh=60, min-fresh=5", Asked(min_fresh=60)),
        ("max-stale=60, max-stale, max-stale=5", Asked(max_stale=5)),
        ("max-age=60, max-age=soon", Asked(max_age=0)),
    ],
)
def test_of_two_the_stricter_counts(control, expected):
    assert ask(cache_control=control) == expected


@pytest.mark.parametrize("number", ["", "soon", "-1", "1.5", "1e3", "0x10", "٣", "6 0", '"', '""'])
def test_a_number_that_cannot_be_read_is_taken_in_the_strictest_sense(number):
    assert ask(cache_control=f"max-age={number}").max_age == 0
    assert ask(cache_control=f"min-fresh={number}").min_fresh == inf
    assert ask(cache_control=f"max-stale={number}").max_stale == 0


def test_a_number_of_any_length_is_read():
    assert ask(cache_control="max-age=" + "9" * 5_000).max_age == inf


def test_a_quoted_comma_begins_no_directive():
    assert ask(cache_control='x="no-store, max-age=0", min-fresh=1') == Asked(min_fresh=1)
    assert ask(cache_control='x="\\", no-store", min-fresh=1') == Asked(min_fresh=1)


@pytest.mark.parametrize(
    ("headers", "explicit", "everything"),
    [
        ({"cache_control": "no-cache"}, False, True),
        ({"cache_control": "no-cache", "pragma": "no-cache"}, True, True),
        ({"cache_control": "No-Cache, max-age=0", "pragma": "x, No-Cache"}, True, True),
        ({"cache_control": "max-age=0", "pragma": "no-cache"}, False, False),
        ({"pragma": "no-cache"}, False, True),
        ({"pragma": "x"}, False, False),
        ({"x_jira_cache": " Refresh "}, True, True),
        ({"x_jira_cache": "other"}, False, False),
        ({"cache_control": "no-store"}, False, False),
    ],
)
def test_no_cache_counts_by_default_only_where_it_is_no_habit(headers, explicit, everything):
    assert ask(EXPLICIT, **headers).refresh is explicit
    assert ask(ALL, **headers).refresh is everything
    assert ask(NONE, **headers).refresh is False


def test_nothing_counts_where_the_operator_said_so():
    assert (
        ask(NONE, cache_control="no-store, no-cache, max-age=0", pragma="no-cache", x_jira_cache="refresh") is NOTHING
    )


@pytest.mark.parametrize("mode", Directives)
def test_a_request_without_directives_costs_no_new_value(mode):
    assert ask(mode, accept="*/*", authorization="Basic x") is NOTHING


@given(st.text(st.sampled_from('no-store,= "\\x')), st.sampled_from(Directives))
def test_any_header_can_be_read(control, mode):
    assert isinstance(ask(mode, cache_control=control, pragma=control, x_jira_cache=control), Asked)


def test_a_hostile_header_takes_no_longer_than_its_length():
    assert ask(cache_control='"\\' * 30_000 + "\\") == Asked()
