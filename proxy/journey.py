"""One request, top to bottom. It holds no rule of its own: policies/ decides, the rest of proxy/ does.

classify -> who asks -> look up -> decide -> [fly -> settle -> keep] -> answer
"""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, assert_never
from weakref import ReferenceType, WeakValueDictionary, ref

from policies import canon, searches, vary
from policies.addressed import addressed
from policies.callers import Anonymous, Caller, Credentialed, Untrackable, lock, partition
from policies.calls import call_of, client
from policies.decide import Decision, Fetch, Forward, Refuse, Serve, age_of, decide, in_force, lifetime, stands_until
from policies.directives import asked
from policies.http_freshness import ruling
from policies.model import Entry, Fence, Freshness, Live, Lookup, Match, Pass, Policy, Read, Request, Why, Write
from policies.outcome import is_settled
from policies.rulebook import Rulebook
from policies.settle import Keep, Relay, StandIn
from proxy import answers, relay
from proxy.answers import Answer, Rendered, Renderer, Sending, Whole
from proxy.changes import Changes
from proxy.errors import StoreError, UpstreamError
from proxy.flights import Boarded, Flights, Missed, Seal
from proxy.governor import Governor
from proxy.incoming import Incoming
from proxy.leases import Lease, Leases
from proxy.question import Question
from proxy.ratelimit import RateLimit
from proxy.stores import Store
from proxy.stores.tasks import finish
from proxy.trip import Told, Travel, Trip, itself
from proxy.watch import Watch

_TOO_LARGE_REMEMBERED = 10_000
# Trips to wait for in vain. One after the other they take longer than asking Jira oneself.
_PATIENCE = 3
# What is found where there is nothing, by a store that can be asked.
_NOTHING_KEPT = Lookup(None, alive=False, fence=Fence(0, 0))
# What a client is told when there is no answer of Jira's.
_STATUS = {Why.UNREACHABLE: 502, Why.TIMEOUT: 504, Why.THROTTLED: 429, Why.BREAKER_OPEN: 503, Why.QUEUE_FULL: 503}


@dataclass(frozen=True, slots=True)
class Crew:
    """Whom a tenant's journey works with."""

    rulebook: Rulebook
    store: Store
    changes: Changes
    watch: Watch
    leases: Leases
    governor: Governor
    travel: Travel
    renderer: Renderer
    secret: bytes
    encrypt: bool
    max_body: int
    limit: RateLimit | None
    seen: Callable[[Credentialed], None]
    clock: Callable[[], float]
    draw: Callable[[], float]


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Ground:
    """What decisions to serve one caller rest on: the rules, the caller's lease, and since when webhooks are trusted.

    Those who rest on the same share it: it is looked at for each hit, and then it is at hand.
    """

    rules: Rulebook
    lease: Lease | None
    trusted_since: float | None


@dataclass(frozen=True, slots=True)
class Standing:
    """A decision to serve `entry`, `stored` at a time (Unix) and fresh for `lifetime` seconds, and what it rests on.

    That is its `ground`, and the time when it was made and until when this leads to a hit. It holds no entry that the
    store has forgotten.
    """

    ground: Ground
    entry: ReferenceType[Entry]
    stored: float
    why: Why
    lifetime: float
    since: float
    until: float


