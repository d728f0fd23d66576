"""Hearing what other processes made old: one tenant's ledger since a fence, and a stream that says when to look.

The stream only wakes. What counts is the ledger itself, which knows every tag's last invalidation: so a stream that was
trimmed, evicted or listened to too late loses nothing.
"""

import contextlib
from dataclasses import dataclass

from redis.exceptions import RedisError

from policies.model import Fence
from proxy.stores.clients import AsyncClient, alike
from proxy.stores.coding import unpack_tag
from proxy.stores.ledger import new_incarnation
from proxy.stores.scripts import Script, as_store_error


@dataclass(frozen=True, slots=True)
class Hearing:
    """What was invalidated after an earlier fence and up to `fence`: tags and their last stamps, in the stamps' order.

    What was true before `floor` is not known to be true any more. `last` is where the stream ended.
    """

    fence: Fence
    floor: int
    last: bytes
    invalidated: tuple[tuple[str, int], ...]


class Ear:
    """What befalls one tenant's ledger. `names` are those of the tenant's own keys, `stream` among them.

    Waiting takes a connection of its own, made at the first wait, so that it keeps none from others.
    """

    def __init__(self, client: AsyncClient, names: tuple[str, ...], stream: str) -> None:
        self._client = client
        self._names = names
        self._stream = stream
        self._script = Script.load("ledger", "hear")
        self._waiting: AsyncClient | None = None

    async def hear(self, since: Fence | None) -> Hearing:
        """Learn what was invalidated since a fence; nothing of what was before, for None or another incarnation."""
        earlier = () if since is None else (since.incarnation, since.stamp)
        with as_store_error("hear"):
            told = await self._script.run(self._client, self._names, new_incarnation(), *earlier)
        incarnation, stamp, floor, last, scored = told
        tags = zip(map(unpack_tag, scored[::2]), map(int, scored[1::2]), strict=True)
        return Hearing(Fence(incarnation, stamp), floor, last, tuple(tags))

    async def wait(self, last: bytes, seconds: float) -> None:
        """Return when the stream goes on after `last`, or after `seconds`."""
        if self._waiting is None:
            self._waiting = alike(self._client, seconds)
        with as_store_error("wait for changes"):
            await self._waiting.xread({self._stream: last}, count=1, block=max(1, int(seconds * 1000)))

    async def close(self) -> None:
        """Let go of the connection; an unreachable server is no error."""
        if self._waiting is not None:
            with contextlib.suppress(RedisError, OSError):
                await self._waiting.aclose()
            self._waiting = None
