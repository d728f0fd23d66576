import pytest

from policies.headers import end_to_end, replayable


def test_what_is_meant_for_the_next_hop_goes_no_further():
    headers = [
        ("Connection", "keep-alive, X-Secret-Hop"),
        ("Keep-Alive", "timeout=5"),
        ("X-Secret-Hop", "1"),
        ("Transfer-Encoding", "chunked"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Content-Type", "text/plain"),
    ]
    assert end_to_end(headers) == [("Content-Type", "text/plain")]


@pytest.mark.parametrize(
    "name",
    [
        "Set-Cookie",
        "X-AREQUESTID",
        "Atl-Traceid",
        "Atl-Request-Id",
        "Server-Timing",
        "X-AACCOUNTID",
        "X-AUSERNAME",
        "X-RateLimit-Remaining",
        "RateLimit-Reason",
        "Beta-RateLimit-Policy",
        "Via",
        "NEL",
        "Report-To",
        "X-Amz-Cf-Id",
        "X-Cache",
        "Date",
        "Age",
        "X-Seraph-LoginReason",
        "WWW-Authenticate",
    ],
)
def test_a_header_of_one_answer_is_never_replayed_in_another(name):
    assert replayable([(name, "1"), (name.lower(), "2"), ("Content-Type", "a/b")]) == (("Content-Type", "a/b"),)
