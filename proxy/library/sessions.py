"""Who is signed in, and tokens that let somebody in once. Neither can be read back from what Redis holds.

Both want a service with `on_error="raise"`, so that nobody is told that they signed out while Redis could not hear of
it. All methods raise StoreError.
"""

import hashlib
from secrets import token_urlsafe
from typing import Any

from proxy.library.nonblocking import AsyncCacheService

SESSION_TTL = 30 * 60.0
TOKEN_TTL = 15 * 60.0


class Sessions:
    """Sign-in sessions, which end `ttl` seconds after they were last seen."""

    def __init__(self, cache: AsyncCacheService, ttl: float = SESSION_TTL) -> None:
        self._cache = cache
        self._ttl = ttl

    async def begin(self, facts: Any) -> str:
        """Begin a session of which `facts` (JSON) are known; return its identifier, for a cookie."""
        return await _issue(self._cache, "session", facts, self._ttl)

    async def find(self, identifier: str) -> Any:
        """Return what is known of a session, which goes on for another `ttl`; None if there is none."""
        key = _key("session", identifier)
        facts = await self._cache.get(key)
        if facts is not None:
            await self._cache.expire(key, self._ttl)
        return facts

    async def end(self, identifier: str) -> None:
        """End a session."""
        await self._cache.delete(_key("session", identifier))


class OneTimeTokens:
    """Tokens for signing in, each good for one use within `ttl` seconds."""

    def __init__(self, cache: AsyncCacheService, ttl: float = TOKEN_TTL) -> None:
        self._cache = cache
        self._ttl = ttl

    async def issue(self, facts: Any) -> str:
        """Make a token that stands for `facts` (JSON)."""
        return await _issue(self._cache, "token", facts, self._ttl)

    async def redeem(self, token: str) -> Any:
        """Return what a token stands for, to the first who asks; None to everybody else, and when it is too old."""
        return await self._cache.take(_key("token", token))


async def _issue(cache: AsyncCacheService, kind: str, facts: Any, ttl: float) -> str:
    secret = token_urlsafe(32)
    await cache.set(_key(kind, secret), facts, ttl)
    return secret


def _key(kind: str, secret: str) -> str:
    """Name by a hash, so that whoever reads Redis cannot sign in. 256 random bits need no salt."""
    said = secret.encode(errors="surrogateescape")
    return f"{kind}:{hashlib.sha256(said).hexdigest()}"
