"""How fast and how often Jira may be asked: every call of a tenant passes here, whoever makes it.

    admit: known to be unreachable? -> told to wait? -> a turn -> breaker      then call, take note, and perhaps again

What Jira's answers mean, how long to wait and what is tried again is the law's business (policies.throttle,
policies.retry, policies.breaker); here it is waited, counted and remembered.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, TypeVar

from policies import breaker, retry, throttle
from policies.calls import Call
from policies.model import Why
from policies.throttle import Reach
from proxy.errors import NotAsked, UpstreamError
from proxy.holds import Holds
from proxy.pool import Body
from proxy.schema import Governor as Terms
from proxy.spending import Spending
from proxy.turns import Turns
from proxy.upstream import Pairs, Reply, Upstream

T = TypeVar("T")
Take = Callable[[Reply], Awaitable[T]]

UNREACHABLE_FOR = 1.0
"""Seconds for which a connection that could not be made is not tried again for others."""

PACE = 10.0
"""Seconds from one call in the background to the next while a limit is near."""

_SOON = 1.0


class Outgoing(NamedTuple):
    """A request to Jira; `target` is the raw path and query below its base."""

    method: str
    target: str
    headers: Pairs
    body: Body = None


@dataclass(frozen=True, slots=True)
class Environment:
    """What a governor needs of the world: Unix time, waiting, chance from 0 to 1; and who counts what it does."""

    clock: Callable[[], float]
    sleep: Callable[[float], Awaitable[None]]
    draw: Callable[[], float]
    count: Callable[[str], None]


class Governor:
    """Governs the calls to one Jira, whose origin and base path is `base`.

    `total` bounds in seconds how long a call may wait and be made again.
    """

    def __init__(
        self,
        upstream: Upstream,
        holds: Holds,
        spending: Spending,
        terms: Terms,
        environment: Environment,
        *,
        total: float,
    ) -> None:
        self.base = upstream.base
        self._upstream = upstream
        self._holds = holds
        self._terms = terms
        self._total = total
        self._environment = environment
        self._turns = Turns(terms.max_concurrency)
        self._held_back = 0
        self._breaker: breaker.State = breaker.Closed()
        self._unreachable: tuple[float, UpstreamError] | None = None
        self._next_background = -float("inf")
        self.spending = spending

    def __repr__(self) -> str:
        return f"<Governor {self.report()}>"

    async def ask(self, call: Call, outgoing: Outgoing, take: Take[T]) -> T:
        """Ask Jira, and `take` its answer: whoever takes it reads it or closes it.

        Raises NotAsked where Jira is to be left alone for longer than the call may wait, and UpstreamError where Jira
        failed. What may be repeated is, within the call's patience; then `take` sees the last answer only, unless an
        earlier one broke off while it was taken.
        """
        # What streams up takes as long as its client does: such calls would take all turns, so they take none.
        streamed = isinstance(outgoing.body, AsyncIterator)
        if streamed:  # once part of the body is gone, nobody has it any more
            call = replace(call, repeatable=False)
        await self._holds.learn()
        patience = self._terms.max_wait if call.patience is None else call.patience
        deadline = asyncio.get_running_loop().time() + self._total
        self._refuse_unreachable()
        tried = 0
        while True:
            patience -= await (self._hold_back(call, patience) if streamed else self._turn(call, patience))
            try:
                may_repeat = tried < self._terms.retries and asyncio.get_running_loop().time() < deadline
                outcome = await self._try(call, outgoing, take, patience, tried if may_repeat else None)
            finally:
                if not streamed:
                    self._turns.leave()
            if not isinstance(outcome, _Again):
                return outcome
            await self._wait(outcome.pause)
            patience -= outcome.pause
            tried += 1
            self._environment.count("retry")

    def report(self) -> dict[str, Any]:
        """Tell how the governor is, without a word of who asks for what. Times are seconds."""
        held = self._holds.longest()
        return {
            "state": self._state(held),
            "breaker": breaker.word(self._breaker),
            "held": held,
            "in_flight": self.in_flight,
            "queued": self.queued,
        }

    @property
    def in_flight(self) -> int:
        """How many calls wait for Jira's answer."""
        return self._turns.taken

    @property
    def queued(self) -> int:
        """How many calls wait to be made."""
        return len(self._turns) + self._held_back

    @property
    def breaker_open(self) -> bool:
        """Whether Jira is left alone because it failed."""
        return not isinstance(self._breaker, breaker.Closed)

    def _state(self, held: dict[str, float]) -> str:
        if self.breaker_open:
            return "down"
        if held.keys() - {Reach.BACKGROUND}:
            return "throttled"
        return "near-limit" if held else "ok"

    # before the call --------------------------------------------------------------------------------------------------

    def _refuse_unreachable(self) -> None:
        """Do not let everybody find out what one call has found just now."""
        if self._unreachable is None:
            return
        since, error = self._unreachable
        if 0 <= self._environment.clock() - since < UNREACHABLE_FOR:
            raise UpstreamError(str(error), timeout=error.timeout, sent=False)

    async def _turn(self, call: Call, patience: float) -> float:
        """Take a turn once nothing holds the call back. Returns the seconds that it was held back."""
        waited = 0.0
        while True:
            waited += await self._hold_back(call, patience - waited)
            await self._take_turn(call)
            if not self._holds.left(throttle.scopes(call)):
                return waited
            self._turns.leave()  # Jira throttled while we stood in line

    async def _hold_back(self, call: Call, patience: float) -> float:
        waited = await self._pace(call, patience)
        while left := self._holds.left(throttle.scopes(call)):
            if waited + left > patience:
                raise NotAsked("Jira wants to be asked less often", Why.THROTTLED, left)
            await self._wait(left)
            waited += left
        return waited

    async def _pace(self, call: Call, patience: float) -> float:
        """Slow down what nobody waits for while a limit is near, so that it is not what meets it."""
        if not call.background or not self._holds.left((throttle.BACKGROUND,)):
            return 0.0
        now = self._environment.clock()
        wait = max(0.0, self._next_background - now)
        if wait > patience:
            raise NotAsked("Jira is about to throttle", Why.THROTTLED, wait)
        self._next_background = now + wait + PACE
        await self._wait(wait)
        return wait

    async def _wait(self, seconds: float) -> None:
        if seconds:
            with self._in_queue():
                await self._environment.sleep(seconds)

    async def _take_turn(self, call: Call) -> None:
        if self._turns.taken < self._terms.max_concurrency:
            await self._turns.take(call.caller)  # at once
            return
        self._refuse_overflow()
        try:
            async with asyncio.timeout(self._total):
                await self._turns.take(call.caller, background=call.background)
        except TimeoutError as error:
            raise NotAsked("too many requests wait for Jira", Why.QUEUE_FULL, _SOON) from error

    @contextmanager
    def _in_queue(self) -> Iterator[None]:
        self._refuse_overflow()
        self._held_back += 1
        try:
            yield
        finally:
            self._held_back -= 1

    def _refuse_overflow(self) -> None:
        if self.queued >= self._terms.max_queue:
            raise NotAsked("too many requests wait for Jira", Why.QUEUE_FULL, _SOON)

    # the call ---------------------------------------------------------------------------------------------------------

    async def _try(
        self, call: Call, outgoing: Outgoing, take: Take[T], patience: float, tried: int | None
    ) -> "T | _Again":
        """Make the call once. `tried` is how often it was made before, None where it must not be made again."""
        try:
            reply = await self._send(call, outgoing)
            try:
                pause = await self._heard(call, reply, tried)
                if pause is None or pause > patience or self.breaker_open:
                    return await take(reply)
            except BaseException:
                reply.close()
                raise
            reply.close()
            return _Again(pause)
        except NotAsked:
            raise
        except UpstreamError as error:
            pause = self._after_error(call, error, tried)
            if pause is None or pause > patience or self.breaker_open:
                raise
            return _Again(pause)

    async def _send(self, call: Call, outgoing: Outgoing) -> Reply:
        self._refuse_open()
        self._breaker = breaker.departed(self._breaker, self._environment.clock())
        self.spending.called(call.caller, call.type)
        try:
            reply = await self._upstream.send(*outgoing)
        except UpstreamError as error:
            if not error.sent:
                self._unreachable = self._environment.clock(), error
            self._fail()
            raise
        except BaseException:
            self._breaker = breaker.given_up(self._breaker, self._environment.clock())
            raise
        if reply.status in retry.TROUBLE:
            self._fail()
        else:
            self._breaker = breaker.answered()
        return reply

    def _refuse_open(self) -> None:
        if left := breaker.refused_for(self._breaker, self._environment.clock()):
            raise NotAsked("Jira has failed too often just now", Why.BREAKER_OPEN, left)

    def _fail(self) -> None:
        environment, limit = self._environment, self._terms.breaker_failures
        before = self._breaker
        self._breaker = breaker.failed(before, environment.clock(), environment.draw(), limit)
        if isinstance(self._breaker, breaker.Open) and not isinstance(before, breaker.Open):
            environment.count("open")

    async def _heard(self, call: Call, reply: Reply, tried: int | None) -> float | None:
        """Take note of what an answer says of limits. Returns the pause before the next try, if there is one."""
        headers = reply.headers
        told = throttle.heard(reply.status, headers, self._environment.clock())
        if told is not None:
            self._environment.count(told.reach)
            await self._holds.hold(throttle.scope(told.reach, call), told.wait)
        else:
            self._holds.relax(throttle.scopes(call))
        if throttle.near_limit(headers):
            await self._holds.hold(throttle.BACKGROUND, throttle.NEAR_FOR)
        if tried is None:
            return None
        held = 0.0 if told is None else self._holds.left(throttle.scopes(call))
        return retry.after_status(call, reply.status, held, tried, self._environment.draw())

    def _after_error(self, call: Call, error: UpstreamError, tried: int | None) -> float | None:
        if tried is None:
            return None
        draw = self._environment.draw()
        return retry.after_error(call, tried, draw, sent=error.sent, timeout=error.timeout)


@dataclass(frozen=True, slots=True)
class _Again:
    """The call is to be made again after `pause` seconds."""

    pause: float
