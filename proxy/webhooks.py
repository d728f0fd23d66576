"""The receiver of Jira's webhooks: verified before they are read, and acknowledged when what they announce is durable.

Nothing that is announced is ever put into the cache, and nothing that was sent is logged but the event's name.
"""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol

import orjson

from policies.change import Change
from policies.model import Why
from policies.rulebook import Rulebook
from policies.templates import parameters
from proxy.answers import Pairs, Whole
from proxy.errors import StoreError
from proxy.incoming import Body
from proxy.metrics import Metrics
from proxy.notes import Notes
from proxy.signatures import is_signed, is_vouched
from proxy.stores.lru import Lru
from proxy.stores.tasks import finish

PATH = "/webhooks/"

REMEMBERED = 24 * 3600.0
"""How long a delivery is remembered, in seconds. Jira gives up on one after half an hour."""

NONE, UNKNOWN = "none", "unknown"
"""Stand for an event without a name, and for names that no row has, of which there may be any number."""

_SIGNATURE = "x-hub-signature"
_IDENTIFIER = "x-atlassian-webhook-identifier"
_NAMES = 1000
_RETRY_AFTER = "5"


class Outcome(Enum):
    """What became of a delivery: the word that is answered, logged and counted, the status, and a header."""

    APPLIED = "applied", 200
    DUPLICATE = "duplicate", 200
    UNREADABLE = "unreadable", 400
    UNSIGNED = "bad-signature", 401
    UNKNOWN_TENANT = "unknown-tenant", 404
    NOT_POSTED = "not-posted", 405, ("Allow", "POST")
    TOO_LARGE = "too-large", 413
    NOT_RECORDED = "not-recorded", 503, ("Retry-After", _RETRY_AFTER)

    def __init__(self, word: str, status: int, *headers: tuple[str, str]) -> None:
        self.word = word
        self.status = status
        self.headers = headers


class Recorder(Protocol):
    """Makes a change durable."""

    async def record(self, change: Change, source: str) -> None:
        """Make old what `change` concerns. Raises StoreError if it may not be."""


class Listener(Protocol):
    """Watches how well webhooks announce what changes."""

    async def heard(self, change: Change, body: Mapping[str, Any] | None) -> None:
        """Take note of a webhook whose change has been recorded."""


class Seen(Protocol):
    """Remembers names."""

    async def get(self, name: str) -> bytes | None:
        """Find what was put under a name."""

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        """Keep a value for `ttl` seconds, if there is room."""


class Lately:
    """Remembers names in this process, and only so many: of what anybody may send, nothing else ought to grow."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._names: Lru[str, bytes] = Lru(_NAMES, clock)

    async def get(self, name: str) -> bytes | None:
        return self._names.get(name)

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        self._names.put(name, value, 1, ttl)


@dataclass(frozen=True, slots=True)
class Desk:
    """Where one tenant's webhooks arrive. Without a `secret` whoever reaches the listener may announce changes.

    `seen` is where deliveries are remembered that were applied.
    """

    secret: str | None
    changes: Recorder
    seen: Seen
    watch: Listener


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request to the receiver. Header names are lower case; `notes` is what the log line will say."""

    tenant: str
    method: str
    query: str
    headers: Mapping[str, str]
    body: Body
    notes: Notes


@dataclass(frozen=True, slots=True)
class Message:
    """What a delivery says; None where there is no body, or no event is named. `name` is its own, or empty."""

    event: str | None
    body: dict[str, Any] | None
    query: Mapping[str, str]
    name: str


