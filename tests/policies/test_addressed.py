import pytest

from policies.addressed import addressed

JIRA = "https://jira.example/base"
ASKED = "/rest/app/1/things"


@pytest.mark.parametrize("header", ["location", "content-location"])
@pytest.mark.parametrize(
    ("value", "paths"),
    [
        ("/base/rest/app/1/things/9", ["/rest/app/1/things/9"]),
        ("things/9", ["/rest/app/1/things/9"]),
        ("?page=2", [ASKED]),
        ("https://jira.example/base/rest/x", ["/rest/x"]),
        ("https://JIRA.example:443/base/rest/x?a=b#c", ["/rest/x"]),
        ("//jira.example/base/rest/x", ["/rest/x"]),
        # another origin's
        ("https://other.example/base/rest/x", []),
        ("http://jira.example/base/rest/x", []),
        ("https://jira.example:8443/base/rest/x", []),
        ("https://jira.example@other.example/base/rest/x", []),
        ("//other.example/base/rest/x", []),
        # the same origin's, but not of this Jira
        ("/elsewhere", []),
        ("/based/rest/x", []),
        # none
        ("https://[broken/base/x", []),
        ("https://jira.example:99999/base/x", []),
        ("", []),
    ],
)
def test_an_answer_names_addresses_of_its_own_origin(header, value, paths):
    assert addressed(JIRA, ASKED, {header: value}) == paths


def test_both_headers_count():
    said = {"location": "things/9", "content-location": "things/10"}
    assert addressed(JIRA, ASKED, said) == ["/rest/app/1/things/9", "/rest/app/1/things/10"]
