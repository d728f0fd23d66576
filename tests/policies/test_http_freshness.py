"""Freshness by an answer's own headers. The cases are those that public test suites of HTTP caches name."""

import pytest

from policies.callers import Anonymous, Audience, Credentialed, audience, partition
from policies.http_date import spelled
from policies.http_freshness import Arrival, Usable, initial_age, lifetime, ruling, usable
from policies.model import Entry, Origin, Policy, Scope, Why
from policies.tags import Tags

NOW = 1_700_000_000.0
ARRIVED = Arrival(NOW, 0.0)
POLICY = Policy(ttl=3600, stale_while_revalidate=0, stale_if_error=0)
CALLER, AUTHORIZED, ANYBODY = Audience.CALLER, Audience.AUTHORIZED, Audience.ANYBODY
LONG_AGO = spelled(NOW - 10_000)


def told(**headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


def life(audience=CALLER, status=200, **headers):
    return lifetime(status, told(**headers), NOW, audience, POLICY.ttl)


def cc(value):
    return {"cache_control": value}


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        # freshness
        ("max-age=3600", 3600),
        ("max-age=0", 0),
        ("max-age=2147483648", 2**31),
        ("max-age=99999999999", 2**31),
        ("max-age=" + "9" * 500, 2**31),
        ("s-maxage=60", 60),
        ("no-cache, max-age=60", 0),
        ('no-cache="Set-Cookie", max-age=60', 0),
        ("public", 0),
        ("immutable, max-age=60", 60),
        # parsing
        ("MaX-aGe=60", 60),
        ("max-age=60, unknown, other=5", 60),
        ("unknown,max-age=60", 60),
        ("max-age=003600", 3600),
        ('max-age="60"', 60),
        ("max-age='60'", 0),
        ("max-age", 0),
        ("max-age=", 0),
        ("max-age=-60", 0),
        ("max-age=a60", 0),
        ("max-age=60a", 0),
        ("max-age=60.0", 0),
        ("max-age=6e1", 0),
        ('extension="max-age=60", max-age=1', 1),
        ('max-age=1, extension="max-age=60"', 1),
        ('extension="no-cache", max-age=60', 60),
        ("max-age=60, max-age=1", 1),
        ("max-age=1, max-age=60", 1),
        ("max-age=60, max-age=soon", 0),
        (",,max-age=60,", 60),
        ("xmax-age=60", 0),
        ("no-cachex, max-age=60", 60),
    ],
)
def test_cache_control_states_a_lifetime(control, seconds):
    assert life(cache_control=control) == seconds


@pytest.mark.parametrize(
    ("who", "control", "seconds"),
    [
        (ANYBODY, "max-age=60, s-maxage=5", 5),
        (ANYBODY, "s-maxage=60, max-age=5", 60),
        (AUTHORIZED, "s-maxage=60, max-age=5", 60),
        (ANYBODY, "s-maxage=soon, max-age=5", 0),
        (CALLER, "max-age=60, s-maxage=5", 5),
        (CALLER, "s-maxage=60, max-age=5", 5),
    ],
)
def test_what_is_shared_goes_by_s_maxage_and_what_is_ones_own_by_the_shorter(who, control, seconds):
    assert life(who, cache_control=control) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        (told(expires=spelled(NOW + 60), date=spelled(NOW)), 60),
        (told(expires=spelled(NOW + 60)), 60),
        (told(expires=spelled(NOW + 60), date="yesterday"), 60),
        (told(expires=spelled(NOW - 60), date=spelled(NOW)), 0),
        (told(expires=spelled(NOW), date=spelled(NOW)), 0),
        (told(expires=spelled(NOW + 60), date=spelled(NOW - 40)), 100),  # the age then tells of the forty
        (told(expires=spelled(NOW + 4e9), date=spelled(NOW)), 2**31),
        (told(expires="0"), 0),
        (told(expires="0", last_modified=LONG_AGO), 0),  # nothing is guessed where something is said
        (told(expires=""), 0),
        (told(expires="Thu, 18 Aug 2050 02:01:18 UTC"), 0),
        (told(expires=f"{spelled(NOW + 60)}, {spelled(NOW + 60)}"), 0),  # two of them, joined
        (told(expires=spelled(NOW - 60), cache_control="max-age=60"), 60),
        (told(expires=spelled(NOW + 60), cache_control="max-age=0"), 0),
        (told(expires=spelled(NOW + 60), cache_control="max-age=soon"), 0),
        (told(expires=spelled(NOW + 60), cache_control="public, unknown=1"), 60),
        (told(expires=spelled(NOW + 60), pragma="no-cache"), 60),
    ],
)
def test_expires_states_a_lifetime_where_cache_control_does_not(headers, seconds):
    assert lifetime(200, headers, NOW, CALLER, POLICY.ttl) == seconds


