"""Finds what changed in Jira without a webhook's saying so, and makes it old.

Of the processes that share a store one polls, at most once an interval; the others hear what it found.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping

from policies import channel
from policies.announcements import ANYTHING
from policies.change import Change, Changed
from policies.channel import Found, Review, Terms
from policies.jql import Issue
from policies.names import Names
from policies.searches import ISSUES
from proxy.changes import Changes
from proxy.errors import StoreError
from proxy.poll import Failed, Outcome, Poll, Polled, Project
from proxy.stores import Shelf
from proxy.watch import LOOKS, Watch

log = logging.getLogger(__name__)

Sleep = Callable[[float], Awaitable[None]]

_TURN = "repair"
# A credential that Jira refuses will be refused again; and Data Center locks who fails too often.
_REFUSED_PAUSE = 600.0
# More tags than this are as many as everything.
_MOST = 1000


class Repair:
    """Repairs one tenant. `count` is told how each poll went and how many changes it found that were missed."""

    def __init__(
        self,
        tenant: str,
        *,
        poll: Poll,
        watch: Watch,
        changes: Changes,
        names: Names,
        shelf: Shelf,
        terms: Terms,
        clock: Callable[[], float],
        count: Callable[[Outcome, int], None],
    ) -> None:
        self._tenant = tenant
        self._poll = poll
        self._watch = watch
        self._changes = changes
        self._names = names
        self._shelf = shelf
        self._terms = terms
        self._clock = clock
        self._count = count
        self._not_before = -float("inf")
        self._went: Outcome | None = None

    async def run(self, sleep: Sleep = asyncio.sleep) -> None:
        """Poll as long as the process lives."""
        while True:
            # Processes that were started together need not look together.
            await sleep(self._terms.interval / LOOKS * random.uniform(0.7, 1.3))  # noqa: S311 - no secret
            try:
                await self.look()
            except Exception:  # whatever is wrong with one poll, the next one is due
                log.exception("a repair poll failed", extra={"tenant": self._tenant})
                self._watch.channel = channel.failed(self._watch.channel)

    async def look(self) -> None:
        """Poll, if it is time and this process's turn; else hear what the others found."""
        now = self._clock()
        await self._watch.learn()
        # The shelf fails open: while it is down, each process goes by its own clock.
        if now >= self._not_before and await self._shelf.add(_TURN, b"1", self._terms.interval):
            self._not_before = now + self._terms.interval
            await self.poll_once(now)

    async def poll_once(self, now: float) -> None:
        """Ask Jira what changed, make old what was not announced, and tell what that says of the channel."""
        known = self._watch.channel
        polled = await self._poll.ask(channel.minutes(known, now, self._terms))
        try:
            outcome, missed = await self._conclude(polled, now)
        except StoreError:
            outcome, missed = Outcome.NOT_RECORDED, 0
        if outcome not in (Outcome.OK, Outcome.FLOODED):
            await self._watch.share(channel.failed(known))
        self._tell(outcome, missed)

    async def _conclude(self, polled: Polled | Failed, now: float) -> tuple[Outcome, int]:
        if isinstance(polled, Failed):
            await self._pause(polled, now)
            return polled.outcome, 0
        if not polled.whole:
            await self._changes.record(ANYTHING, "repair")
            await self._watch.share(channel.flooded(self._watch.channel, now))
            return Outcome.FLOODED, 0
        review = await self._review(polled, now)
        if review.repair:
            await self._changes.record(self._change(review.repair, polled.projects), "repair")
        # Not before it is durable: what is counted as seen is not repaired again.
        await self._watch.share(review.channel)
        return Outcome.OK, review.missed

    async def _review(self, polled: Polled, now: float) -> Review:
        known = self._watch.channel
        told = await self._watch.told(channel.candidates(known, polled.found))
        return channel.review(known, polled.found, told, now, self._terms)

    def _change(self, issues: Iterable[Found], projects: Mapping[str, Project]) -> Change:
        """Tell the change: nobody knows what it was, but which issues, and so which projects.

        An issue that has come to another project changes searches of both; the former one is known if any answer, or
        webhook, has told the issue's former key.
        """
        pairs = {(f"issue:{each.id}", f"issue:{each.key}") for each in issues}
        keys = {key for by_id, by_key in pairs for key in (by_key, self._names.key_of(by_id)) if key}
        homes = {key.removeprefix("issue:").rpartition("-")[0] for key in keys}
        tags = keys | {by_id for by_id, _ in pairs} | {f"project:{project}:issues" for project in homes} | {ISSUES}
        if len(tags) > _MOST:
            return ANYTHING
        self._names.learn(pairs)
        # All that is known of one of them is known of all of its project, so one stands for all.
        some = (Issue("", "", {"project": projects[home]}) for home in homes if home in projects)
        states = tuple(Changed(None, issue) for issue in some)
        return Change(frozenset(tags), states, projects=frozenset(homes - projects.keys()))

    async def _pause(self, failed: Failed, now: float) -> None:
        pause = max(failed.pause, _REFUSED_PAUSE if failed.outcome is Outcome.REFUSED else 0.0, self._terms.interval)
        self._not_before = now + pause
        await self._shelf.put(_TURN, b"1", pause)

    def _tell(self, outcome: Outcome, missed: int) -> None:
        self._count(outcome, missed)
        self._watch.outcome = outcome.value
        if missed:
            log.warning("%d changes came without a webhook; they are repaired", missed, extra={"tenant": self._tenant})
        if outcome is not self._went and outcome is not Outcome.OK:
            log.warning("repair polls of Jira: %s", _MEANINGS[outcome], extra={"tenant": self._tenant})
        self._went = outcome


_MEANINGS = {
    Outcome.FLOODED: "more changed than can be looked through, so everything counts as changed",
    Outcome.REFUSED: "the credential is not accepted (repair.credential)",
    Outcome.THROTTLED: "Jira wants to be asked less often",
    Outcome.UNREACHABLE: "no answer",
    Outcome.UNREADABLE: "the answer is not what a search answers",
    Outcome.NOT_RECORDED: "the store failed, so what they found is found again",
}
