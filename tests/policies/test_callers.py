import pytest

from policies.callers import Anonymous, Credentialed, Untrackable, identify, lock, partition
from policies.model import Request, Scope, Why

SECRET = b"the deployment's own secret"
BASIC = "Basic YWxpY2U6c2VzYW1l"


def caller(query="", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return identify(Request("GET", "/rest/api/2/myself", query, named), SECRET)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (caller(authorization=BASIC), caller(authorization=BASIC, cookie="atlassian.xsrf.token=1")),
        (
            caller(authorization=BASIC),
            caller(authorization=BASIC, user_agent="x", x_request_id="7", sec_fetch_mode="cors"),
        ),
        (caller(cookie="JSESSIONID=1; a=b"), caller(cookie="a=b;JSESSIONID=1")),
        (caller(cookie="JSESSIONID=1"), caller(cookie="JSESSIONID=1; atlassian.xsrf.token=Q; _ga=7")),
    ],
)
def test_the_same_caller_is_known_again(one, other):
    assert isinstance(one, Credentialed)
    assert one == other


def test_different_callers_are_never_taken_for_each_other():
    callers = [
        caller(),
        caller(authorization=BASIC),
        caller(authorization=BASIC + "="),
        caller(authorization="Bearer YWxpY2U6c2VzYW1l"),
        caller(authorization="basic YWxpY2U6c2VzYW1l"),
        caller(cookie="JSESSIONID=1"),
        caller(cookie="JSESSIONID=2"),
        caller(cookie="cloud.session.token=1"),
        caller(cookie="seraph.rememberme.cookie=1"),
        caller(cookie="sso_of_the_company=1"),
        caller(remote_user="alice"),
        caller(authorization=BASIC, remote_user="alice"),
        caller(authorization=BASIC, remote_user="bob"),
        caller(authorization=BASIC, x_impersonate="bob"),
        caller(authorization=BASIC, cookie="JSESSIONID=1"),
        caller(authorization=BASIC, cookie="JSESSIONID=2"),
        caller(x_api_key="shared", cookie="JSESSIONID=1"),
        caller(x_api_key="shared", cookie="JSESSIONID=2"),
        caller(authorization="", cookie="JSESSIONID=3"),
        caller(authorization="", cookie="JSESSIONID=4"),
        caller(cookie=f"authorization={BASIC}"),
        caller(cookie="_gatekeeper=1"),
        caller(cookie="jira.sso=1"),
    ]
    assert len(set(callers)) == len(callers)


def test_cookies_that_log_nobody_in_leave_the_caller_anonymous():
    assert caller(cookie="atlassian.xsrf.token=ABC; AJS_conglomerate=1; _ga=GA1; _ga_X=2") == Anonymous()


def test_sessions_of_one_authorization_share_what_jira_shows_one_account_and_nothing_before_it_names_one():
    one, other, alone = (
        caller(authorization=BASIC, cookie="JSESSIONID=1"),
        caller(authorization=BASIC, cookie="JSESSIONID=2"),
        caller(cookie="JSESSIONID=1"),
    )
    assert partition(Scope.CREDENTIAL, one, "alice") == partition(Scope.CREDENTIAL, other, "alice")
    assert partition(Scope.CREDENTIAL, one, "alice") != partition(Scope.CREDENTIAL, other, "bob")
    assert partition(Scope.CREDENTIAL, one, "alice") != partition(Scope.CREDENTIAL, alone, "alice")
    assert partition(Scope.CREDENTIAL, one, "") != partition(Scope.CREDENTIAL, other, "")


@pytest.mark.parametrize("scheme", ["JWT", "jwt", "OAuth", "Digest", "Negotiate", "NTLM"])
def test_a_credential_that_changes_with_each_request_is_not_tracked(scheme):
    assert caller(authorization=f"{scheme} abc") == Untrackable(Why.CHANGING_CREDENTIAL)


@pytest.mark.parametrize(
    "query", ["jwt=abc", "fields=id&access_token=abc", "os_username=a&os_password=b", "%6a%77%74=abc", "OS_USERNAME=a"]
)
def test_a_credential_in_the_query_string_is_not_tracked(query):
    assert caller(query, authorization=BASIC) == Untrackable(Why.QUERY_CREDENTIAL)


def test_a_secret_of_another_deployment_gives_other_hashes():
    request = Request("GET", "/", "", {"authorization": BASIC})
    assert identify(request, b"one") != identify(request, b"two")


