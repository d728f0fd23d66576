"""Revalidation: what Jira is asked, and what its 304 changes of the kept answer."""

import pytest

from policies.model import Entry, Origin
from policies.tags import Tags
from policies.validation import conditions, confirms, updated, validatable

DATE, LATER = "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 23:13:20 GMT"
HEADERS = (("Content-Type", "image/png"), ("Cache-Control", "max-age=60"), ("X-A", "1"), ("X-A", "2"), ("Date", DATE))


def entry(status=200, coding="identity", **terms):
    origin = Origin(**terms) if terms else None
    return Entry(status, HEADERS, b"", coding, '"ours"', Tags(), stored=0, ttl=60, keep=60, origin=origin)


@pytest.mark.parametrize(
    ("held", "asked"),
    [
        (entry(etag='"e"'), [("If-None-Match", '"e"')]),
        (entry(etag='W/"e"'), [("If-None-Match", 'W/"e"')]),
        (entry(last_modified=DATE), [("If-Modified-Since", DATE)]),
        (entry(etag='"e"', last_modified=DATE), [("If-None-Match", '"e"'), ("If-Modified-Since", DATE)]),
    ],
)
def test_jira_is_asked_by_the_validators_it_gave(held, asked):
    assert validatable(held) is held
    assert conditions(held) == asked


@pytest.mark.parametrize("held", [entry(), entry(strict=True), entry(404, etag='"e"'), entry(301, etag='"e"')])
def test_what_has_no_validator_or_is_no_200_cannot_be_asked_about(held):
    assert validatable(held) is None


@pytest.mark.parametrize(
    ("held", "said", "confirmed"),
    [
        ({"etag": '"e"'}, [], True),
        ({"etag": '"e"'}, [("ETag", '"e"')], True),
        ({"etag": '"e"'}, [("ETag", 'W/"e"')], True),
        ({"etag": 'W/"e"'}, [("etag", '"e"')], True),
        ({"etag": '"e"'}, [("ETag", '"other"')], False),
        ({"last_modified": DATE}, [], True),
        ({"last_modified": DATE}, [("ETag", '"new"')], False),
    ],
)
def test_a_304_about_another_answer_confirms_nothing(held, said, confirmed):
    kept = entry(**held)
    told = {name.lower(): value for name, value in updated(kept, said)}
    assert confirms(kept, told) == confirmed


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([("Cache-Control", "max-age=90")], {"cache-control": ["max-age=90"], "x-a": ["1", "2"]}),
        ([("X-A", "3")], {"x-a": ["3"]}),
        ([("x-a", "3"), ("X-a", "4")], {"x-a": ["3", "4"]}),
        ([("X-B", "1")], {"x-b": ["1"], "x-a": ["1", "2"]}),
        ([("Date", LATER)], {"date": [LATER]}),
        ([], {"date": [], "cache-control": ["max-age=60"]}),
        ([("Expires", LATER)], {"expires": [LATER]}),
        # what belongs to the body, to this hop, or to whatever Connection names
        ([("Content-Type", "text/html")], {"content-type": ["image/png"]}),
        ([("Content-Length", "7")], {"content-length": []}),
        ([("Content-Encoding", "br")], {"content-encoding": ["gzip"]}),
        ([("Content-Range", "bytes 0-1/2")], {"content-range": []}),
        ([("Connection", "X-A"), ("X-A", "3")], {"x-a": ["1", "2"], "connection": []}),
        (
            [("Keep-Alive", "5"), ("Proxy-Authentication-Info", "x")],
            {"keep-alive": [], "proxy-authentication-info": []},
        ),
    ],
)
def test_the_headers_of_a_304_replace_those_of_the_kept_answer(said, expected):
    told = updated(entry(coding="gzip", etag='"e"'), said)
    found = {name: [value for other, value in told if other.lower() == name] for name in expected}
    assert found == expected
