"""How often one client, and one address, may ask: requests within a minute are counted where all instances see it.

A minute begins with its first request. An address counts whoever asks from it, so that a credential made up anew for
each request does not help. Nobody is refused because the store cannot count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from policies.callers import Anonymous, Credentialed, Untrackable, keyed_hash
from policies.model import Why
from proxy import answers
from proxy.addresses import neighbourhood
from proxy.answers import Whole
from proxy.errors import StoreError
from proxy.incoming import Incoming
from proxy.pause import Pause
from proxy.service import AsyncCacheService

WINDOW = 60.0
PAUSE = 1.0

_TOO_MANY = 429


@dataclass(frozen=True, slots=True)
class _Limit:
    """So many requests, of whom `who` names by a hash; what one too many is told, and why."""

    most: int | None
    who: Callable[[Incoming], str]
    noun: str
    why: Why


class RateLimit:
    """Lets each client make `client` requests within a minute, and each address `address`; None: any number.

    `cache` is a tenant's, with `on_error="raise"`. After a failure it is left alone for PAUSE seconds of `clock`, so
    that a store that hangs delays one request and not all; `on_error` is told.
    """

    def __init__(
        self,
        cache: AsyncCacheService,
        client: int | None,
        address: int | None,
        secret: bytes,
        *,
        clock: Callable[[], float],
        on_error: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._limits = (
            _Limit(address, self._address, "address", Why.ADDRESS_LIMIT),
            _Limit(client, self._client, "client", Why.CLIENT_LIMIT),
        )
        self._secret = secret
        self._on_error = on_error
        self._pause = Pause(PAUSE, clock)

    async def refuse(self, incoming: Incoming) -> Whole | None:
        """Count a request. Returns the answer for one too many, None for one that may go on."""
        if not self._pause.admits():
            return None
        try:
            refused = await self._count(incoming)
        except (StoreError, TypeError):  # TypeError: somebody keeps something else under the name of a count
            self._pause.begin()
            self._on_error()
            return None
        self._pause.end()
        return refused

    async def _count(self, incoming: Incoming) -> Whole | None:
        for limit in self._limits:
            if limit.most is None:
                continue
            key = f"ratelimit:api:{limit.who(incoming)}"
            if await self._cache.increment(key, ttl=WINDOW) > limit.most:
                left = await self._cache.get_ttl(key)
                return _refused(limit, max(1, left))  # a minute that ended just now has no TTL any more
        return None

    def _address(self, incoming: Incoming) -> str:
        return keyed_hash(self._secret, "whoever is at", neighbourhood(incoming.peer))

    def _client(self, incoming: Incoming) -> str:
        """Name the client, by a hash. Without the cookies of a session that has better to show: those come and go."""
        caller = incoming.caller(self._secret)
        match caller:
            case Credentialed(credential, holder):
                return holder or credential
            case Anonymous() | Untrackable():
                return keyed_hash(self._secret, "address", neighbourhood(incoming.peer))
            case never:
                assert_never(never)


def _refused(limit: _Limit, seconds: int) -> Whole:
    line = f"this {limit.noun} has made its {limit.most} requests of this minute; try again in {seconds} s"
    return answers.error(_TOO_MANY, line, limit.why, seconds)
