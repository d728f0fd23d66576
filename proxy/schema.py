"""Every key of the configuration: its meaning, its default, and what it accepts.

A key is one field here and one line in config.yaml. How the values are gathered and checked together: proxy.config.
"""

import re
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from policies.model import Directives, Policy, Scope
from proxy import addresses
from proxy.layers import Layers
from proxy.units import duration, shown, size

PLACEHOLDER = "https://your-site.atlassian.net"
"""The upstream of the shipped config.yaml: as good as none."""

POLICIES: Mapping[str, Mapping[str, Any]] = {
    "issue": {"ttl": "5m"},
    "project": {"ttl": "1h"},
    "user": {"ttl": "1h"},
    "field": {"ttl": "24h"},
    "search": {"ttl": "2m", "settle": ["2s", "10s", "30s"]},
    "aggregation": {"ttl": "5m"},
    "prediction": {"ttl": "10m"},
    "metadata": {"ttl": "1h"},
    "board": {"ttl": "5m"},
    "sprint": {"ttl": "5m"},
    "filter": {"ttl": "10m"},
    "dashboard": {"ttl": "10m"},
    "servicedesk": {"ttl": "5m"},
    "permission": {"ttl": "1m", "stale_if_error": "0s"},
    "media": {"ttl": "24h"},
    "server": {"ttl": "1h"},
}
"""Each type's policy, where it differs from the defaults of `PolicyRow`."""


def _blank_is_none(value: object) -> object:
    return None if value in ("", "null") else value


def _listed(value: object) -> object:
    """Environment variables write a list as text: `a, b` or `[a, b]`."""
    if not isinstance(value, str):
        return () if value is None else value
    try:
        return yaml.safe_load(value if value.startswith("[") else f"[{value}]")
    except yaml.YAMLError:
        raise ValueError(f"{shown(value)} is not a list (try [a, b])") from None


def _some_tenant(given: object) -> object:
    return given or {"default": None}


def _over_defaults(given: object) -> object:
    """Lay the policies given over the defaults, key by key: `issue: {ttl: 1m}` keeps all else of `issue`."""
    if not isinstance(given, dict | None):
        return given
    rows: dict[Any, Any] = {name: dict(row) for name, row in POLICIES.items()}
    for name, row in (given or {}).items():
        rows[name] = rows.get(name, {}) | (row or {}) if isinstance(row, dict | None) else row
    return rows


def _searches_settle(rows: Mapping[str, "PolicyRow"]) -> Mapping[str, "PolicyRow"]:
    """Refuse delays where they would do nothing: all that comes from Jira's index settles as searches do."""
    for name, row in rows.items():
        if row.settle and name != "search":
            raise ValueError(
                f"{name}.settle has no effect; policies.search.settle is for all that Jira's index answers"
            )
    return rows


def duration_or_none(value: object) -> float | None:
    """Seconds of a duration, and None of what says that there is none."""
    return None if value in (None, "", "null") else duration(value)


def size_or_none(value: object) -> int | None:
    """Bytes of a size, and None of what says that there is none."""
    return None if value in (None, "", "null") else size(value)


def authorization(value: str) -> str:
    """Spell a credential as the header it stands for. Mistakes are told without it."""
    if _HEADER.fullmatch(value):
        return value
    if ":" not in value or not value.isprintable():
        raise ValueError("should be email:token, or 'Basic ...' or 'Bearer ...'")
    return f"Basic {b64encode(value.encode()).decode()}"


_HEADER = re.compile(r"(?i:basic|bearer) [!-~]+")

Duration = Annotated[float, BeforeValidator(duration)]
Size = Annotated[int, BeforeValidator(size)]
Lasting = Annotated[Duration, Field(gt=0)]
Listen = Annotated[addresses.Address, BeforeValidator(addresses.address)]
Site = Annotated[str, AfterValidator(addresses.site)]
PathPrefix = Annotated[str, AfterValidator(addresses.path)]
StoreUrl = Annotated[str, AfterValidator(addresses.store)]
Host = Annotated[str, AfterValidator(addresses.host)]
BlankIsNone = BeforeValidator(_blank_is_none)
Listed = BeforeValidator(_listed)
Amount = Annotated[int | None, Field(gt=0), BlankIsNone]


