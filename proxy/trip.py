"""A trip to Jira for one cacheable question: ask, judge the login, settle, keep.

It returns what every passenger needs; who gets which headers is decided when the answer is made (proxy.answers).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache, partial
from itertools import chain
from typing import NamedTuple, TypeAlias, assert_never

from policies import canon, login, validation, vary
from policies.callers import Anonymous, Audience, Credentialed, audience, keyed_hash, partition
from policies.calls import Call, call_of
from policies.decide import Fetch, in_force
from policies.headers import OF_THE_ORIGIN, replayable
from policies.http_date import spelled
from policies.http_freshness import Arrival
from policies.model import Entry, Fence, Lookup, Read
from policies.names import MANY, Names, by_index
from policies.points import objects
from policies.reconcile import reconcilable, reconciled
from policies.references import references
from policies.searches import ISSUES, SEARCHES
from policies.settle import Fail, Failure, Keep, Settlement, settle
from policies.settle import Reply as LawReply
from policies.tags import Tags
from proxy.answers import Fetched, Pairs, TooLargeError, Whole, aside, decoded, is_json_answer, parsed, takes_gzip
from proxy.errors import UpstreamError
from proxy.flights import Landing, Seal
from proxy.governor import Governor, Outgoing
from proxy.leases import Leases
from proxy.packing import Packed, Packer, unpacked
from proxy.question import Question
from proxy.recent import Recent
from proxy.stores import CLAIMED_FOR, Landings, Store
from proxy.upstream import Reply, joined

# Conditions and ranges are about our answers, not Jira's; hosts the client called us by must not get into a body that
# others will read; and the coding is ours to choose.
_NOT_ASKED_OF_JIRA = frozenset(
    {
        "accept-encoding",
        "content-length",
        "expect",
        "forwarded",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "if-unmodified-since",
        "range",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-prefix",
        "x-forwarded-proto",
        "x-forwarded-server",
        "x-jira-cache",
        "x-request-id",
    }
)

_PSEUDONYMS = 1024  # accounts whose hashes are remembered


Told: TypeAlias = dict[tuple[object, ...], tuple[Mapping[str, str], Whole]]
"""What passengers were told, by what they said and when: with the headers whose `id` stands in the name."""


@dataclass(frozen=True, slots=True)
class Trip(Landing):
    """A trip that is back: what was decided, the reply it was decided on, and the entry made of it.

    No settlement: there is no answer to share. Either it is too large to be read whole, and everybody has to ask for
    themselves, or another process made the trip, and everybody has to decide anew by what was then `seen`.
    """

    settlement: Settlement | None
    fetched: Fetched | None = None
    entry: Entry | None = None
    seen: Lookup | None = None
    key: str | None = None  # where the entry is kept; it may be known to be of an account only now
    turned_away: Anonymous | Credentialed | None = None  # whom Jira did not accept: the answer is for them alone
    told: Told = field(default_factory=dict, compare=False)

    def suits(self, caller: Anonymous | Credentialed) -> bool:
        """Tell whether the answer may be shared with `caller`.

        Two credentials of one account share trips; when Jira finds one of them to be somebody else's, or nobody's, what
        it answered is not the other's.
        """
        return self.turned_away is None or self.turned_away == caller


class Travel:
    """Makes the trips of one tenant."""

    def __init__(
        self,
        *,
        governor: Governor,
        store: Store,
        landings: Landings,
        leases: Leases,
        names: Names,
        recent: Recent,
        trusted_since: Callable[[], float | None],
        secret: bytes,
        site_names: bool,
        max_body: int,
        total: float,
        clock: Callable[[], float],
    ) -> None:
        self._governor = governor
        self._store = store
        self._landings = landings
        self._leases = leases
        self._names = names
        self._recent = recent
        self._trusted_since = trusted_since
        self._secret = secret
        self._site_names = site_names
        self._max_body = max_body
        self._total = total
        self._clock = clock
        self._packer = Packer()
        self._pseudonym = lru_cache(maxsize=_PSEUDONYMS)(partial(keyed_hash, secret, "account"))

    async def make(self, question: Question, fetch: Fetch, fence: Fence | None, seal: Seal, *, claim: bool) -> Trip:
        """Make the trip; with `claim`, only if no other process is making it, else wait until that one is back.

        Calls `seal` when the answer is here and nobody may board any more (proxy.flights says why). A trip of another
        process is looked up once for all passengers.
        Raises UpstreamError when Jira fails and nothing may stand in.
        """
        if not claim:
            return await self._ask(question, fetch, _Departure(fence), seal)
        if not await self._landings.claim(question.flight):
            await self._landings.wait(question.flight, CLAIMED_FOR)
            seal()  # whoever asks from here on may ask for something newer than what we are about to see
            seen = await self._store.read(question.key, lock=question.lock(question.account))
            return Trip(alive=True, settlement=None, seen=seen)
        brought: str | None = None
        try:
            trip = await self._ask(question, fetch, _Departure(fence, question.flight), seal)
            brought = trip.key if trip.alive else None
            return trip
        finally:
            if not _lands_with(question, brought):
                await asyncio.shield(self._landings.landed(question.flight, brought=brought is not None))

    async def _ask(self, question: Question, fetch: Fetch, departure: "_Departure", seal: Seal) -> Trip:
        try:
            fetched, verdict = await self._answered(question, self._call(question, fetch), fetch.held)
        except UpstreamError as error:
            read, failure = question.read, Failure(error.why)
            settlement = settle(
                failure, login.Accepted(""), fetch.fallback, read.policy, read.type, last_resort=fetch.last_resort
            )
            if isinstance(settlement, Fail):
                raise
            return Trip(alive=False, settlement=settlement)
        seal()
        if fetched is None or verdict is None:
            return Trip(alive=True, settlement=None)
        # The answer first: a process that knew already whose it is would not find it, and ask Jira for it again. Who
        # waits for either is woken when there are both (_lands_with).
        trip = await self._settled(question, fetch, departure, fetched, verdict)
        await self._learn(question.caller, verdict)
        return trip

    async def _answered(
        self, question: Question, call: Call, held: Entry | None
    ) -> tuple[Fetched | None, login.Login | None]:
        """Ask Jira, and tell what the answer says of the caller; nothing if it is too large to be read whole.

        A kept answer that Jira confirms to somebody it did not let in was perhaps never for them, so it is asked for
        anew, without a condition. The same if what was confirmed is another answer.
        """
        fetched = await self._fetch(question, call, held)
        verdict = None if fetched is None else self._judge(question, fetched)
        if held is None or fetched is None or not fetched.confirmed:
            return fetched, verdict
        if isinstance(verdict, login.Accepted) and validation.confirms(held, fetched.headers):
            return fetched, verdict
        return await self._answered(question, call, None)

    def _call(self, question: Question, fetch: Fetch) -> Call:
        """Describe the call. Who has something else to show waits neither for Jira's limits nor for a second try."""
        call = call_of(question.read, question.request, question.caller, self._secret)
        if fetch.fallback is None and not question.background:
            return call
        return replace(call, background=question.background, patience=0.0)

    async def _fetch(self, question: Question, call: Call, held: Entry | None) -> Fetched | None:
        """Ask Jira and read the answer; None if it is too large to be read whole. With `held`, whether it has another.

        Raises UpstreamError.
        """
        request = question.request
        if reconcilable(question.read):
            request = reconciled(request, self._recent.ids())
        headers = [pair for pair in question.headers if pair[0].lower() not in _NOT_ASKED_OF_JIRA]
        headers += [*question.trail(), ("Accept-Encoding", "gzip")]
        if held is not None:
            headers += validation.conditions(held)
        method = "GET" if request.method == "HEAD" else request.method
        target = f"{request.path}?{request.query}" if request.query else request.path
        departed = time.perf_counter()
        try:
            async with asyncio.timeout(self._total):
                outgoing = Outgoing(method, target, headers, request.body or None)
                reply, body, whole = await self._governor.ask(call, outgoing, self._read)
        except TimeoutError as error:
            raise UpstreamError("Jira took too long to answer", timeout=True) from error
        cost = time.perf_counter() - departed
        if held is not None and reply.status == validation.NOT_MODIFIED:
            return _confirmed(held, reply, cost)
        if not whole:
            return None
        try:
            fetched = await aside(len(body), _fetched, reply, body, self._max_body, cost)
        except TooLargeError:
            return None
        self._governor.spending.read(call.caller, call.type, fetched.objects)
        return fetched

    async def _read(self, reply: Reply) -> tuple[Reply, bytes, bool]:
        try:
            body, whole = await reply.read(self._max_body)
        finally:
            reply.close()
        return reply, body, whole

    def _judge(self, question: Question, fetched: Fetched) -> login.Login:
        self._site_names = self._site_names or login.account_named(fetched.headers) is not None
        return login.judge(
            question.caller,
            question.account,
            fetched.status,
            fetched.headers,
            site_names=self._site_names,
            pseudonym=self._pseudonym,
        )

    async def _learn(self, caller: Anonymous | Credentialed, verdict: login.Login) -> None:
        if isinstance(caller, Anonymous):
            return
        match verdict:
            case login.Accepted(account):
                await self._leases.renew(caller.credential, account)
            case login.Refused():
                await self._leases.end(caller.credential)
            case login.Silent():
                pass
            case never:
                assert_never(never)

    async def _settled(
        self, question: Question, fetch: Fetch, departure: "_Departure", fetched: Fetched, verdict: login.Login
    ) -> Trip:
        read = question.read
        arrival = Arrival(self._clock(), fetched.cost)
        reply = LawReply(fetched.status, fetched.headers, fetched.body, fetched.plain is not None, arrival)
        policy = in_force(read.policy, arrival.at, self._trusted_since())
        settlement = settle(
            reply,
            verdict,
            fetch.fallback,
            policy,
            read.type,
            audience=_audience(question, verdict),
            last_resort=fetch.last_resort,
        )
        if not isinstance(verdict, login.Accepted):
            return Trip(alive=False, settlement=settlement, fetched=fetched, turned_away=question.caller)
        if not isinstance(settlement, Keep):
            return Trip(alive=False, settlement=settlement, fetched=fetched)
        key = self._key(question, verdict.account)
        if settlement.origin is None:
            packed = await self._packer.pack(fetched, question.site, gzip_accepted=takes_gzip(question.request))
            entry = self._entry(question, fetched, packed, settlement, key)
            self._packer.note(entry)
        else:  # what the origin says of its answer holds for it as it came
            entry = self._entry(question, fetched, unpacked(fetched), settlement, key)
        fence, landing = departure
        if fence is None or key is None:
            return Trip(alive=False, settlement=settlement, fetched=fetched, entry=entry)
        if not _lands_with(question, key):
            landing = ""
        alive = await self._store.write(key, entry, fence, question.lock(verdict.account), landing)
        return Trip(alive=alive, settlement=settlement, fetched=fetched, entry=entry, key=key)

    def _key(self, question: Question, account: str) -> str | None:
        """Name where the answer is kept: where it was looked for, unless Jira tells only now whose it is."""
        if account == question.account:
            return question.key
        shared_by = partition(question.read.policy.scope, question.caller, account)
        key = canon.key(question.request, question.read, shared_by, self._secret)
        return None if key is None else key + question.variant

    def _entry(self, question: Question, fetched: Fetched, packed: Packed, keep: Keep, key: str | None) -> Entry:
        plain, now, origin = fetched.plain or b"", self._clock(), keep.origin
        if origin is not None:
            selected = vary.selection(origin.vary, question.request.headers, self._secret)
            origin = replace(origin, selected=selected)
        return Entry(
            status=fetched.status,
            headers=replayable(fetched.pairs) if origin is None else _told(fetched.pairs, now),
            body=packed.body,
            coding=packed.coding,
            etag=packed.etag,
            tags=Tags.of((*self._tags(question.read, plain), itself(key or ""))),
            stored=now - keep.age,
            ttl=keep.ttl,
            keep=keep.keep,
            cost=fetched.cost,
            origin=origin,
            public=packed.public,
        )

    def _tags(self, read: Read, plain: bytes) -> tuple[str, ...]:
        """Name everything that makes the answer old: what its route says, and every entity that its body embeds."""
        if read.type == "media":
            return read.tags
        found = references(plain)
        self._names.learn(found.aliases)
        paired = frozenset(chain.from_iterable(found.aliases))
        tags = self._names.for_answer(found.tags.union(read.tags), paired)
        if not {ISSUES, SEARCHES}.isdisjoint(read.tags):
            tags = by_index(tags)
        return tuple(tags | {MANY} if found.collapsed else tags)


