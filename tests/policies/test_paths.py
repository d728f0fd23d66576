"""A path is clean only where Jira must read it as we do; an unclean one still tells what a write may have hit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.paths import segments, suspected

CLEAN = [
    ("/", ()),
    ("/rest/api/2/issue/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/%50ROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/status/In%20Progress", ("rest", "api", "2", "status", "In Progress")),
    ("/rest/api/2/status/50%25", ("rest", "api", "2", "status", "50%")),
    ("/rest/api/2/status/%C3%A9tat", ("rest", "api", "2", "status", "état")),
    ("/rest/api/2/issue/a+b", ("rest", "api", "2", "issue", "a+b")),
    ("/rest/api/2/issue/{issue}", ("rest", "api", "2", "issue", "{issue}")),
    ("/.well-known/x", (".well-known", "x")),
    ("/images/a.json", ("images", "a.json")),
    ("/rest/api/2/application-properties/jira.title", ("rest", "api", "2", "application-properties", "jira.title")),
]

UNCLEAN = [
    ("", ()),
    ("rest/api", ("rest", "api")),
    ("/rest//api/2/issue/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1/", ("rest", "api", "2", "issue", "PROJ-1")),
    ("//", ()),
    ("/rest/api/2/x/../issue/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/./issue/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1/.", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/x/%2e%2E/issue/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/../rest/api", ("rest", "api")),
    ("/rest/api/2/issue%2FPROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue%5cPROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2\\issue\\PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue;x=1/PROJ-1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1%3Bx", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ%252D1", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1%00", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1%0a", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1%C2%85", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1.json", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/PROJ-1.XML", ("rest", "api", "2", "issue", "PROJ-1")),
    ("/rest/api/2/issue/%FF", ("rest", "api", "2", "issue", "\ufffd")),
    ("/rest/api/2/issue/%zz", ("rest", "api", "2", "issue", "%zz")),
    ("/rest/api/2/issue/100%", ("rest", "api", "2", "issue", "100%")),
    ("/rest/api/2/status/état", ("rest", "api", "2", "status", "état")),
    ("/rest/api/2/issue/PROJ-1#x", ("rest", "api", "2", "issue", "PROJ-1#x")),
    ("/rest/api/2/issue/%2525252e", ("rest", "api", "2", "issue")),
]


@pytest.mark.parametrize(("path", "expected"), CLEAN)
def test_a_clean_path_is_read_segment_by_segment(path, expected):
    assert segments(path) == expected


@pytest.mark.parametrize(("path", "meant"), UNCLEAN)
def test_a_path_that_jira_may_read_differently_is_not_read_but_suspected(path, meant):
    assert segments(path) is None
    assert suspected(path) == meant


def test_a_hostile_path_is_given_up_after_a_few_rounds_of_decoding():
    assert suspected("/rest/" + "%25" * 2000 + "41")[0] == "rest"


@given(st.text(alphabet="/.%25eEfFcC;\\a-1 é\x00", max_size=30))
def test_what_is_read_is_free_of_everything_ambiguous(text):
    read = segments("/" + text)
    for part in read or ():
        assert part not in ("", ".", "..")
        assert not set(part) & set("/\\;\x00")


@given(st.text(alphabet="/.%25eEfFcC;\\a-1 é\x00", max_size=30))
def test_a_clean_path_is_suspected_to_mean_what_it_says(text):
    read = segments("/" + text)
    if read is not None:
        assert suspected("/" + text) == read