class Section(BaseModel):
    """A mapping of known keys. One without keys says nothing, so it is as if absent."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _empty_says_nothing(cls, value: object) -> object:
        return {} if value is None else value


class Admin(Section):
    """The listener for the people who run the proxy."""

    listen: Listen = addresses.Address("127.0.0.1", 8081)
    """HOST:PORT of the admin listener."""
    token: Annotated[str | None, BlankIsNone] = Field(default=None, repr=False)
    """Bearer token; required unless only this machine can reach the listener."""


class Store(Section):
    """Where answers are kept."""

    url: StoreUrl = Field(default="memory://", repr=False)
    """memory://, redis:// or unix://; redis+sentinel:// or redis+cluster://; rediss for redis is TLS."""
    max_bytes: Size = 256 * 1024**2
    """What the answers in this process's memory may weigh together: all there are, or those near in front of Redis."""
    max_connections: int = Field(default=50, gt=0)
    """Connections to Redis, at most."""
    encrypt: bool = False
    """Whether answers and queries in Redis are encrypted, a caller's own by the caller's credential too."""
    coherence: Literal["relaxed", "strict"] = "relaxed"
    """Whether an answer may lag behind another instance's invalidation by up to max_lag."""
    max_lag: Duration = 1.0
    """How far `relaxed` may lag behind."""
    timeout: Annotated[Duration, Field(gt=0)] = 0.25
    """How long one read waits for Redis, all in all, before it goes on without; a write waits twice that."""

    @property
    def seals(self) -> bool:
        """Whether there is something to encrypt: what is in this process's memory is in no dump of Redis."""
        return self.encrypt and not self.url.startswith("memory://")


class Repair(Section):
    """Looking for changes that no webhook announced."""

    credential: Annotated[Annotated[str, AfterValidator(authorization)] | None, BlankIsNone] = Field(
        default=None, repr=False
    )
    """Whom to ask as: `email:token`, or the value of an Authorization header; null: do not ask."""
    interval: Annotated[Duration, Field(ge=0.1)] = 60.0
    """How often to ask, at most."""
    overlap: Duration = 120.0
    """How far to look back beyond the time since the last answer, because Jira's index lags."""


class Governor(Section):
    """How fast and how often Jira may be asked."""

    max_concurrency: int = Field(default=64, gt=0)
    """Calls to Jira that wait for an answer at the same time; those that stream a body up do not count."""
    max_queue: int = Field(default=1000, ge=0)
    """Calls that may wait, for a turn or because Jira says so; one more gets 503."""
    max_wait: Duration = 5.0
    """How long a request waits when Jira wants to be asked less often, before it gets 429."""
    retries: int = Field(default=2, ge=0)
    """How often a read is tried again within max_wait after 429, 502, 503, 504 or a lost connection."""
    breaker_failures: int = Field(default=5, gt=0)
    """Failed calls in a row after which Jira is left alone for some seconds."""


class Tenant(Section):
    """A Jira behind the proxy, and how its callers reach it."""

    upstream: Site = PLACEHOLDER
    """Jira's URL: origin and, if it has one, path."""
    hosts: Annotated[tuple[Host, ...], Listed] = ()
    """Host headers that choose this tenant."""
    path_prefix: PathPrefix = ""
    """First part of the path that chooses this tenant; Jira does not see it."""
    public_url: Annotated[Site | None, BlankIsNone] = None
    """What stands for the upstream's URL in Jira's links; null: the address the client used."""
    webhook_secret: Annotated[str | None, BlankIsNone] = Field(default=None, repr=False)
    """Secret that Jira signs its webhooks with."""
    repair: Repair = Repair()
    """Looking for changes that no webhook announced."""
    lease: Duration = 300.0
    """How long a credential that Jira accepted is believed."""
    outage_lease: Duration = 1800.0
    """How long it is believed while Jira is down."""
    governor: Governor = Governor()
    """How fast and how often Jira may be asked."""
    ca_file: Annotated[str | None, BlankIsNone] = None
    """PEM file of the authorities that may vouch for the upstream; null: the system's."""


class PolicyRow(Section):
    """How answers of one type are kept."""

    ttl: Duration
    """How long an answer is fresh."""
    stale_while_revalidate: Duration = 0.0
    """How long after that it is still served while a new one is fetched."""
    stale_if_error: Duration = 3600.0
    """How long after that it is still served when Jira fails."""
    serve_invalidated_on_error: bool = False
    """Whether one that a change made old is served as well when Jira is down."""
    negative_ttl: Duration = 30.0
    """How long a 404 is believed."""
    scope: Scope = Scope.CREDENTIAL
    """Who shares an answer: callers with the same credential, of the same account, or all of the tenant."""
    settle: Annotated[tuple[Duration, ...], Listed] = ()
    """When to invalidate again after a change, because Jira's own index lags; of `search` only, for all it answers."""
    ttl_with_webhooks: Annotated[float | None, BeforeValidator(duration_or_none)] = None
    """How long an answer is fresh while repair proves that webhooks announce every change; null: no longer than ttl."""

    @model_validator(mode="after")
    def _longer_with_webhooks(self) -> Self:
        if self.ttl_with_webhooks is not None and self.ttl_with_webhooks < self.ttl:
            raise ValueError("ttl_with_webhooks is shorter than ttl")
        return self


