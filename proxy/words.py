"""What each Why and each tag means, in a sentence for those who run the proxy."""

from collections.abc import Mapping

from policies.model import Why

MEANINGS: Mapping[Why, str] = {
    Why.FRESH: "answered from cache: nothing it shows has changed, and its TTL has not run out",
    Why.NEGATIVE: "answered from cache that Jira does not have it",
    Why.STALE_REVALIDATE: "answered from cache although old, while a new answer is fetched",
    Why.STALE_ERROR: "answered from cache although old, because Jira fails",
    Why.OUTAGE_LEASE: "answered from cache: Jira is down, and had accepted the credential not long ago",
    Why.INVALIDATED_ERROR: "answered from cache although a change made it old, because Jira is down",
    Why.MAX_STALE: "answered from cache although old, because the client said that it may be",
    Why.ONLY_IF_CACHED: "refused: the client wants a cached answer or none, and there is none",
    Why.UNREACHABLE: "refused: Jira cannot be reached",
    Why.TIMEOUT: "refused: Jira did not answer in time",
    Why.THROTTLED: "refused: Jira wants to be asked less often",
    Why.BREAKER_OPEN: "refused: Jira has failed too often just now, and is left alone for a moment",
    Why.QUEUE_FULL: "refused: too many requests wait for Jira",
    Why.UNKNOWN_TENANT: "refused: no Jira is configured for this address",
    Why.CLIENT_LIMIT: "refused: the client has made all its requests of this minute",
    Why.ADDRESS_LIMIT: "refused: all the requests of this minute that may come from this address have been made",
    Why.CONNECTION_LIMIT: "refused: as many connections are held as may be, in all or by this address",
    Why.BAD_REQUEST: "refused: it is not HTTP as it should be",
    Why.HTTP_VERSION: "refused: the proxy speaks HTTP/1.1 and HTTP/1.0",
    Why.UPGRADE_REFUSED: "refused: WebSocket and other protocols do not go through the proxy",
    Why.EXPECTATION: "refused: the client expects something that is not 100-continue",
    Why.HEADER_TOO_LARGE: "refused: the request's line and headers are larger than limits.max_header",
    Why.BODY_TOO_LARGE: "refused: the request's body is larger than limits.max_upload",
    Why.SLOW_CLIENT: "refused: the request's headers or body took too long to arrive",
    Why.INTERNAL_ERROR: "failed: an error of the proxy's own; the log says where",
    Why.OWN: "answered by the proxy itself: health and webhooks",
    Why.MISS: "asked of Jira: no answer is kept for this question of this caller",
    Why.EXPIRED: "asked of Jira: the TTL of the kept answer has run out",
    Why.INVALIDATED: "asked of Jira: a change made the kept answer old",
    Why.NO_LEASE: "asked of Jira: it has to accept this caller's credential first",
    Why.REFRESH: "asked of Jira: the client wants a new answer",
    Why.NO_STORE: "asked of Jira: the client wants nothing kept",
    Why.TOO_OLD: "asked of Jira: the kept answer is older than the client allows",
    Why.RANGE: "asked of Jira: the client wants a part only",
    Why.STORE_DOWN: "asked of Jira: the store cannot be asked",
    Why.NOT_REST: "passed on: it is not Jira's REST API",
    Why.UNKNOWN_ROUTE: "passed on: no row knows this endpoint",
    Why.NEVER_KEEP: "passed on: its row says that it is never kept",
    Why.UNCLEAN_PATH: "passed on: Jira and the proxy might read this path differently",
    Why.UNREADABLE_BODY: "passed on: its body cannot be read for certain",
    Why.SIDE_EFFECT: "passed on: asking for it changes something in Jira",
    Why.CHANGING_CREDENTIAL: "passed on: its credential is new each time",
    Why.QUERY_CREDENTIAL: "passed on: its credential is in the URL",
    Why.WRITE: "passed on: it changes something, and makes old what it changes",
    Why.HARMLESS_WRITE: "passed on: it changes nothing that is kept",
    Why.UNKNOWN_WRITE: "passed on: it may change something, and makes old whatever it may",
    Why.LOGIN_FAILED: "not kept: Jira did not accept the credential",
    Why.ACCOUNT_UNNAMED: "not kept: Jira did not say whom it took the caller for",
    Why.ACCOUNT_CHANGED: "not kept: Jira took the caller for somebody else than before",
    Why.NOT_JSON: "not kept: the answer is not JSON",
    Why.STATUS: "not kept: answers of this status are not",
    Why.VARIES: "not kept: the answer varies by something unknown",
    Why.ORIGIN_FORBIDS: "not kept: the origin's Cache-Control says so",
    Why.NO_FRESHNESS: "not kept: the origin does not say for how long the answer is fresh",
    Why.TOO_LARGE: "not kept: the answer is larger than limits.max_body",
    Why.UNREADABLE_ANSWER: "not kept: the answer cannot be read",
}

_TAGS: Mapping[str, str] = {
    "*": "a purge of everything",
    "answer": "a forced refresh of this very answer",
    "issue": "a change of this issue",
    "issues": "any change of an issue that may be in a list",
    "project": "a change of this project",
    "search": "a change of an issue that this query may match, before or after",
    "searches": "a change of which nobody knows what queries it concerns",
    "type": "a purge of this type",
    "user": "a change of this user",
    "users": "a change among the users",
}
_ISSUES_OF = "a change of an issue of this project"
_OTHER = "a change of this"


def meaning(word: str) -> str:
    """Say what a Why's word means; nothing for a word that is none."""
    return next((said for why, said in MEANINGS.items() if why.word == word), "")


def cause(tag: str) -> str:
    """Say what change makes old whatever carries a tag."""
    kind, _, name = tag.partition(":")
    return _ISSUES_OF if kind == "project" and name.endswith(":issues") else _TAGS.get(kind, _OTHER)
