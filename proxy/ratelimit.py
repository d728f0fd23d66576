"""How often one client may ask: its requests within a minute are counted where all instances see it.

A client's minute begins with its first request. Nobody is refused because the store cannot count.
"""

from collections.abc import Callable
from typing import assert_never

from policies.callers import Anonymous, Credentialed, Untrackable, identify, keyed_hash
from policies.model import Why
from proxy import answers
from proxy.answers import Whole
from proxy.errors import StoreError
from proxy.incoming import Incoming
from proxy.service import AsyncCacheService

WINDOW = 60.0
PAUSE = 1.0

_TOO_MANY = 429


class RateLimit:
    """Lets each client make `most` requests within a minute.

    `cache` is a tenant's, with `on_error="raise"`. After a failure it is left alone for PAUSE seconds of `clock`, so
    that a store that hangs delays one request and not all; `on_error` is told.
    """

    def __init__(
        self,
        cache: AsyncCacheService,
        most: int,
        secret: bytes,
        *,
        clock: Callable[[], float],
        on_error: Callable[[], None],
    ) -> None:
        self._cache = cache
        self._most = most
        self._secret = secret
        self._clock = clock
        self._on_error = on_error
        self._retry_at: float | None = None  # None: the last count went well

    async def refuse(self, incoming: Incoming) -> Whole | None:
        """Count a request. Returns the answer for one too many, None for one that may go on."""
        if not self._admits():
            return None
        try:
            seconds = await self._wait(f"ratelimit:api:{self._who(incoming)}")
        except (StoreError, TypeError):  # TypeError: somebody keeps something else under the name of a count
            self._retry_at = self._clock() + PAUSE
            self._on_error()
            return None
        self._retry_at = None
        return None if seconds is None else self._refused(seconds)

    async def _wait(self, key: str) -> int | None:
        """Count, and tell for how many seconds nothing more is to be had; None if this one is within the limit."""
        if await self._cache.increment(key, ttl=WINDOW) <= self._most:
            return None
        return max(1, await self._cache.get_ttl(key))  # a minute that ended just now has no TTL any more

    def _admits(self) -> bool:
        if self._retry_at is None:
            return True
        now = self._clock()
        if now < self._retry_at:
            return False
        self._retry_at = now + PAUSE  # one tries, the others wait for how it fares
        return True

    def _who(self, incoming: Incoming) -> str:
        """Name the client, by a hash. Without the cookies of a session that has better to show: those come and go."""
        caller = identify(incoming.request, self._secret)
        match caller:
            case Credentialed(credential, holder):
                return holder or credential
            case Anonymous() | Untrackable():
                return keyed_hash(self._secret, "address", incoming.peer)
            case never:
                assert_never(never)

    def _refused(self, seconds: int) -> Whole:
        line = f"this client has made its {self._most} requests of this minute; try again in {seconds} s"
        return answers.error(_TOO_MANY, line, Why.CLIENT_LIMIT, seconds)
