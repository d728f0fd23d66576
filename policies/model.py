"""The words of the law: the values that classification, decisions and stores speak in.

Only frozen values live here. What is done with them lives in the module named after the deed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, StrEnum
from types import MappingProxyType

from policies.tags import Tags

EVERYTHING = "*"
"""The tag every entry carries, so that one invalidation can make a whole tenant old."""

NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class Scope(StrEnum):
    """Who shares an entry."""

    CREDENTIAL = "credential"
    ACCOUNT = "account"
    TENANT = "tenant"


class Directives(StrEnum):
    """Which Cache-Control directives of clients count (see policies.directives)."""

    EXPLICIT = "explicit"
    ALL = "all"
    NONE = "none"


class Freshness(StrEnum):
    """Who says for how long an answer is fresh."""

    POLICY = "policy"  # the TTL of its type
    ORIGIN = "origin"  # its own headers, by RFC 9111


class Forwarded(StrEnum):
    """Why a request went on to Jira, in the words of RFC 9211 section 2.2. `partial` is none: no parts are kept."""

    BYPASS = "bypass"
    METHOD = "method"
    REQUEST = "request"
    STALE = "stale"
    URI_MISS = "uri-miss"


class Why(Enum):
    """The one reason for an answer: the header's detail, the log word and the metric label.

    `word` is what outsiders read; `forwarded` is None where the answer came from the cache or from ourselves.
    """

    # answered from cache
    FRESH = "fresh", None
    NEGATIVE = "negative", None
    STALE_REVALIDATE = "stale-revalidate", None
    STALE_ERROR = "stale-error", None
    MAX_STALE = "max-stale", None
    OUTAGE_LEASE = "outage-lease", None
    INVALIDATED_ERROR = "invalidated-error", None
    # answered by ourselves
    ONLY_IF_CACHED = "only-if-cached", None
    UNREACHABLE = "upstream-unreachable", None
    TIMEOUT = "upstream-timeout", None
    THROTTLED = "upstream-throttled", None
    BREAKER_OPEN = "breaker-open", None
    QUEUE_FULL = "queue-full", None
    UNKNOWN_TENANT = "unknown-tenant", None
    CLIENT_LIMIT = "client-limit", None
    ADDRESS_LIMIT = "address-limit", None
    CONNECTION_LIMIT = "connection-limit", None
    BAD_REQUEST = "bad-request", None
    HTTP_VERSION = "http-version", None
    UPGRADE_REFUSED = "upgrade-refused", None
    EXPECTATION = "expectation-failed", None
    HEADER_TOO_LARGE = "header-too-large", None
    BODY_TOO_LARGE = "body-too-large", None
    SLOW_CLIENT = "slow-client", None
    INTERNAL_ERROR = "internal-error", None
    OWN = "own-endpoint", None
    # went to Jira
    MISS = "miss", Forwarded.URI_MISS
    EXPIRED = "expired", Forwarded.STALE
    INVALIDATED = "invalidated", Forwarded.STALE
    NO_LEASE = "no-lease", Forwarded.REQUEST
    REFRESH = "refresh", Forwarded.REQUEST
    NO_STORE = "no-store", Forwarded.REQUEST
    TOO_OLD = "too-old", Forwarded.REQUEST
    RANGE = "range", Forwarded.REQUEST
    STORE_DOWN = "store-down", Forwarded.BYPASS
    NOT_REST = "not-rest", Forwarded.BYPASS
    UNKNOWN_ROUTE = "unknown-route", Forwarded.BYPASS
    NEVER_KEEP = "never-keep", Forwarded.BYPASS
    UNCLEAN_PATH = "unclean-path", Forwarded.BYPASS
    UNREADABLE_BODY = "unreadable-body", Forwarded.BYPASS
    SIDE_EFFECT = "side-effect", Forwarded.BYPASS
    CHANGING_CREDENTIAL = "changing-credential", Forwarded.BYPASS
    QUERY_CREDENTIAL = "query-credential", Forwarded.BYPASS
    WRITE = "write", Forwarded.METHOD
    HARMLESS_WRITE = "harmless-write", Forwarded.METHOD
    UNKNOWN_WRITE = "unknown-write", Forwarded.METHOD
    # went to Jira, and the answer could not be kept
    LOGIN_FAILED = "login-failed", Forwarded.URI_MISS
    ACCOUNT_UNNAMED = "account-unnamed", Forwarded.URI_MISS
    ACCOUNT_CHANGED = "account-changed", Forwarded.URI_MISS
    NOT_JSON = "not-json", Forwarded.URI_MISS
    STATUS = "status", Forwarded.URI_MISS
    VARIES = "varies", Forwarded.URI_MISS
    ORIGIN_FORBIDS = "origin-forbids", Forwarded.URI_MISS
    NO_FRESHNESS = "no-freshness", Forwarded.URI_MISS
    TOO_LARGE = "too-large", Forwarded.URI_MISS
    UNREADABLE_ANSWER = "unreadable-answer", Forwarded.URI_MISS

    def __init__(self, word: str, forwarded: Forwarded | None) -> None:
        self.word = word
        self.forwarded = forwarded


@dataclass(frozen=True, slots=True)
class Request:
    """A client's question, as the law sees it.

    `path` is percent-encoded as the client sent it, begins with "/" and is relative to the tenant (no path prefix);
    `query` has no "?"; header names are lower case; `body` is what was read of a JSON body, else empty.
    """

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: NO_HEADERS)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Policy:
    """How answers of one type are kept. All times are seconds."""

    ttl: float
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    negative_ttl: float = 0.0
    scope: Scope = Scope.CREDENTIAL
    settle: tuple[float, ...] = ()
    ttl_with_webhooks: float | None = None  # in place of `ttl` while webhooks are proven to announce every change
    directives: Directives = Directives.EXPLICIT
    freshness: Freshness = Freshness.POLICY
    serve_invalidated_on_error: bool = False


@dataclass(frozen=True, slots=True)
class Read:
    """A request that may be answered from cache."""

    row: str
    route: str
    type: str
    entity: str
    tags: tuple[str, ...]
    policy: Policy
    body_matters: bool = False  # a POST that only reads: its body is part of the question
    jql: bool = False  # the answer is what a JQL query selects, and nothing else


@dataclass(frozen=True, slots=True)
class Pass:
    """A request that goes to Jira untouched and makes nothing old."""

    row: str
    route: str
    type: str
    why: Why


@dataclass(frozen=True, slots=True)
class Write:
    """A request that goes to Jira and makes `tags` old; more when its body and answer are known (Rulebook.touched)."""

    row: str
    route: str
    type: str
    entity: str
    why: Why
    tags: tuple[str, ...]  # what the path alone names
    params: Mapping[str, str]  # what the path's placeholders stood for, decoded


Match = Read | Pass | Write


@dataclass(frozen=True, slots=True)
class Fence:
    """A point in a tenant's history of invalidations. A fill carries the fence taken before Jira was asked."""

    incarnation: int
    stamp: int


