"""A tenant's answers, ledger, small values and claims in Redis (>= 6.2) or Valkey, shared by all processes.

Reading, writing, invalidating and surveying are one atomic script and one round trip each; what they do stands in the
.lua files beside this one. Needs of the server's access rules: the commands in those files (INFO among them, which
tells a restart or a failover: a server that refuses it is not used), and GET, SET, DEL, UNLINK, SCAN, EXISTS,
SUBSCRIBE, XREAD. In a Cluster also CLUSTER SLOTS and COMMAND.

Names of one tenant, all under `tenant:{tenant}:` and in a cluster in one slot:

    {type}:{entity}:{variant}    hash: an answer
    ledger                       sorted set: the ledger
    live, queries                sorted set and hash: the register of live queries
    changes                      stream: what was made old lately, at which stamp of which incarnation
    shelf:{name}                 string: a small value
    claim:{key}                  string: who makes the trip for an answer

No type of answer is called like one of these words, so nothing collides.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from secrets import token_hex
from typing import Any, NamedTuple, cast

import redis.asyncio
from redis.exceptions import RedisError

from policies.model import Entry, Fence, Live, Lookup, Survey
from policies.tags import Tags
from proxy.errors import ConfigError, StoreError, StoreFullError
from proxy.stores import CLAIMED_FOR, clients
from proxy.stores.ahead import Ahead
from proxy.stores.clients import AsyncClient, bounded
from proxy.stores.coding import pack_head, pack_key, pack_live, unpack_entry, unpack_live
from proxy.stores.glob import escape
from proxy.stores.hearing import Ear
from proxy.stores.ledger import new_incarnation
from proxy.stores.live import ROOM
from proxy.stores.scripts import Script, as_store_error
from proxy.stores.sealing import Sealing, Unsealed
from proxy.stores.together import Together
from proxy.stores.wakeups import CHANNEL, Wakeups

LOOK_EVERY = 0.25
"""Seconds between two looks at a claim whose landing is not heard: it lapsed, or the subscription broke."""

LANDED_FOR = 1.0
"""Seconds for which a trip that brought an answer into the store can be seen to have landed.