class Webhooks:
    """Receives for all tenants."""

    def __init__(
        self,
        desks: Mapping[str, Desk],
        rulebook: Rulebook,
        metrics: Metrics,
        *,
        max_body: int,
        clock: Callable[[], float],
    ) -> None:
        self._desks = desks
        self._rulebook = rulebook
        self._metrics = metrics
        self._max_body = max_body
        self._clock = clock
        self._under_way: set[asyncio.Task[Outcome]] = set()

    async def answer(self, delivery: Delivery) -> Whole:
        """Take one delivery, and tell what became of it."""
        tenant, event, outcome = await self._take(delivery)
        delivery.notes.tenant = tenant
        delivery.notes.extra.update(event=event, outcome=outcome.word)
        self._metrics.webhooks.labels(tenant, event, outcome.word).inc()
        return _answer(outcome)

    async def _take(self, delivery: Delivery) -> tuple[str, str, Outcome]:
        """Take one delivery; name its tenant and event by words of which there are only so many."""
        desk = self._desks.get(delivery.tenant)
        if desk is None:
            return "-", NONE, Outcome.UNKNOWN_TENANT
        message = await self._read(desk, delivery)
        if isinstance(message, Outcome):
            return delivery.tenant, NONE, message
        return delivery.tenant, self._label(message.event), await self._finish(desk, message)

    async def _read(self, desk: Desk, delivery: Delivery) -> Message | Outcome:
        if delivery.method != "POST":
            return Outcome.NOT_POSTED
        body = await delivery.body.peek(self._max_body)
        if body is None:
            return Outcome.TOO_LARGE
        if desk.secret is not None and not self._is_jiras(desk.secret, delivery, body):
            return Outcome.UNSIGNED
        return _message(delivery, body) or Outcome.UNREADABLE

    def _is_jiras(self, secret: str, delivery: Delivery, body: bytes) -> bool:
        headers = delivery.headers
        return is_signed(secret, headers.get(_SIGNATURE, ""), body) or is_vouched(
            secret, headers.get("authorization", ""), self._clock()
        )

    async def _finish(self, desk: Desk, message: Message) -> Outcome:
        """See it through to its end although Jira may hang up: an invalidation cut short would cost the whole cache."""
        task = asyncio.create_task(self._apply(desk, message))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)

    async def _apply(self, desk: Desk, message: Message) -> Outcome:
        if message.name and await desk.seen.get(message.name) is not None:
            return Outcome.DUPLICATE
        change = self._rulebook.announced(message.event, message.body, message.query)
        try:
            await desk.changes.record(change, "webhook")
        except StoreError:
            return Outcome.NOT_RECORDED
        await desk.watch.heard(change, message.body)
        # Not before it is durable, or the next attempt of one that failed would be taken for a duplicate. Of two that
        # arrive at once both are applied, which does no harm.
        if message.name:
            await desk.seen.put(message.name, b"1", REMEMBERED)
        return Outcome.APPLIED

    def _label(self, event: str | None) -> str:
        return NONE if event is None else event if event in self._rulebook.events else UNKNOWN

    def follow(self, rulebook: Rulebook) -> None:
        """Read events by another rulebook from the next one on."""
        self._rulebook = rulebook

    async def close(self, patience: float | None = None) -> None:
        """Let what was taken come to its end, within `patience` seconds (None: any)."""
        await finish(self._under_way, patience)


def _message(delivery: Delivery, body: bytes) -> Message | None:
    """Read a delivery; None if its body is no JSON object. One without a body says what its URL says."""
    try:
        said = orjson.loads(body) if body else None
    except orjson.JSONDecodeError:
        return None
    if body and not isinstance(said, dict):
        return None
    event = said.get("webhookEvent") if said else None
    query = {name: values[0] for name, values in parameters(delivery.query).items()}
    return Message(event if isinstance(event, str) and event else None, said, query, _name(delivery, body))


def _name(delivery: Delivery, body: bytes) -> str:
    """Name a delivery by its identifier, and by what it says: the identifier is not signed."""
    identifier = delivery.headers.get(_IDENTIFIER, "")
    told = f"{identifier}\0{delivery.query}\0".encode("utf-8", "surrogateescape")
    return f"delivery:{hashlib.sha256(told + body).hexdigest()}" if identifier else ""


def _answer(outcome: Outcome) -> Whole:
    headers: Pairs = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), *outcome.headers]
    return Whole(outcome.status, headers, orjson.dumps({"status": outcome.word}), Why.OWN)
