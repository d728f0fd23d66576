"""How many connections clients may hold: in all, and from one address."""

from collections import Counter

from proxy.addresses import neighbourhood
from proxy.refusals import Refusal


class Admission:
    """Counts the connections of one process. None: any number."""

    def __init__(self, most: int | None, most_per_address: int | None) -> None:
        self._most = most
        self._most_per_address = most_per_address
        self._held: Counter[str] = Counter()
        self.total = 0

    def __repr__(self) -> str:
        return f"<Admission {self.total} connections from {len(self._held)} addresses>"

    def enter(self, address: str) -> Refusal | None:
        """Let a connection in, which then has to `leave`; or tell why not."""
        if self._most is not None and self.total >= self._most:
            return Refusal.FULL
        who = neighbourhood(address)
        if self._most_per_address is not None and self._held[who] >= self._most_per_address:
            return Refusal.ADDRESS_FULL
        self.total += 1
        self._held[who] += 1
        return None

    def leave(self, address: str) -> None:
        """Forget a connection that was let in."""
        who = neighbourhood(address)
        self.total -= 1
        self._held[who] -= 1
        if not self._held[who]:
            del self._held[who]