@pytest.mark.parametrize(
    ("status", "headers", "seconds"),
    [
        (200, told(last_modified=LONG_AGO), 1000),
        (200, told(last_modified=LONG_AGO, date=spelled(NOW - 5000)), 500),
        (200, told(last_modified=spelled(NOW - 1e7)), 3600),  # no longer than the policy's TTL
        (200, told(last_modified=spelled(NOW + 60)), 0),
        (200, told(last_modified="long ago"), 0),
        (200, told(), 0),
        (200, told(etag='"e"'), 0),
        *((status, told(last_modified=LONG_AGO), 1000) for status in (203, 204, 300, 301, 308, 404, 405, 410, 414)),
        *((status, told(last_modified=LONG_AGO), 0) for status in (302, 303, 307)),
        (302, told(last_modified=LONG_AGO, cache_control="public"), 1000),
        (200, told(last_modified=LONG_AGO, cache_control="no-cache"), 0),
    ],
)
def test_a_lifetime_is_guessed_only_from_the_last_modification(status, headers, seconds):
    assert lifetime(status, headers, NOW, CALLER, POLICY.ttl) == seconds


@pytest.mark.parametrize(
    ("headers", "delay", "seconds"),
    [
        (told(), 0, 0),
        (told(), 3, 3),
        (told(age="7200"), 0, 7200),
        (told(age="7200"), 3, 7203),
        (told(date=spelled(NOW - 60)), 0, 60),
        (told(date=spelled(NOW + 60)), 0, 0),
        (told(date=spelled(NOW - 60), age="20"), 0, 60),
        (told(date=spelled(NOW - 60), age="90"), 0, 90),
        (told(date="yesterday"), 0, 0),
        # malformed, and several
        (told(age="abc"), 0, 0),
        (told(age="-7200"), 0, 0),
        (told(age="7200.0"), 0, 0),
        (told(age=""), 0, 0),
        (told(age="7200,0"), 0, 7200),
        (told(age="7200, 7200"), 0, 7200),
        (told(age="0, 7200"), 0, 0),
        (told(age="0, 0"), 0, 0),
        (told(age="7200;x=1"), 0, 0),
        (told(age="9" * 400), 0, 2**31),
    ],
)
def test_an_answer_may_be_old_when_it_comes(headers, delay, seconds):
    assert initial_age(headers, Arrival(NOW, delay)) == seconds


@pytest.mark.parametrize(
    ("who", "control", "kept"),
    [
        (CALLER, "max-age=60", True),
        (CALLER, "private, max-age=60", True),
        (CALLER, "no-store, max-age=60", False),
        (CALLER, "No-Store", False),
        (CALLER, 'extension="no-store", max-age=60', True),
        (CALLER, "no-store, must-understand, max-age=60", True),
        (ANYBODY, "max-age=60", True),
        (ANYBODY, "private, max-age=60", False),
        (ANYBODY, 'private="X-Name", max-age=60', False),
        (ANYBODY, "no-store", False),
        (AUTHORIZED, "max-age=60", False),
        (AUTHORIZED, "public, max-age=60", True),
        (AUTHORIZED, "must-revalidate, max-age=60", True),
        (AUTHORIZED, "s-maxage=60", True),
        (AUTHORIZED, "public, private, max-age=60", False),
        (AUTHORIZED, "no-store, must-understand, max-age=60", False),
    ],
)
def test_what_may_be_kept_depends_on_who_would_see_it(who, control, kept):
    judged = usable(200, told(cache_control=control), ARRIVED, who, POLICY)
    assert isinstance(judged, Usable) if kept else judged is Why.ORIGIN_FORBIDS


