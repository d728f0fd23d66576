import pytest

from policies.callers import Audience
from policies.http_freshness import Arrival, Usable, usable
from policies.model import Origin, Policy, Why
from policies.vary import selection, selects

SECRET = b"a secret"


def kept(vary, **headers):
    """The terms of an answer with this Vary, to a request with these headers."""
    said = {"cache-control": "max-age=60", "vary": vary}
    judged = usable(200, said, Arrival(0, 0), Audience.CALLER, Policy(ttl=60))
    if not isinstance(judged, Usable):
        return judged
    names = judged.origin.vary
    return Origin(vary=names, selected=selection(names, request(headers), SECRET))


def request(headers):
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("vary", "first", "second", "same"),
    [
        ("Foo", {"foo": "1"}, {"foo": "1"}, True),
        ("Foo", {"foo": "1"}, {"foo": "2"}, False),
        ("Foo", {"foo": "1"}, {}, False),
        ("Foo", {}, {"foo": "1"}, False),
        ("Foo", {}, {}, True),
        ("Foo", {}, {"foo": ""}, False),
        ("Foo", {"foo": "1", "other": "2"}, {"foo": "1", "other": "3"}, True),
        ("fOO", {"foo": "1"}, {"foo": "2"}, False),
        ("Foo, Bar", {"foo": "1", "bar": "2"}, {"foo": "1", "bar": "2"}, True),
        ("Foo, Bar", {"foo": "1", "bar": "2"}, {"foo": "1"}, False),
        ("Foo, Bar", {"foo": "1", "bar": "2"}, {"foo": "1", "bar": "3"}, False),
        ("Foo, Bar", {"foo": "1", "bar": "2"}, {"foo": "2", "bar": "1"}, False),
        ("Foo,Bar,, Baz", {"foo": "1", "baz": "3"}, {"foo": "1", "baz": "3"}, True),
        ("Foo", {"foo": "1, 2"}, {"foo": " 1,2 "}, True),
        ("Foo", {"foo": "1, 2"}, {"foo": "2, 1"}, False),
        ("Foo", {"foo": "a"}, {"foo": "A"}, False),
        ("Accept-Encoding", {"accept_encoding": "gzip"}, {}, True),
        ("Foo, Accept-Encoding", {"foo": "1"}, {"foo": "2"}, False),
        ("", {"foo": "1"}, {"foo": "2"}, True),
    ],
)
def test_a_request_selects_what_one_that_says_the_same_got(vary, first, second, same):
    assert selects(kept(vary, **first), request(second), SECRET) == same


@pytest.mark.parametrize("vary", ["*", " * ", "Foo, *", "*, Foo", ",*"])
def test_what_varies_by_everything_is_not_kept(vary):
    assert kept(vary) is Why.VARIES


def test_the_order_and_the_case_of_the_names_do_not_matter():
    assert kept("Foo, BAR, foo", foo="1", bar="2") == kept("bar,foo", bar="2", foo="1")


def test_values_cannot_be_moved_from_one_header_to_another():
    assert not selects(kept("a, b", a="1", b="2,3"), request({"a": "1,2", "b": "3"}), SECRET)
    assert not selects(kept("a, b", a="x"), request({"b": "x"}), SECRET)


def test_what_was_selected_by_is_kept_as_a_hash_that_needs_the_secret():
    terms = kept("Cookie", cookie="session=abc")
    assert "abc" not in repr(terms)
    assert not selects(terms, {"cookie": "session=abc"}, b"another secret")


def test_what_was_kept_by_policy_suits_every_request():
    assert selects(None, {"foo": "1"}, SECRET)
