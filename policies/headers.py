"""Which headers may travel on, which may be told again to somebody else, and which may make Jira answer differently.

Tables only: what a proxy must not pass on (RFC 9110 section 7.6.1), and what belongs to one answer or one asker.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache

Pairs = Iterable[tuple[str, str]]

HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authentication-info",
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
        "traceparent",
        "traceresponse",
        "tracestate",
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
# What an answer says of itself in HTTP's own terms, and is told again where the origin decides (`freshness: origin`).
OF_THE_ORIGIN = frozenset({"content-location", "date", "last-modified", "location"})
NEVER_REPLAYED_PREFIXES = ("x-ratelimit", "ratelimit", "beta-ratelimit", "x-amz-", "x-b3-", "cf-")

# Of a request: what leaves Jira's answer as it is, or is looked at elsewhere (policies.callers, policies.canon). Any
# other header may log somebody in, impersonate, or choose what an app answers; nobody can list all of those.
_FAMILIAR = HOP_BY_HOP | frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "authorization",
        "b3",
        "baggage",
        "cache-control",
        "cdn-loop",
        "cf-connecting-ip",
        "cf-ipcountry",
        "cf-ray",
        "cf-visitor",
        "content-length",
        "content-type",
        "cookie",
        "dnt",
        "expect",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "newrelic",
        "pragma",
        "priority",
        "range",
        "referer",
        "request-id",
        "save-data",
        "sentry-trace",
        "traceparent",
        "tracestate",
        "true-client-ip",
        "uber-trace-id",
        "upgrade-insecure-requests",
        "user-agent",
        "via",
        "x-amzn-trace-id",
        "x-atlassian-token",
        "x-client-ip",
        "x-cloud-trace-context",
        "x-correlation-id",
        "x-experimentalapi",
        "x-force-accept-language",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-jira-cache",
        "x-real-ip",
        "x-request-id",
        "x-request-start",
        "x-requested-with",
        "x-trace-id",
    }
)
_FAMILIAR_PREFIXES = ("sec-ch-", "sec-fetch-", "x-b3-", "x-datadog-", "x-newrelic-", "x-ot-span-")


def unfamiliar(headers: Mapping[str, str]) -> list[str]:
    """List what a request says in headers of which we do not know that they leave Jira's answer as it is, in order."""
    return [
        f"{name}={value}"
        for name, value in sorted(headers.items())
        if name not in _FAMILIAR and not name.startswith(_FAMILIAR_PREFIXES)
    ]


def field_names(listed: str) -> tuple[str, ...]:
    """Read a list of header names, as Connection and Vary have it, in lower case."""
    return tuple(name for word in listed.split(",") if (name := word.strip().lower()))


def end_to_end(headers: Pairs) -> list[tuple[str, str]]:
    """Drop what is meant for the next hop alone: the fixed list and whatever Connection names."""
    listed = [(name.lower(), name, value) for name, value in headers]
    dropped = HOP_BY_HOP.union(*(field_names(value) for low, _, value in listed if low == "connection"))
    return [(name, value) for low, name, value in listed if low not in dropped]


def replayable(headers: Pairs, besides: frozenset[str] = frozenset()) -> tuple[tuple[str, str], ...]:
    """Keep of an answer's headers what may be told to another asker, or to the same one later, and those `besides`."""
    told = (
        (name, value)
        for name, value in end_to_end(headers)
        if (low := name.lower()) in besides
        or (low not in NEVER_REPLAYED and not low.startswith(NEVER_REPLAYED_PREFIXES))
    )
    return shared(tuple(told))


@lru_cache(maxsize=256)
def shared(headers: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """Return one and the same object for equal headers: nearly all answers of a Jira have the same."""
    return headers
