import pytest

from policies.callers import Anonymous, Credentialed
from policies.login import Accepted, Refused, Silent, judge
from policies.model import Why

ALICE = Credentialed("c0ffee")
SEEN = "x-ausername"


def verdict(caller, headers, *, bound="", status=200, site_names=True):
    return judge(caller, bound, status, headers, site_names=site_names, pseudonym=str.upper)


@pytest.mark.parametrize(
    ("judged", "expected"),
    [
        # sites that name the account
        (verdict(ALICE, {SEEN: "alice"}), Accepted("ALICE")),
        (verdict(ALICE, {"x-aaccountid": "5b10%3Aa"}), Accepted("5B10%3AA")),
        (verdict(ALICE, {SEEN: "alice", "x-seraph-loginreason": "OK"}), Accepted("ALICE")),
        (verdict(ALICE, {SEEN: "alice"}, status=500), Accepted("ALICE")),
        (verdict(ALICE, {SEEN: "alice"}, bound="ALICE"), Accepted("ALICE")),
        (verdict(ALICE, {SEEN: "bob"}, bound="ALICE"), Refused(Why.ACCOUNT_CHANGED)),
        (verdict(ALICE, {SEEN: "anonymous"}), Refused()),
        (verdict(ALICE, {}), Silent()),
        (verdict(ALICE, {}, status=401), Refused()),
        # the wrong password that is answered 200
        (verdict(ALICE, {"x-seraph-loginreason": "AUTHENTICATED_FAILED"}), Refused()),
        (verdict(ALICE, {"x-seraph-loginreason": "OUT, AUTHENTICATION_DENIED", SEEN: "alice"}), Refused()),
        (verdict(ALICE, {"x-seraph-loginreason": "AUTHENTICATED_FAILED"}, site_names=False), Refused()),
        # sites that never name one
        (verdict(ALICE, {}, site_names=False), Accepted("")),
        (verdict(ALICE, {}, site_names=False, status=404), Accepted("")),
        (verdict(ALICE, {}, site_names=False, status=403), Silent()),
        (verdict(ALICE, {}, site_names=False, status=302), Silent()),
        (verdict(ALICE, {}, site_names=False, bound="ALICE"), Silent()),
        # nobody in particular
        (verdict(Anonymous(), {}), Accepted("")),
        (verdict(Anonymous(), {SEEN: "anonymous"}), Accepted("")),
        (verdict(Anonymous(), {SEEN: "alice"}), Refused(Why.ACCOUNT_CHANGED)),
    ],
)
def test_a_login_is_judged(judged, expected):
    assert judged == expected
