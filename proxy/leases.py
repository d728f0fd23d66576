"""Which credentials Jira has accepted lately, and as whom.

A lease says: Jira let this credential in, as this account, at most `term` seconds ago. Without a live lease nothing is
served from cache. Leases are shared through the store, so that what one process learned the others know.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from proxy.stores import Shelf

_REMEMBERED = 10_000
# A lapsed lease still tells whose partition to look in; after a day the caller is a stranger again.
_KEPT = 86_400.0


@dataclass(frozen=True, slots=True)
class Lease:
    """Of a credential's hash: `account` is the keyed hash of what Jira resolved ("" if it names none).

    `until` is Unix time in seconds.
    """

    credential: str
    account: str
    until: float


class Leases:
    """The leases of one tenant, by credential hash. `term` and, for while Jira is down, `outage_term` are seconds."""

    def __init__(self, shelf: Shelf, term: float, clock: Callable[[], float], *, outage_term: float = 0.0) -> None:
        self._shelf = shelf
        self._term = term
        self._grace = max(0.0, outage_term - term)
        self._clock = clock
        self._known: OrderedDict[str, Lease] = OrderedDict()

    def live(self, lease: Lease | None) -> bool:
        """Tell whether a lease has begun and not run out.

        One with more than a term to go is of a process whose clock is ahead of ours, or of one from before the clock
        was set back: nobody knows how old it is.
        """
        return lease is not None and 0 < lease.until - self._clock() <= self._term

    def live_in_outage(self, lease: Lease | None) -> bool:
        """Tell whether Jira accepted the credential lately enough to believe it while Jira cannot be asked."""
        return lease is not None and -self._grace < lease.until - self._clock() <= self._term

    def at_hand(self, credential: str) -> Lease | None:
        """Find a live lease that this process knows of."""
        known = self._known.get(credential)
        return known if self.live(known) else None

    def holds(self, lease: Lease) -> bool:
        """Tell whether no other one has taken a lease's place, and nothing ended it but perhaps time."""
        return self._known.get(lease.credential) is lease

    async def find(self, credential: str) -> Lease | None:
        """Find the last lease, live or lapsed. Another process may have renewed what lapsed here."""
        if (known := self.at_hand(credential)) is not None:
            self._known.move_to_end(credential)
            return known
        shared = _read(credential, await self._shelf.get(f"lease:{credential}"))
        return self._remember(shared) if shared is not None else self._known.get(credential)

    async def renew(self, credential: str, account: str) -> None:
        """Begin a new term; told to the other processes when a tenth of the old one is over."""
        lease = Lease(credential, account, self._clock() + self._term)
        known = self._known.get(credential)
        if known is not None and known.account == account and lease.until - known.until < self._term / 10:
            return
        self._remember(lease)
        await self._shelf.put(f"lease:{credential}", orjson.dumps([account, lease.until]), _KEPT)

    async def end(self, credential: str) -> None:
        """Forget the credential: Jira did not accept it."""
        self._known.pop(credential, None)
        await self._shelf.drop(f"lease:{credential}")

    def _remember(self, lease: Lease) -> Lease:
        self._known[lease.credential] = lease
        self._known.move_to_end(lease.credential)
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return lease


def _read(credential: str, value: bytes | None) -> Lease | None:
    if value is None:
        return None
    try:
        account, until = orjson.loads(value)
        return Lease(credential, str(account), float(until))
    except (ValueError, TypeError):
        return None
