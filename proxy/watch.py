"""A tenant's webhook channel as this process knows it: what was announced, how late, and what the last poll proved.

What webhooks and writes tell is put on the tenant's shelf, for the process that polls may be another one; so is what is
known after a poll. What the shelf loses costs an invalidation too many, and the channel its good name, never the truth.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import orjson

from policies.change import Change
from policies.channel import (
    Channel,
    Found,
    Round,
    Terms,
    Told,
    announced,
    event_time,
    missed_share,
    quantile,
    touched,
    trusted_since,
)
from proxy.stores import Shelf

LOOKS = 6
"""How often within an interval a process hears what the others found."""

_CHANNEL = "channel"
_DAY = 86_400.0
# Seconds for which it is remembered what was told; a poll that comes later takes it for untold.
_REMEMBERED = 3600.0
_DELAYS = 1000
# A write may name thousands of issues; what is not noted of them is repaired once more.
_NOTED = 100
_AT_ONCE = 20


class Watch:
    """Notes what is told of issues. Without `terms` Jira is not polled, so nothing need be noted but the delays.

    `delay` is told how many seconds each webhook was under way.
    """

    def __init__(
        self, shelf: Shelf, terms: Terms | None, clock: Callable[[], float], delay: Callable[[float], None]
    ) -> None:
        self._shelf = shelf
        self._terms = terms
        self._clock = clock
        self._delay = delay
        self._delays: deque[float] = deque(maxlen=_DELAYS)
        self._last_webhook: float | None = None
        self.channel = Channel()
        self.outcome: str | None = None

    async def heard(self, change: Change, body: Mapping[str, Any] | None) -> None:
        """Note a webhook, as the rulebook read it, after its change was recorded."""
        now, made = self._clock(), event_time(body)
        self._last_webhook = now
        if made is not None:
            self._delays.append(max(0.0, now - made))
            self._delay(self._delays[-1])
        if self._terms is not None:
            await self._note(announced(change, made, now))

    async def wrote(self, tags: Iterable[str]) -> None:
        """Note a write that passed, after its change was recorded."""
        if self._terms is not None:
            await self._note(dict(touched(tags, self._clock())))

    async def told(self, issues: Iterable[Found]) -> dict[str, Told]:
        """Tell by id what was told of issues, under their ids and under their keys."""
        listed = list(issues)
        found = await _each(listed, self._told_of)
        return {issue.id: told for issue, told in zip(listed, found, strict=True)}

    async def _told_of(self, issue: Found) -> Told:
        return await self._get(f"issue:{issue.id}") | await self._get(f"issue:{issue.key}")

    async def _note(self, told: Mapping[str, Told]) -> None:
        await _each(list(told.items())[:_NOTED], lambda item: self._put(*item))

    async def _put(self, name: str, told: Told) -> None:
        # Jira promises no order: what comes late must not take the place of what is newer.
        known = await self._get(name)
        if known | told != known:
            await self._shelf.put(f"told:{name}", _packed_told(known | told), _REMEMBERED)

    async def _get(self, name: str) -> Told:
        return _told(await self._shelf.get(f"told:{name}"))

    # what the polls proved

    async def share(self, channel: Channel) -> None:
        """Tell the other processes what is known after a poll of ours."""
        self.channel = channel
        await self._shelf.put(_CHANNEL, orjson.dumps(asdict(channel)), _DAY)

    async def learn(self) -> None:
        """Hear what is known after the last poll of any process."""
        self.channel = _channel(await self._shelf.get(_CHANNEL)) or self.channel

    async def keep_up(self, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        """Hear what polls of other processes prove, as long as the process lives."""
        while self._terms is not None:
            await self.learn()
            await sleep(self._terms.interval / LOOKS)

    def trusted_since(self) -> float | None:
        """Tell since when answers may be kept by `ttl_with_webhooks`; None unless the channel is proven healthy."""
        return None if self._terms is None else trusted_since(self.channel, self._clock(), self._terms)

    def report(self) -> dict[str, object]:
        """Say how the channel is: what /api/parts shows. Webhooks and delays are those of this process."""
        share = missed_share(self.channel)
        healthy = self.trusted_since() is not None
        return {
            "state": "off" if self._terms is None else "healthy" if healthy else "unproven",
            "healthy": healthy,
            "last_webhook": _shown(self._last_webhook),
            "last_poll": _shown(self.channel.polled),
            "poll": "off" if self._terms is None else self.outcome or "none yet",
            "missed_share": None if share is None else round(share, 4),
            "delay_p50": quantile(self._delays, 0.5),
            "delay_p95": quantile(self._delays, 0.95),
        }


async def _each(items: list[Any], deed: Callable[[Any], Awaitable[Any]]) -> list[Any]:
    """Do a deed for each item, some at once: a store has only so many connections."""
    done: list[Any] = []
    for at in range(0, len(items), _AT_ONCE):
        done += await asyncio.gather(*map(deed, items[at : at + _AT_ONCE]))
    return done


def _shown(moment: float | None) -> str | None:
    return None if moment is None else datetime.fromtimestamp(moment, UTC).isoformat(timespec="seconds")


# What is on the shelf. Anything else that lies there, perhaps another version's, counts as nothing.


def _packed_told(told: Told) -> bytes:
    return f"{told.announced!r} {told.touched!r}".encode()


def _told(value: bytes | None) -> Told:
    try:
        announced_, touched_ = (value or b"").split()
        return Told(float(announced_), float(touched_))
    except ValueError:
        return Told()


def _channel(value: bytes | None) -> Channel | None:
    try:
        told = orjson.loads(value or b"null")
        rounds = tuple(Round(**each) for each in told.pop("rounds"))
        waiting = tuple(Found(**each) for each in told.pop("waiting"))
        return Channel(rounds=rounds, waiting=waiting, **told)
    except (ValueError, TypeError, AttributeError, KeyError):
        return None
