from dataclasses import replace

import pytest

from policies.decide import Decision, Fetch, Forward, LastResort, Refuse, Serve, decide, lifetime
from policies.directives import Asked
from policies.http_freshness import ruling
from policies.model import Entry, Fence, Freshness, Lookup, Origin, Policy, Why
from policies.tags import Tags

NOW = 1_000_000.0
FENCE = Fence(1, 7)
POLICY = Policy(ttl=300, stale_while_revalidate=60, stale_if_error=3600, negative_ttl=30)
ENTRY = Entry(200, (), b"{}", "identity", '"e"', Tags.of("*"), stored=NOW, ttl=300, keep=3900)
NOTHING = Asked()


def aged(seconds, **changes):
    return replace(ENTRY, stored=NOW - seconds, **changes)


def act(
    entry, asked=NOTHING, *, alive=True, leased=True, ranged=False, fence=FENCE, policy=POLICY, draw=0.5
) -> Decision:
    found = Lookup(entry, alive=alive, fence=fence)
    return decide(asked, found, policy, NOW, leased=leased, ranged=ranged, draw=draw)


FRESH, STALE, OLD, ANCIENT = aged(299), aged(301), aged(400), aged(4000)
DEAR = aged(299, cost=1.0)
MISSING = aged(29, status=404, ttl=30)


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # what the entry alone decides
        (act(None), Fetch(Why.MISS)),
        (act(FRESH), Serve(FRESH, Why.FRESH)),
        (act(DEAR, draw=0.36), Serve(DEAR, Why.FRESH, refresh=True)),
        (act(DEAR, draw=0.37), Serve(DEAR, Why.FRESH)),
        (act(DEAR, draw=0.0, alive=False), Fetch(Why.INVALIDATED)),
        (act(DEAR, draw=0.0, leased=False), Fetch(Why.NO_LEASE)),
        (act(MISSING), Serve(MISSING, Why.NEGATIVE)),
        (act(aged(31, status=404, ttl=30)), Fetch(Why.EXPIRED)),
        (act(STALE), Serve(STALE, Why.STALE_REVALIDATE, refresh=True)),
        (act(OLD), Fetch(Why.EXPIRED, OLD)),
        (act(ANCIENT), Fetch(Why.EXPIRED)),
        (act(FRESH, alive=False), Fetch(Why.INVALIDATED)),
        (act(FRESH, leased=False), Fetch(Why.NO_LEASE)),
        (act(None, leased=False), Fetch(Why.MISS)),
        (act(None, fence=None), Fetch(Why.STORE_DOWN)),
        (act(aged(-5)), Serve(aged(-5), Why.FRESH)),
        # what the client asks for
        (act(FRESH, Asked(no_store=True)), Forward(Why.NO_STORE)),
        (act(FRESH, ranged=True), Forward(Why.RANGE)),
        (act(FRESH, Asked(refresh=True)), Fetch(Why.REFRESH, shared=False)),
        (act(FRESH, Asked(max_age=298)), Fetch(Why.TOO_OLD, FRESH)),
        (act(FRESH, Asked(max_age=299)), Serve(FRESH, Why.FRESH)),
        (act(FRESH, Asked(min_fresh=2)), Fetch(Why.TOO_OLD, FRESH)),
        (act(FRESH, Asked(min_fresh=1)), Serve(FRESH, Why.FRESH)),
        (act(OLD, Asked(max_stale=100)), Serve(OLD, Why.MAX_STALE)),
        (act(OLD, Asked(max_stale=99)), Fetch(Why.EXPIRED, OLD)),
        (act(STALE, Asked(max_age=1000)), Fetch(Why.EXPIRED, STALE)),
        (act(STALE, Asked(min_fresh=0)), Fetch(Why.EXPIRED, STALE)),
        (act(None, Asked(only_if_cached=True)), Refuse(Why.ONLY_IF_CACHED)),
        (act(FRESH, Asked(only_if_cached=True), leased=False), Refuse(Why.ONLY_IF_CACHED)),
        (act(FRESH, Asked(only_if_cached=True)), Serve(FRESH, Why.FRESH)),
        (act(FRESH, Asked(refresh=True, only_if_cached=True)), Refuse(Why.ONLY_IF_CACHED)),
        (act(FRESH, Asked(no_store=True, only_if_cached=True)), Forward(Why.NO_STORE)),
    ],
)
def test_a_decision(case, expected):
    assert case == expected


def test_a_directive_never_brings_a_dead_entry_back():
    assert act(FRESH, Asked(max_stale=float("inf")), alive=False) == Fetch(Why.INVALIDATED)