def test_a_credential_is_not_to_be_found_in_what_it_becomes():
    assert "YWxpY2U6c2VzYW1l" not in repr(caller(authorization=BASIC))


ALICE, ALICE_TOO, BOB = Credentialed("a1"), Credentialed("a2"), Credentialed("b1")


@pytest.mark.parametrize(
    ("scope", "one", "other", "shared"),
    [
        (Scope.CREDENTIAL, (ALICE, "alice"), (ALICE, "alice"), True),
        (Scope.CREDENTIAL, (ALICE, "alice"), (ALICE_TOO, "alice"), False),
        (Scope.CREDENTIAL, (ALICE, "alice"), (ALICE, "bob"), False),
        (Scope.CREDENTIAL, (ALICE, ""), (ALICE, "alice"), False),
        (Scope.ACCOUNT, (ALICE, "alice"), (ALICE_TOO, "alice"), True),
        (Scope.ACCOUNT, (ALICE, "alice"), (BOB, "bob"), False),
        (Scope.ACCOUNT, (ALICE, ""), (BOB, ""), False),
        (Scope.TENANT, (ALICE, "alice"), (BOB, "bob"), True),
        (Scope.TENANT, (ALICE, ""), (BOB, ""), False),
        (Scope.TENANT, (ALICE, "alice"), (BOB, ""), False),
        (Scope.TENANT, (ALICE, "alice"), (Anonymous(), ""), False),
        (Scope.ACCOUNT, (Anonymous(), ""), (BOB, ""), False),
        (Scope.CREDENTIAL, (Anonymous(), ""), (Anonymous(), ""), True),
    ],
)
def test_who_shares_a_partition(scope, one, other, shared):
    assert (partition(scope, *one) == partition(scope, *other)) is shared


# locks --------------------------------------------------------------------------------------------------------------


def locked(scope=Scope.CREDENTIAL, account="acc", secret=SECRET, **headers):
    """The partition that a request is in, and the lock to what is kept there."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request("GET", "/rest/api/2/myself", headers=named)
    known = identify(request, secret)
    assert not isinstance(known, Untrackable)
    return partition(scope, known, account), lock(request, scope, known, secret, account)


ASKERS = [
    {},
    {"authorization": BASIC},
    {"authorization": BASIC, "cookie": "JSESSIONID=1"},
    {"authorization": BASIC, "cookie": "JSESSIONID=2"},
    {"authorization": BASIC, "cookie": "atlassian.xsrf.token=1", "user_agent": "x"},
    {"authorization": BASIC, "remote_user": "bob"},
    {"authorization": "Bearer abc"},
    {"cookie": "JSESSIONID=1"},
    {"cookie": "JSESSIONID=1; a=b"},
    {"cookie": "a=b;JSESSIONID=1"},
]


@pytest.mark.parametrize("scope", Scope)
@pytest.mark.parametrize("account", ["", "acc"])
def test_those_who_share_a_partition_have_the_same_key_to_it_and_nobody_else_has(scope, account):
    found = {locked(scope, account, **headers) for headers in ASKERS}
    keys = [key for _, key in found if key]
    assert len({part for part, _ in found}) == len(found)  # never two keys to one partition
    assert len(set(keys)) == len(keys)  # never one key to two


@pytest.mark.parametrize(
    ("scope", "account", "headers", "own"),
    [
        (Scope.CREDENTIAL, "acc", {"authorization": BASIC}, True),
        (Scope.CREDENTIAL, "", {"authorization": BASIC}, True),
        (Scope.CREDENTIAL, "", {}, False),
        (Scope.ACCOUNT, "", {"authorization": BASIC}, True),
        (Scope.ACCOUNT, "acc", {"authorization": BASIC}, False),  # by another of their credentials it is read, too
        (Scope.TENANT, "acc", {"authorization": BASIC}, False),
    ],
)
def test_a_key_follows_from_the_credential_where_one_credential_is_all_that_reads(scope, account, headers, own):
    assert len(locked(scope, account, **headers)[1]) == (32 if own else 0)


def test_a_key_needs_the_secret_and_is_none_of_the_hashes_that_are_stored():
    part, key = locked(authorization=BASIC)
    assert locked(authorization=BASIC, secret=b"another secret, of another's")[1] != key
    assert key.hex()[:32] not in part