@pytest.mark.parametrize(
    ("scope", "caller", "account", "who"),
    [
        (Scope.CREDENTIAL, Credentialed("c"), "alice", CALLER),
        (Scope.CREDENTIAL, Credentialed("c"), "", CALLER),
        (Scope.ACCOUNT, Credentialed("c"), "alice", CALLER),
        (Scope.TENANT, Credentialed("c"), "alice", AUTHORIZED),
        (Scope.TENANT, Credentialed("c"), "", CALLER),
        (Scope.CREDENTIAL, Anonymous(), "", ANYBODY),
        (Scope.TENANT, Anonymous(), "", ANYBODY),
    ],
)
def test_the_audience_is_that_of_the_partition(scope, caller, account, who):
    assert audience(scope, caller, account) is who
    alone = "credential c" in partition(scope, caller, account) or partition(scope, caller, account) == "account alice"
    assert alone == (who is CALLER)


@pytest.mark.parametrize(
    ("control", "terms"),
    [
        ("max-age=60", Origin(stale_while_revalidate=7, stale_if_error=9)),
        ("max-age=60, stale-while-revalidate=30", Origin(stale_while_revalidate=30, stale_if_error=9)),
        ("max-age=60, stale-if-error=30", Origin(stale_while_revalidate=7, stale_if_error=30)),
        ("max-age=60, stale-if-error=0", Origin(stale_while_revalidate=7, stale_if_error=0)),
        ("max-age=60, stale-if-error", Origin(stale_while_revalidate=7, stale_if_error=0)),
        ("max-age=60, must-revalidate, stale-if-error=30", Origin(strict=True)),
        ("max-age=60, proxy-revalidate", Origin(strict=True)),
        ("s-maxage=60, stale-while-revalidate=30", Origin(strict=True)),
        ("no-cache", Origin(strict=True)),
    ],
)
def test_the_origin_says_how_long_an_answer_is_of_use_when_stale_and_policy_where_it_is_silent(control, terms):
    policy = Policy(ttl=3600, stale_while_revalidate=7, stale_if_error=9)
    judged = usable(200, told(cache_control=control), ARRIVED, CALLER, policy)
    assert isinstance(judged, Usable)
    assert judged.origin == terms


def test_validators_are_kept_as_they_were_written_and_a_date_that_is_none_is_no_validator():
    judged = usable(200, told(etag='W/"e"', last_modified=LONG_AGO), ARRIVED, CALLER, POLICY)
    assert isinstance(judged, Usable)
    assert (judged.origin.etag, judged.origin.last_modified) == ('W/"e"', LONG_AGO)
    broken = usable(200, told(last_modified="long ago"), ARRIVED, CALLER, POLICY)
    assert isinstance(broken, Usable)
    assert broken.origin.last_modified == ""


def test_an_answer_that_comes_old_has_used_up_a_part_of_its_life():
    judged = usable(200, told(cache_control="max-age=60", age="20"), ARRIVED, CALLER, POLICY)
    assert isinstance(judged, Usable)
    assert (judged.age, judged.lifetime) == (20, 60)


def test_the_origins_terms_rule_in_the_place_of_the_policys():
    entry = Entry(200, (), b"", "identity", '"e"', Tags(), stored=NOW, ttl=60, keep=60, origin=Origin(stale_if_error=5))
    ruled = ruling(Policy(ttl=1, stale_if_error=3600), entry)
    assert (ruled.ttl, ruled.stale_if_error) == (60, 5)


def test_the_policy_rules_what_was_kept_by_it():
    entry = Entry(200, (), b"", "identity", '"e"', Tags(), stored=NOW, ttl=60, keep=60)
    assert ruling(POLICY, entry) is POLICY
    assert ruling(POLICY, None) is POLICY
