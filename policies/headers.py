"""Which headers may travel on, and which may be told again to somebody else.

Tables only: what a proxy must not pass on (RFC 9110 section 7.6.1), and what belongs to one answer or one asker.
"""

from collections.abc import Iterable

Pairs = Iterable[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)

# Identity, traces, cookies and limits of the one answer that carried them; addresses, which differ by asker; and what
# the renderer writes itself.
NEVER_REPLAYED = frozenset(
    {
        "age",
        "atl-request-id",
        "atl-traceid",
        "cache-status",
        "content-encoding",
        "content-length",
        "content-location",
        "date",
        "etag",
        "last-modified",
        "location",
        "nel",
        "report-to",
        "retry-after",
        "server-timing",
        "set-cookie",
        "set-cookie2",
        "via",
        "www-authenticate",
        "x-aaccountid",
        "x-arequestid",
        "x-asen",
        "x-asessionid",
        "x-ausername",
        "x-cache",
        "x-request-id",
        "x-seraph-loginreason",
        "x-trace-id",
    }
)
NEVER_REPLAYED_PREFIXES = ("x-ratelimit", "ratelimit", "beta-ratelimit", "x-amz-", "x-b3-", "cf-")


def end_to_end(headers: Pairs) -> list[tuple[str, str]]:
    """Drop what is meant for the next hop alone: the fixed list and whatever Connection names."""
    kept = list(headers)
    named = {word.strip().lower() for name, value in kept if name.lower() == "connection" for word in value.split(",")}
    return [(name, value) for name, value in kept if name.lower() not in HOP_BY_HOP and name.lower() not in named]


def replayable(headers: Pairs) -> tuple[tuple[str, str], ...]:
    """Keep of an answer's headers what may be told to another asker, or to the same one later."""
    return tuple(
        (name, value)
        for name, value in end_to_end(headers)
        if name.lower() not in NEVER_REPLAYED and not name.lower().startswith(NEVER_REPLAYED_PREFIXES)
    )