1. A process looks up: nothing. 2. Another's trip lands, and its claim ends. 3. The first process claims. Without the
mark its claim would be granted, and Jira asked for what is in the store already.
"""

SCANNED = 1000
"""How many keys a step of a scan looks at, and how many are dropped at once."""

_OWN_NAMES = ("ledger", "live", "queries", "changes", "echoes")
_OVER_THE_LEDGER = ("read", "write", "invalidate", "survey", "sweep", "postpone", "repeat")
_TENANT = re.compile(r"[^:{}\s]+")


def connect(url: str, *, max_connections: int = 50, timeout: float = 0.25) -> AsyncClient:
    """Make a client, as proxy.stores.clients does. Raises ConfigError for a URL that is none."""
    try:
        return clients.connect(url, max_connections=max_connections, timeout=timeout)
    except ValueError as error:
        raise ConfigError(f"store.url: {error}") from error


class _Look(NamedTuple):
    key: str
    live: Live | None
    lock: bytes
    claim: str


class RedisStore:
    """Store, Sweep, Shelf and Landings of one tenant over a shared `client`, whose replies must be bytes.

    `cluster` makes the tenant the hash tag of all its names, as a Cluster needs it. `ledger_limit` is how many
    invalidated tags are remembered one by one, `live_limit` how many queries, and `live_room` how many bytes of them.
    `claimed_for` is after how many seconds a claim lapses.
    `wakeups` is the process's subscription, to be shared by all tenants. With `sealing`, answers and queries are
    encrypted. `on_unreadable` is called for each answer that was found damaged, or could not be opened, and treated as
    absent.
    """

    def __init__(
        self,
        client: AsyncClient,
        tenant: str,
        *,
        cluster: bool = False,
        ledger_limit: int = 100_000,
        live_limit: int = 50_000,
        live_room: int = ROOM,
        claimed_for: float = CLAIMED_FOR,
        wakeups: Wakeups | None = None,
        sealing: Sealing | None = None,
        on_unreadable: Callable[[], None] = lambda: None,
    ) -> None:
        if not _TENANT.fullmatch(tenant):  # tenant "a:issue" could spell names of tenant "a"
            raise ConfigError(f"tenants: the name {tenant!r} has a colon, a brace or a space in it")
        self._client = client
        self._prefix = f"{{tenant:{tenant}}}:" if cluster else f"tenant:{tenant}:"
        self._names = tuple(self._prefix + name for name in _OWN_NAMES)
        self._limits = ledger_limit, live_limit, live_room
        self._wakeups = wakeups or Wakeups(client)
        self._token = token_hex(16)  # what this process claims with
        self._claimed_for = _milliseconds(claimed_for)
        self._ahead = Ahead(self._give_up)
        self._looks: Together[_Look, Lookup | None] = Together(self._read)
        self._scripts = {name: Script.load("ledger", "live", "echoes", "claims", name) for name in _OVER_THE_LEDGER}
        self._landed = Script.load("claims", "landed")
        self._sealing = sealing or Unsealed()
        self._on_unreadable = on_unreadable

    def __repr__(self) -> str:
        return f"<RedisStore {self._prefix}>"

    async def read(self, key: str, live: Live | None = None, lock: bytes = b"", claim: str = "") -> Lookup:
        look = _Look(key, live, lock, claim)
        try:
            with as_store_error("read"):
                async with bounded(self._client):
                    found = await self._looks.ask(look)
        except StoreFullError:  # it may have been the query of another one that there was no room for
            found = None
        return found or cast(Lookup, (await self._read([look._replace(claim="")]))[0])

    async def _read(self, looks: Sequence[_Look]) -> list[Lookup | None]:
        """Look up answers in one trip; None for one that has to be asked for alone."""
        names = [name for look in looks for name in (self._prefix + look.key, self._claimed(look.claim))]
        queries = [self._registration(look.live) for look in looks]
        claims = [self._ahead.begin(look.claim) for look in looks]
        lives = [self._claimed_for if claim else 0 for claim in claims]
        asked = [part for query, life in zip(queries, lives, strict=True) for part in (*query, life)]
        granted: Sequence[int] = [0] * len(looks)
        try:
            incarnation, stamp, told, granted = await self._run("read", *self._limits, self._token, *asked, names=names)
        finally:
            for look, claim, is_granted in zip(looks, claims, granted, strict=True):
                if claim is not None:
                    self._ahead.end(look.claim, claim, granted=bool(is_granted))
        fence = Fence(incarnation, stamp)
        return [parts and self._found(look, parts, fence) for look, parts in zip(looks, told, strict=True)]

    def _found(self, look: _Look, parts: list[Any], fence: Fence) -> Lookup:
        alive, *kept = parts
        entry = self._unpack(look.key, kept, look.lock)
        return Lookup(entry, alive=bool(alive and entry), fence=fence)

    def glance(self, key: str) -> Lookup | None:  # noqa: ARG002 - as the protocol has it
        """Tell nothing: Redis has to be asked."""
        return None

    def moment(self) -> Fence | None:
        """Tell nothing, as `glance` does."""
        return None

    async def write(self, key: str, entry: Entry, fence: Fence, lock: bytes = b"", landing: str = "") -> bool:
        stamped = (fence.incarnation, fence.stamp, *self._pack(key, entry, lock), _milliseconds(entry.keep))
        if not landing:
            return bool(await self._run("write", *stamped, names=[self._prefix + key]))
        marked = self._token, CHANNEL, _milliseconds(LANDED_FOR)
        return bool(await self._run("write", *stamped, *marked, names=[self._prefix + key, self._claimed(landing)]))

    async def invalidate(self, tags: Collection[str], surveyed: Fence | None = None) -> None:
        await self._run("invalidate", Tags.of(tags).packed, self._limits[0], *_fence(surveyed))

    async def survey(self, since: Fence | None) -> Survey:
        incarnation, stamp, whole, tags, texts = await self._run("survey", *_fence(since))
        searches = tuple(map(self._registered, tags, texts))
        return Survey(Fence(incarnation, stamp), searches, whole=bool(whole))

    async def postpone(self, tags: Collection[str], delays: Collection[float], surveyed: Fence | None = None) -> None:
        fence = " ".join(map(str, _fence(surveyed)))
        await self._run("postpone", Tags.of(tags).packed, f"{token_hex(8)} {fence}", *map(_milliseconds, delays))

    async def repeat(self) -> float | None:
        coming = await self._run("repeat", self._limits[0])
        return None if coming is None else coming / 1000

    async def forget(self, pattern: str) -> int:
        await self._run("sweep")
        # In this order: what was kept before the sweep the scan finds, and after it nothing older comes in.
        with as_store_error("forget"):
            return sum([await self._client.unlink(*names) async for names in self._answers(pattern)])

    def ear(self) -> Ear:
        """Make an ear for what other processes invalidate."""
        return Ear(self._client, self._names, self._prefix + "changes")

    async def close(self) -> None:
        """Let go of the connections, also of the other tenants that share them; an unreachable server is no error."""
        await self._ahead.close()
        await self._wakeups.close()
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()

    async def get(self, name: str) -> bytes | None:
        with as_store_error("get"):
            return cast(bytes | None, await self._client.get(self._shelved(name)))

    async def put(self, name: str, value: bytes, ttl: float) -> None:
        with as_store_error("put"):
            await self._client.set(self._shelved(name), value, px=_milliseconds(ttl))

    async def add(self, name: str, value: bytes, ttl: float) -> bool:
        with as_store_error("add"):
            return bool(await self._client.set(self._shelved(name), value, px=_milliseconds(ttl), nx=True))

    async def drop(self, name: str) -> None:
        with as_store_error("drop"):
            await self._client.delete(self._shelved(name))

    async def claim(self, key: str) -> bool:
        if await self._ahead.take(key):
            return True
        with as_store_error("claim"):
            return bool(await self._client.set(self._claimed(key), self._token, px=self._claimed_for, nx=True))

    async def _give_up(self, trip: str) -> None:
        with contextlib.suppress(StoreError):  # then it lapses
            await self.landed(trip)

    async def landed(self, key: str, *, brought: bool = False) -> None:
        marked = [_milliseconds(LANDED_FOR)] if brought else []
        with as_store_error("landed"):
            await self._landed.run(self._client, (self._claimed(key),), self._token, CHANNEL, *marked)

    async def wait(self, key: str, timeout: float) -> None:  # noqa: ASYNC109 - as the protocol has it
        with as_store_error("wait"):
            try:
                async with asyncio.timeout(timeout) as bound:
                    await self._until_landed(self._claimed(key))
            except TimeoutError:
                if not bound.expired():
                    raise

    async def _until_landed(self, claim: str) -> None:
        # A landing from before the claim that is waited for may be heard only now; then who waits goes by itself.
        # Rather that, rarely, than another way to Redis after each landing.
        async with self._wakeups.hearing(claim) as woken:
            while not woken.is_set() and await self._client.get(claim) not in {None, b"landed"}:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(woken.wait(), LOOK_EVERY)

    async def _answers(self, pattern: str) -> AsyncIterator[list[bytes]]:
        own, batch = {name.encode() for name in self._names}, []
        wanted = escape(self._prefix) + pattern
        match = wanted.encode(errors="surrogatepass")
        where = await self._where()
        async for name in self._client.scan_iter(match, count=SCANNED, _type="hash", **where):
            if name not in own:
                batch.append(name)
            if len(batch) == SCANNED:
                yield batch
                batch = []
        if batch:
            yield batch

    async def _where(self) -> dict[str, Any]:
        """Name the server of a Cluster that has this tenant's keys: only it needs to be scanned."""
        if not isinstance(self._client, redis.asyncio.RedisCluster):
            return {}
        await self._client.initialize()
        return {"target_nodes": self._client.get_node_from_key(self._prefix)}

    def _shelved(self, name: str) -> str:
        return f"{self._prefix}shelf:{name}"

    def _claimed(self, key: str) -> str:
        return f"{self._prefix}claim:{key}"

    def _pack(self, key: str, entry: Entry, lock: bytes) -> tuple[bytes, bytes, bytes]:
        tags = entry.tags.packed
        head = self._sealing.seal(pack_head(entry), self._place(key, tags), lock)
        return tags, head, self._sealing.seal(entry.body, self._place(key, tags, head), lock)

    def _unpack(self, key: str, parts: list[bytes | None], lock: bytes) -> Entry | None:
        tags, head, body = parts
        if tags is None or head is None or body is None:
            return None
        try:
            opened = self._sealing.open(head, self._place(key, tags), lock)
            return unpack_entry(tags, opened, self._sealing.open(body, self._place(key, tags, head), lock))
        except ValueError:
            self._on_unreadable()
            return None

    def _registration(self, live: Live | None) -> tuple[bytes | int, ...]:
        if live is None:
            return b"", b"", b""
        tag, life, jql = pack_live(live)
        return tag, life, self._sealing.seal(jql, self._place("queries", tag))

    def _registered(self, tag: bytes, text: bytes | None) -> Live:
        return unpack_live(tag, text, lambda jql: self._sealing.open(jql, self._place("queries", tag)))

    def _place(self, key: str, *beside: bytes) -> bytes:
        """Name where something lies, and what lies beside it, unmistakably: nothing else is opened there."""
        return b"".join(b"%d:%b" % (len(part), part) for part in (pack_key(self._prefix + key), *beside))

    async def _run(self, script: str, *values: str | bytes | int, names: Sequence[str] = ()) -> Any:
        with as_store_error(script):
            return await self._scripts[script].run(self._client, (*self._names, *names), new_incarnation(), *values)


def _fence(fence: Fence | None) -> tuple[int, ...]:
    return () if fence is None else (fence.incarnation, fence.stamp)


def _milliseconds(seconds: float) -> int:
    return max(1, int(seconds * 1000))
