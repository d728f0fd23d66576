import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.cachestatus import cache_status
from policies.conditional import etag, matches
from policies.model import Forwarded, Why


@given(st.binary(), st.binary())
def test_bodies_share_an_etag_only_if_they_are_the_same(one, two):
    assert (etag(one) == etag(two)) is (one == two)
    assert etag(one)[0] == etag(one)[-1] == '"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ('"b","c",W/"a" ', True),
        ("*", True),
        (" * ", True),
        ('"b"', False),
        ('"x,"', False),
        ("a", False),
        ('"A"', False),
        ("", False),
        ('"*"', False),
        ('"a', False),
    ],
)
def test_if_none_match_is_compared_weakly(header, expected):
    assert matches(header, '"a"') is expected
    assert matches(header, 'W/"a"') is expected


def test_a_comma_inside_an_entity_tag_ends_nothing():
    assert matches('"x", "a,b"', '"a,b"')
    assert not matches('"a,b"', '"a"')


@given(st.binary())
def test_a_body_matches_its_own_etag(body):
    assert matches(f'"other", {etag(body)}', etag(body))


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (cache_status(Why.FRESH, ttl=281.9), "jira-cache; hit; ttl=281; detail=fresh"),
        (cache_status(Why.NEGATIVE, ttl=0), "jira-cache; hit; ttl=0; detail=negative"),
        (cache_status(Why.STALE_ERROR, ttl=-12.5), "jira-cache; hit; ttl=-13; detail=stale-error"),
        (cache_status(Why.MAX_STALE, ttl=float("-inf")), "jira-cache; hit; ttl=-999999999999999; detail=max-stale"),
        (
            cache_status(Why.MISS, status=200, stored=True, collapsed=True),
            "jira-cache; fwd=uri-miss; fwd-status=200; stored; collapsed; detail=miss",
        ),
        (
            cache_status(Why.EXPIRED, status=200, stored=True, ttl=300),
            "jira-cache; fwd=stale; fwd-status=200; stored; ttl=300; detail=expired",
        ),
        (cache_status(Why.WRITE, status=204), "jira-cache; fwd=method; fwd-status=204; detail=write"),
        (cache_status(Why.STATUS, status=500, ttl=5), "jira-cache; fwd=uri-miss; fwd-status=500; detail=status"),
        (cache_status(Why.ONLY_IF_CACHED, status=504), "jira-cache; detail=only-if-cached"),
        (cache_status(Why.UNREACHABLE, ttl=5, stored=True), "jira-cache; detail=upstream-unreachable"),
    ],
)
def test_cache_status_says_what_was_done_and_why(made, expected):
    assert made == expected


@pytest.mark.parametrize("why", Why)
def test_every_why_is_told_once_as_hit_or_forward_or_neither(why):
    parts = cache_status(why).split("; ")
    assert parts[0] == "jira-cache"
    assert parts[-1] == f"detail={why.word}"
    assert sum(part == "hit" or part in {f"fwd={reason}" for reason in Forwarded} for part in parts) <= 1
    assert (f"fwd={why.forwarded}" in parts) is (why.forwarded is not None)