def test_an_expired_404_is_no_answer_to_fall_back_on():
    assert act(aged(200, status=404, ttl=30)) == Fetch(Why.EXPIRED)


def test_a_policy_that_became_stricter_shortens_what_is_already_kept():
    assert lifetime(FRESH, replace(POLICY, ttl=60)) == 60


def test_a_policy_that_became_laxer_does_not_lengthen_what_is_already_kept():
    assert lifetime(FRESH, replace(POLICY, ttl=86_400)) == 300


def by_origin(age, **terms):
    origin = Origin(etag='"theirs"', **terms)
    return replace(ENTRY, stored=NOW - age, ttl=60, origin=origin)


FRAGILE = replace(POLICY, serve_invalidated_on_error=True)


def last_resort(*args, outage_leased=False, policy=POLICY, leased=True, alive=True):
    found = Lookup(*args, alive=alive, fence=FENCE)
    decision = decide(NOTHING, found, policy, NOW, leased=leased, outage_leased=outage_leased)
    assert isinstance(decision, Fetch)
    assert decision.fallback is None or decision.last_resort is None
    return decision.last_resort


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        # whom Jira accepted not quite lately
        (last_resort(FRESH, leased=False), None),
        (last_resort(FRESH, leased=False, outage_leased=True), LastResort(FRESH, Why.OUTAGE_LEASE)),
        (last_resort(OLD, leased=False, outage_leased=True), LastResort(OLD, Why.OUTAGE_LEASE)),
        (last_resort(ANCIENT, leased=False, outage_leased=True), None),
        (last_resort(None, leased=False, outage_leased=True), None),
        (last_resort(MISSING, leased=False, outage_leased=True), None),
        # what is known to be old
        (last_resort(FRESH, alive=False), None),
        (last_resort(FRESH, alive=False, policy=FRAGILE), LastResort(FRESH, Why.INVALIDATED_ERROR)),
        (last_resort(ANCIENT, alive=False, policy=FRAGILE), None),
        (last_resort(FRESH, alive=False, leased=False, policy=FRAGILE), None),
        (
            last_resort(FRESH, alive=False, leased=False, outage_leased=True, policy=FRAGILE),
            LastResort(FRESH, Why.INVALIDATED_ERROR),
        ),
        # what may stand in anyway
        (last_resort(OLD), None),
    ],
)
def test_what_may_stand_in_only_while_jira_is_down(case, expected):
    assert case == expected


def act_by_origin(entry, asked=NOTHING, **options) -> Decision:
    return act(entry, asked, policy=ruling(replace(POLICY, freshness=Freshness.ORIGIN), entry), **options)


HELD = by_origin(61)
LAXER = by_origin(61, stale_while_revalidate=5, stale_if_error=9)
STRICT = by_origin(61, strict=True)
UNVALIDATED = replace(HELD, origin=Origin())


@pytest.mark.parametrize(
    ("case", "expected"),
    [
        (act_by_origin(by_origin(59)), Serve(by_origin(59), Why.FRESH)),
        (act_by_origin(HELD), Fetch(Why.EXPIRED, held=HELD)),
        (act_by_origin(UNVALIDATED), Fetch(Why.EXPIRED)),
        (act_by_origin(LAXER), Serve(LAXER, Why.STALE_REVALIDATE, refresh=True)),
        (act_by_origin(LAXER, Asked(max_age=100)), Fetch(Why.EXPIRED, LAXER, held=LAXER)),
        (act_by_origin(by_origin(30), Asked(max_age=20)), Fetch(Why.TOO_OLD, by_origin(30), held=by_origin(30))),
        (act_by_origin(by_origin(30), Asked(min_fresh=40)), Fetch(Why.TOO_OLD, by_origin(30), held=by_origin(30))),
        (act_by_origin(HELD, Asked(max_stale=5)), Serve(HELD, Why.MAX_STALE)),
        (act_by_origin(STRICT, Asked(max_stale=5)), Fetch(Why.EXPIRED, held=STRICT)),
        # whom Jira has not accepted lately, and what is known to be old, is not asked about by a condition
        (act_by_origin(HELD, leased=False), Fetch(Why.NO_LEASE)),
        (act_by_origin(HELD, alive=False), Fetch(Why.INVALIDATED)),
        (act_by_origin(HELD, Asked(refresh=True)), Fetch(Why.REFRESH, shared=False)),
        (act_by_origin(HELD, Asked(only_if_cached=True)), Refuse(Why.ONLY_IF_CACHED)),
    ],
)
def test_a_decision_by_the_origins_terms(case, expected):
    assert case == expected