@dataclass(frozen=True, slots=True)
class Origin:
    """What the origin itself said of an answer's use (`freshness: origin`), besides for how long it is fresh.

    Times are seconds. `etag` and `last_modified` are its validators as it wrote them, "" where it gave none.
    """

    etag: str = ""
    last_modified: str = ""
    stale_while_revalidate: float = 0.0
    stale_if_error: float = 0.0
    strict: bool = False  # never to be used stale, whatever a client would put up with
    vary: tuple[str, ...] = ()  # the request headers that chose this answer among several, ...
    selected: str = ""  # ... and the keyed hash of what they said (policies.vary)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Entry:
    """A kept answer of Jira. Times are seconds; `stored` is Unix time of Jira's answer.

    The links in `body` name the `public` address, from which Jira's own can be told again (policies.links), or where
    that is "", Jira's own. `etag` is of what Jira wrote.

    Where the origin decides, `stored` is when the origin itself made the answer, which a cache before it may tell.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    coding: str  # "identity" or "gzip": how `body` is coded
    etag: str
    tags: Tags
    stored: float
    ttl: float
    keep: float  # for how long it is of any use: the TTL and the longer of the stale windows
    cost: float = 0.0  # how long Jira took to answer
    origin: Origin | None = None  # None where the policy's TTL decides
    public: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """What a store knows under a key: the entry, whether the ledger still holds it true, and the fence.

    No fence means that the store could not be asked: nothing may be served from it and nothing kept in it.
    """

    entry: Entry | None
    alive: bool
    fence: Fence | None


@dataclass(frozen=True, slots=True)
class Live:
    """A query that may have cached answers: an event asks of each whether it changed them.

    `tag` is carried by every answer to it; `jql` is its canonical text; `life` says for how many seconds an answer that
    is asked for now may be of use: fetched, fresh and stale.
    """

    tag: str
    jql: str
    life: float


@dataclass(frozen=True, slots=True)
class Survey:
    """The queries that were live at `fence`: all of them, or those that became live since an earlier fence."""

    fence: Fence
    searches: tuple[Live, ...]
    whole: bool