@dataclass(frozen=True, slots=True)
class Attempt:
    """How it went so far: how many trips were waited for in `vain`, and whether the question has to go `apart`."""

    vain: int = 0
    apart: bool = False

    def again(self) -> "Attempt":
        return Attempt(self.vain + 1, self.apart)

    def alone(self) -> "Attempt":
        return Attempt(_PATIENCE, self.apart)


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What would be done with a read at this moment: by which question, and by which entry, if one was found.

    `alive` tells that nothing made the entry old, `left` for how many seconds more it is fresh.
    """

    question: Question
    decision: Decision
    entry: Entry | None
    alive: bool
    left: float | None


@dataclass(frozen=True, slots=True)
class Sealed:
    """What would be done with a read only its caller can tell: their credential is needed to open what is kept."""


class Journey:
    """Answers the requests of one tenant."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._flights: Flights[Trip] = Flights()
        self._background: set[asyncio.Task[Any]] = set()
        self._too_large: OrderedDict[str, None] = OrderedDict()
        self._grounds: WeakValueDictionary[str, Ground] = WeakValueDictionary()

    async def answer(self, incoming: Incoming) -> Answer:
        """Answer a request; never raises for anything that Jira, the store or the client did."""
        try:
            return await self._answer(incoming)
        except UpstreamError as error:
            return answers.error(_STATUS[error.why], str(error), error.why, error.retry_after)

    async def _answer(self, incoming: Incoming) -> Answer:
        rulebook = self._crew.rulebook
        match = rulebook.classify(incoming.request)
        incoming.notes.type, incoming.notes.route = match.type, match.route
        caller = incoming.caller(self._crew.secret)
        if isinstance(caller, Credentialed):
            incoming.notes.asked_by(caller.credential)
            self._crew.seen(caller)
        if self._crew.limit is not None and (refused := await self._crew.limit.refuse(incoming)) is not None:
            return refused
        match match:
            case Read():
                return await self._read(incoming, match, caller, rulebook)
            case Write():
                return await self._finish(self._write(incoming, match, caller, rulebook))
            case Pass(why=why):
                return await self._forward(incoming, match, caller, why)
            case never:
                assert_never(never)

    # at once ----------------------------------------------------------------------------------------------------------

    def glance(self, question: Question) -> tuple[Entry, Standing] | None:
        """Decide a question by what is at hand, without waiting for anything; None unless that makes it a hit."""
        found, lease = self._crew.store.glance(question.key), self._lease_at_hand(question)
        if found is None or question.rules is not self._crew.rulebook or not _allows(lease, question):
            return None
        if found.entry is None or found.entry.origin is not None or len(found.entry.body) >= answers.LONG_WORK:
            return None  # which variant is asked for takes a closer look, and what is large a thread
        # As if chance wanted it fetched early: whatever may be is left to the ordinary way, which draws, and only once.
        decision = self._decide(question, found, draw=0.0)
        if not isinstance(decision, Serve) or decision.refresh:
            return None
        return decision.entry, self._standing(question, decision, lease)

    def _standing(self, question: Question, decision: Serve, lease: Lease | None) -> Standing:
        entry, policy, now = decision.entry, self._policy(question, decision.entry), self._crew.clock()
        until = stands_until(decision, asked(question.request, policy.directives), policy, now)
        return Standing(
            self._ground(lease),
            ref(entry),
            entry.stored,
            decision.why,
            lifetime(entry, policy),
            since=now,
            until=until if lease is None else min(until, lease.until),
        )

    def stands(self, question: Question, standing: Standing, now: float) -> bool:
        """Tell whether a decision that was made before is still right at `now`; its entry counts as used again."""
        found = self._crew.store.glance(question.key)
        return (
            found is not None
            and found.entry is standing.entry()
            and standing.since <= now < standing.until
            and self._bears(standing.ground)
        )

    def moment(self) -> Fence | None:
        """Tell the moment that the store is looked at from (proxy.stores)."""
        return self._crew.store.moment()

    def is_still(self, ground: Ground, moment: Fence | None) -> bool:
        """Tell whether nothing but the time has moved since a `moment` in which a decision stood on its ground."""
        return self._crew.store.moment() is moment is not None and self._bears(ground)

    def _ground(self, lease: Lease | None) -> Ground:
        """Tell what a decision rests on that is made now, for whom has a `lease` at hand."""
        name = "" if lease is None else lease.credential
        ground = self._grounds.get(name)
        if ground is None or not self._bears(ground):
            ground = self._grounds[name] = Ground(self._crew.rulebook, lease, self._crew.watch.trusted_since())
        return ground

    def _bears(self, ground: Ground) -> bool:
        crew, lease = self._crew, ground.lease
        return (
            ground.rules is crew.rulebook
            and (lease is None or crew.leases.holds(lease))
            and crew.watch.trusted_since() == ground.trusted_since
        )

    def _may_repeat(self, question: Question) -> bool:
        """Tell whether there may be anything to glance at when the same is asked again."""
        return self._crew.limit is None and self._crew.store.glance(question.key) is not None

    def respond(self, question: Question, entry: Entry, standing: Standing) -> tuple[Rendered, Whole, float]:
        """Answer by a decision that stands; tell also for how many seconds the answer is still fresh."""
        left = standing.lifetime - age_of(entry.stored, self._crew.clock())
        rendered = self._crew.renderer.render(entry, question.site, gzip_accepted=answers.takes_gzip(question.request))
        return rendered, self._from_entry(question, entry, rendered, Sending(standing.why, left)), left

    def saved(self, question: Question, times: int = 1) -> None:
        """Enter that a question was answered so many times without a call of Jira."""
        self._crew.governor.spending.saved(client(question.caller), question.read.type, times)

    def _lease_at_hand(self, question: Question) -> Lease | None:
        caller = question.caller
        return self._crew.leases.at_hand(caller.credential) if isinstance(caller, Credentialed) else None

    # reads ------------------------------------------------------------------------------------------------------------

    async def _read(self, incoming: Incoming, read: Read, caller: Caller, rules: Rulebook) -> Answer:
        if isinstance(caller, Untrackable):
            return await self._forward(incoming, read, caller, caller.why)
        request = incoming.request
        if read.body_matters:
            body = await incoming.body.peek(self._crew.max_body)
            if body is None:
                return await self._forward(incoming, read, caller, Why.UNREADABLE_BODY)
            request = replace(request, body=body)
        read, live = searches.live(request, read)
        attempt: Attempt | Answer = Attempt()
        while isinstance(attempt, Attempt):
            question = await self._question(incoming, request, read, caller, rules, apart=attempt.apart)
            if question is None:
                return await self._forward(incoming, read, caller, Why.UNREADABLE_BODY)
            if question.key in self._too_large:
                return await self._forward(incoming, read, caller, Why.TOO_LARGE)
            question, found = await self._look_up(question, live, self._claim(question, attempt))
            attempt = await self._act(incoming, question, found, attempt)
        return attempt

    async def foresee(self, incoming: Incoming, caller: Anonymous | Credentialed) -> Foreseen | Sealed | None:
        """Tell what would be done with a read, and do nothing. None: it would be passed on, whatever is kept."""
        rules = self._crew.rulebook
        match = rules.classify(incoming.request)
        if not isinstance(match, Read) or isinstance(incoming.caller(b""), Untrackable):
            return None
        read, _ = searches.live(incoming.request, match)
        question = await self._question(incoming, incoming.request, read, caller, rules, apart=False)
        if question is None:
            return None
        if question.lock(question.account):
            return Sealed()
        question, found = await self._look_up(question, None)
        left = None if found.entry is None else self._left(question, found.entry)
        return Foreseen(question, self._decide(question, found, draw=self._crew.draw()), found.entry, found.alive, left)

    def _claim(self, question: Question, attempt: Attempt) -> str:
        """Name the trip that is to be claimed with the look-up ("" for none): surely made where nothing is found."""
        flight, may_vary = question.flight, question.read.policy.freshness is Freshness.ORIGIN
        if may_vary or attempt.vain or flight in self._flights:
            return ""
        decision = self._decide(question, _NOTHING_KEPT, draw=1.0)
        return flight if isinstance(decision, Fetch) and decision.shared else ""

    async def _look_up(self, question: Question, live: Live | None, claim: str = "") -> tuple[Question, Lookup]:
        """Look the answer up, or a variant of it if it was chosen by headers that say another thing here."""
        found = await self._find(question, live, claim)
        if found.entry is None or found.entry.origin is None or self._selects(question, found.entry):
            return question, found
        variant = f".{vary.selection(found.entry.origin.vary, question.request.headers, self._crew.secret)}"
        question = replace(question, key=question.key + variant, variant=variant)
        found = await self._find(question, live)
        if found.entry is not None and not self._selects(question, found.entry):
            found = replace(found, entry=None)
        return question, found

    async def _find(self, question: Question, live: Live | None = None, claim: str = "") -> Lookup:
        return await self._crew.store.read(question.key, live, question.lock(question.account), claim)

    def _selects(self, question: Question, entry: Entry) -> bool:
        return vary.selects(entry.origin, question.request.headers, self._crew.secret)

    async def _question(
        self,
        incoming: Incoming,
        request: Request,
        read: Read,
        caller: Anonymous | Credentialed,
        rules: Rulebook,
        *,
        apart: bool,
    ) -> Question | None:
        lease = await self._crew.leases.find(caller.credential) if isinstance(caller, Credentialed) else None
        account = lease.account if lease else ""
        key = canon.key(request, read, partition(read.policy.scope, caller, account), self._crew.secret)
        if key is None:
            return None
        incoming.notes.asked_for(key)
        known, leases = isinstance(caller, Credentialed), self._crew.leases
        question = Question(
            request,
            read,
            rules,
            caller,
            account,
            leased=not known or leases.live(lease),
            outage_leased=not known or leases.live_in_outage(lease),
            key=key,
            headers=incoming.greeting.pairs,
            trail=incoming.trail,
            site=incoming.site,
            apart=apart,
        )
        if not self._crew.encrypt:
            return question
        return replace(question, lock=partial(lock, request, read.policy.scope, caller, self._crew.secret))

    async def _act(
        self, incoming: Incoming, question: Question, found: Lookup, attempt: Attempt, told: Told | None = None
    ) -> Answer | Attempt:
        """Do what was decided, which may be to look again. `told` is what others were told who have it from there."""
        decision = self._decide(question, found, draw=self._crew.draw())
        match decision:
            case Serve(entry, why, refresh):
                if refresh and question.flight not in self._flights:
                    self._in_background(self._refresh(replace(question, background=True), found.fence))
                self.saved(question)
                incoming.notes.age = age_of(entry.stored, self._crew.clock())
                sending = Sending(why, self._left(question, entry))
                if told is not None:
                    return await self._shared(question, told, entry, sending)
                whole = await self._serve(question, entry, sending)
                return replace(whole, question=question) if self._may_repeat(question) else whole
            case Fetch():
                fence = await self._forced(question, found) if decision.why is Why.REFRESH else found.fence
                return await self._fetch(incoming, question, decision, fence, attempt)
            case Forward(why):
                return await self._forward(incoming, question.read, question.caller, why)
            case Refuse(why):
                return answers.error(504, "no fresh answer is cached, and the request allows no other", why)
            case never:
                assert_never(never)

    async def _forced(self, question: Question, found: Lookup) -> Fence | None:
        """Make old what was kept, and what is on its way, before Jira is asked for an answer that must be newer.

        Else a trip that left earlier could put its answer in this one's place, and another instance serve the old one
        that it has near.
        """
        with suppress(StoreError):
            if found.fence is not None:
                await self._crew.store.invalidate({itself(question.key)})
        return (await self._find(question)).fence

    def _decide(self, question: Question, found: Lookup, *, draw: float) -> Decision:
        request, policy = question.request, self._policy(question, found.entry)
        return decide(
            asked(request, policy.directives),
            found,
            policy,
            self._crew.clock(),
            leased=question.leased,
            outage_leased=question.outage_leased,
            ranged="range" in request.headers,
            draw=draw,
        )

    async def _serve(self, question: Question, entry: Entry, sending: Sending) -> Whole:
        accepted = answers.takes_gzip(question.request)
        rendered = await self._crew.renderer.prepared(entry, question.site, gzip_accepted=accepted)
        return self._from_entry(question, entry, rendered, sending)

    def _from_entry(self, question: Question, entry: Entry, rendered: Rendered, sending: Sending) -> Whole:
        return answers.from_entry(
            entry, rendered, question.request, question.site, now=self._crew.clock(), sending=sending
        )

    def _left(self, question: Question, entry: Entry) -> float:
        return lifetime(entry, self._policy(question, entry)) - age_of(entry.stored, self._crew.clock())

    def _policy(self, question: Question, entry: Entry | None) -> Policy:
        stored = self._crew.clock() if entry is None else entry.stored
        return ruling(in_force(question.read.policy, stored, self._crew.watch.trusted_since()), entry)

    # trips ------------------------------------------------------------------------------------------------------------

    async def _fetch(
        self, incoming: Incoming, question: Question, fetch: Fetch, fence: Fence | None, attempt: Attempt
    ) -> Answer | Attempt:
        try:
            boarded = await self._fly(question, fetch, fence, attempt)
        except Missed as missed:
            if attempt.vain and isinstance(missed.__cause__, UpstreamError):
                raise missed.__cause__ from None
            return attempt.again()
        trip = boarded.landing
        if trip.seen is not None:
            return await self._seen(incoming, question, trip.seen, attempt.again(), trip.told)
        if not trip.suits(question.caller):
            return Attempt(attempt.vain, apart=True)
        if not boarded.led and not self._may_share(question, trip):
            return attempt.alone()
        if trip.settlement is None:
            self._remember_too_large(question.key)
            return await self._forward(incoming, question.read, question.caller, Why.TOO_LARGE)
        if trip.key is not None:
            incoming.notes.asked_for(trip.key)
        if boarded.led and trip.fetched is not None:
            incoming.notes.waited(trip.fetched.cost)
            incoming.notes.points = 1 + trip.fetched.objects
        if isinstance(trip.settlement, StandIn):
            incoming.notes.age = age_of(trip.settlement.entry.stored, self._crew.clock())
        return await self._arrived(question, fetch, trip, led=boarded.led)

    async def _seen(
        self, incoming: Incoming, question: Question, seen: Lookup, attempt: Attempt, told: Told
    ) -> Answer | Attempt:
        """Act by what was `seen` when another process was back.

        Unless that trip was to tell whose question this is, or Jira has not accepted the caller any more meanwhile.
        """
        allowed = question.leased and _allows(self._lease_at_hand(question), question)
        if allowed and seen.alive and seen.entry is not None and self._selects(question, seen.entry):
            return await self._act(incoming, question, seen, attempt, told)
        return attempt

    def _may_share(self, question: Question, trip: Trip) -> bool:
        """Tell whether a passenger may have the trip's answer.

        Where the origin decides, what is not kept, or would be asked about again, is the answer to one request alone
        (RFC 9111 section 4), and what was chosen by headers that say another thing here is none to this one.
        """
        if question.read.policy.freshness is not Freshness.ORIGIN or trip.settlement is None:
            return True
        entry = trip.settlement.entry if isinstance(trip.settlement, StandIn) else trip.entry
        if entry is None or not self._selects(question, entry):
            return False
        return isinstance(trip.settlement, StandIn) or self._left(question, entry) > 0

    async def _fly(self, question: Question, fetch: Fetch, fence: Fence | None, attempt: Attempt) -> Boarded[Trip]:
        async def depart(seal: Seal) -> Trip:
            return await self._crew.travel.make(question, fetch, fence, seal, claim=not (alone or attempt.vain))

        # Without a fence nobody can tell whether another one's answer is new enough.
        alone = fence is None or not fetch.shared or attempt.vain >= _PATIENCE
        if alone:
            return Boarded(await depart(_alone), led=True)
        return await self._flights.board(question.flight, fence, depart)

    async def _arrived(self, question: Question, fetch: Fetch, trip: Trip, *, led: bool) -> Whole:
        if not led:
            self.saved(question)
        match trip.settlement:
            case StandIn(entry, why):
                return await self._serve(question, entry, Sending(why, self._left(question, entry)))
            case Keep() if trip.entry is not None and trip.fetched is not None:
                sending = Sending(fetch.why, self._left(question, trip.entry), trip.fetched.said, trip.alive, not led)
                if not led:
                    return await self._shared(question, trip.told, trip.entry, sending)
                private = answers.private(trip.fetched.pairs, trip.entry, question.site)
                return await self._serve(question, trip.entry, replace(sending, private=private))
            case Relay(why) if trip.fetched is not None:
                return answers.from_fetched(trip.fetched, question.request, question.site, why, led=led)
            case _:
                raise AssertionError(f"a trip that landed without an answer: {trip.settlement}")

    async def _shared(self, question: Question, told: Told, entry: Entry, sending: Sending) -> Whole:
        """Answer a passenger, in the words that others were told who said the same in the same second."""
        said = question.request.headers
        alike = id(said), question.site, sending.why, math.floor(sending.ttl)
        words = told.get(alike)
        if words is None:
            words = told[alike] = said, await self._serve(question, entry, sending)
        return words[1]

    async def _refresh(self, question: Question, fence: Fence | None) -> None:
        with suppress(UpstreamError, Missed):
            await self._fly(question, Fetch(Why.EXPIRED), fence, Attempt())

    def _remember_too_large(self, key: str) -> None:
        self._too_large[key] = None
        if len(self._too_large) > _TOO_LARGE_REMEMBERED:
            self._too_large.popitem(last=False)

    # what goes through ------------------------------------------------------------------------------------------------

    async def _forward(self, incoming: Incoming, match: Match, caller: Caller, why: Why) -> Answer:
        call = call_of(match, incoming.request, caller, self._crew.secret)
        return await relay.forward(self._crew.governor, call, incoming, why, self._crew.max_body)

    async def _write(self, incoming: Incoming, write: Write, caller: Caller, rulebook: Rulebook) -> Answer:
        """Pass a write on. However it ends, what it may have changed is old before the client hears of it.

        Only one that surely never reached Jira has changed nothing: it leaves what could stand in while Jira is down.
        What that is the rulebook tells by which the write was classified, though another may be in force by then.
        """
        body = await self._json_body(incoming)
        said: Any | None = None
        named: list[str] = []
        status: int | None = None
        sent = True
        try:
            call = call_of(write, incoming.request, caller, self._crew.secret)
            reply = await relay.send(self._crew.governor, call, incoming)
            named = addressed(self._crew.governor.base, incoming.request.path, reply.headers)
            status = reply.status
            answer = await relay.answer(reply, incoming, write.why, self._crew.max_body)
            if isinstance(answer, Whole):
                said = answers.parsed_answer(answer)
        except UpstreamError as error:
            sent = error.sent
            raise
        finally:
            if sent:
                tags = rulebook.touched(write, body, said, named)
                await self._invalidate(tags, certain=is_settled(status, said))
        return answer

    async def _json_body(self, incoming: Incoming) -> Any | None:
        if not incoming.body.present:
            return {}
        if not answers.is_json_answer(incoming.header("content-type")) or incoming.header("content-encoding"):
            return None
        body = await incoming.body.peek(self._crew.max_body)
        return None if body is None else answers.parsed(body)

    async def _invalidate(self, tags: frozenset[str], *, certain: bool) -> None:
        # The store that could not note it serves nothing from now on (proxy.stores.failopen), so the client may go on.
        with suppress(StoreError):
            if tags:
                await self._crew.changes.wrote(tags, certain=certain)
                await self._crew.watch.wrote(tags)

    async def _finish(self, write: Coroutine[Any, Any, Answer]) -> Answer:
        """See a write through to its end although its client may leave."""
        task = asyncio.create_task(write)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_close)
            raise

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    def follow(self, rulebook: Rulebook) -> None:
        """Answer by another rulebook from the next request on."""
        self._crew = replace(self._crew, rulebook=rulebook)

    async def close(self, patience: float | None = None) -> None:
        """Let the work that no client waits for come to its end, within `patience` seconds (None: any)."""
        await finish(self._background, patience)


def _allows(lease: Lease | None, question: Question) -> bool:
    if isinstance(question.caller, Anonymous):
        return True
    return lease is not None and lease.account == question.account


def _alone() -> None:
    """Seal a trip that nobody could board."""


def _close(task: asyncio.Task[Answer]) -> None:
    """Let go of a streamed answer that nobody is there to read."""
    if not task.cancelled() and task.exception() is None and isinstance(answer := task.result(), answers.Streamed):
        answer.close()