class _Departure(NamedTuple):
    """Behind which fence a trip leaves, and for what it was claimed ("" if it was not)."""

    fence: Fence | None
    landing: str = ""


def _lands_with(question: Question, key: str | None) -> bool:
    """Tell whether a trip has landed as soon as its answer is kept under `key`: all that who waits needs to find it."""
    return question.leased and key == question.key


def itself(key: str) -> str:
    """Name the tag of the answer that is kept under `key`, so that a forced answer can make just that one old."""
    return f"answer:{key}"


def _audience(question: Question, verdict: login.Login) -> Audience:
    account = verdict.account if isinstance(verdict, login.Accepted) else ""
    return audience(question.read.policy.scope, question.caller, account)


def _told(pairs: Pairs, now: float) -> tuple[tuple[str, str], ...]:
    """Headers of an answer by the origin's rules: all that HTTP has an answer say of itself, its date included."""
    dated = any(name.lower() == "date" for name, _ in pairs)
    return replayable(pairs if dated else [*pairs, ("Date", spelled(now))], OF_THE_ORIGIN)


def _confirmed(held: Entry, reply: Reply, cost: float) -> Fetched:
    """Make of a 304 the answer that it stands for."""
    pairs = validation.updated(held, reply.pairs)
    plain = decoded(held.body, held.coding)
    return Fetched(held.status, pairs, joined(pairs), held.body, plain, cost, confirmed=True)


def _fetched(reply: Reply, body: bytes, limit: int, cost: float) -> Fetched:
    headers = reply.headers
    plain, shown = _plain(headers, body, limit)
    return Fetched(reply.status, reply.pairs, headers, body, plain, cost, shown)


def _plain(headers: dict[str, str], body: bytes, limit: int) -> tuple[bytes | None, int]:
    """Decode a body, and count the objects that it shows."""
    try:
        plain = decoded(body, headers.get("content-encoding", "").lower(), limit)
    except TooLargeError:
        raise
    except ValueError:
        return None, 0
    if not is_json_answer(headers.get("content-type", "")):
        return plain, 0
    said = parsed(plain)
    # An answer that ended early without saying so shows in JSON that does not parse.
    return (None, 0) if said is None and plain != b"null" else (plain, objects(said))