class Timeouts(Section):
    """How long Jira, and a client, may take."""

    connect: Duration = 5.0
    """For Jira to accept a connection."""
    read: Duration = 60.0
    """From one piece of Jira's answer to the next."""
    total: Duration = 300.0
    """For a question to Jira and its whole answer."""
    client_header: Lasting = 20.0
    """For a client to send a request's line and headers, from the first byte to the last."""
    client_body: Lasting = 30.0
    """How long a request's body may be waited for, and one second more for each 500 bytes that came."""
    keep_alive: Lasting = 75.0
    """How long a client's connection may rest between requests."""


class Limits(Section):
    """How much is too much."""

    max_body: Size = 8 * 1024**2
    """A larger answer streams through and is not kept."""
    client_requests_per_minute: Amount = None
    """Requests that one client of a tenant may make within a minute; null: as many as it likes."""
    address_requests_per_minute: Amount = None
    """Requests of a tenant that may come from one address within a minute, whoever asks; null: any number."""
    connections: Amount = 10_000
    """Clients' connections that one process holds at a time; null: any number."""
    connections_per_address: Amount = None
    """Those of them that may come from one address; null: any number."""
    max_header: Annotated[Size, Field(ge=4096, le=1024**2)] = 64 * 1024
    """What a request's line and headers may weigh together."""
    max_upload: Annotated[int | None, BeforeValidator(size_or_none)] = None
    """What a request's body may weigh; null: as much as Jira takes."""


class Log(Section):
    """What is written down, and how."""

    format: Literal["auto", "json", "human"] = "auto"
    """auto: human on a terminal, else JSON."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least that is worth a line."""
    sample_hits: Annotated[float, Field(ge=0, le=1)] = 1.0
    """The share of answers whose hits have a line; everything else always has one."""


class Config(Section):
    """Everything that can be configured."""

    listen: Listen = addresses.Address("0.0.0.0", 8080)  # noqa: S104 - a proxy is there to be reached
    """HOST:PORT of the listener for Jira's clients."""
    workers: int = Field(default=1, gt=0)
    """Processes that share the listener; more than 1 need a Redis as the store."""
    fast_lane: bool = True
    """Whether hits that come again are answered before there is a request object."""
    drain_delay: Duration = 0.0
    """How long, before a stop, /-/ready says 503 while requests are still answered."""
    prefix: PathPrefix = Field(default="/-", min_length=2)
    """Path of the proxy's own endpoints on that listener."""
    client_directives: Directives = Directives.EXPLICIT
    """Which Cache-Control directives of clients count."""
    secret: Annotated[str | None, Field(min_length=16), BlankIsNone] = Field(default=None, repr=False)
    """Keys all hashes; the same for all instances that share a Redis. null: made and kept."""
    admin: Admin = Admin()
    """The listener for the people who run the proxy."""
    store: Store = Store()
    """Where answers are kept."""
    tenants: Annotated[Mapping[str, Tenant], BeforeValidator(_some_tenant)] = Field(default={}, validate_default=True)
    """The Jiras behind the proxy, by name."""
    policies: Annotated[Mapping[str, PolicyRow], BeforeValidator(_over_defaults), AfterValidator(_searches_settle)] = (
        Field(default={}, validate_default=True)
    )
    """How answers are kept, by type."""
    routes: Annotated[tuple[dict[str, Any], ...], Listed] = ()
    """The operator's own rows, with the columns of policies/resources.yaml."""
    timeouts: Timeouts = Timeouts()
    """How long Jira may take."""
    limits: Limits = Limits()
    """How much is too much."""
    log: Log = Log()
    """What is written down, and how."""

    _file: Path | None = None
    _flags: Mapping[str, str] = {}

    def model_post_init(self, context: Any, /) -> None:
        if isinstance(context, Layers):
            self._file, self._flags = context.path, context.flags()

    @property
    def file(self) -> Path | None:
        """The file all this was read from, if there was one."""
        return self._file

    @property
    def flags(self) -> Mapping[str, str]:
        """What the command line gave, by option, which goes over whatever the file comes to say."""
        return self._flags

    def law(self) -> dict[str, Policy]:
        """Each type's policy, in the law's words."""
        directives = self.client_directives
        return {name: Policy(**dict(row), directives=directives) for name, row in self.policies.items()}
