"""A ledger of what was asked of Jira, what that costs of its quota, and what was not asked because it was cached.

It is kept by caller's hash and by type. Types go to the metrics; of the callers, whose number nothing bounds, only
those who ask most are told of.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

_REMEMBERED = 1000  # callers; who was not seen for longest is forgotten, but stays counted by type
_SHOWN = 12  # hex digits of a caller's hash


@dataclass(frozen=True, slots=True)
class Account:
    """What calls were made, what points (1 for a call, 1 for each object) they cost, and what calls were saved."""

    calls: int = 0
    points: int = 0
    saved: int = 0

    def __add__(self, other: "Account") -> "Account":
        return Account(self.calls + other.calls, self.points + other.points, self.saved + other.saved)


Count = Callable[[str, Account], None]


class Spending:
    """The ledger of one tenant. `count` is told of what was entered, by type, when that is settled.

    Each call enters something twice: to add a number is all that is done at once.
    """

    def __init__(self, count: Count) -> None:
        self._count = count
        self._callers: OrderedDict[str, defaultdict[str, Account]] = OrderedDict()
        self._entered: defaultdict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])  # as in an Account

    def called(self, caller: str, type_: str) -> None:
        """Enter a call."""
        entered = self._entered[caller, type_]
        entered[0] += 1
        entered[1] += 1

    def read(self, caller: str, type_: str, objects: int) -> None:
        """Enter the objects that the answer to a call showed."""
        self._entered[caller, type_][1] += objects

    def saved(self, caller: str, type_: str, times: int = 1) -> None:
        """Enter a question that was answered so many times without a call."""
        self._entered[caller, type_][2] += times

    def settle(self) -> None:
        """Put what was entered to the accounts."""
        entered = tuple(self._entered.items())
        self._entered.clear()
        for (caller, type_), numbers in entered:
            self._put(caller, type_, Account(*numbers))

    def callers(self, most: int = 10) -> list[dict[str, Any]]:
        """Tell of those callers who ask most, of each by type."""
        self.settle()
        asked = sorted(self._callers.items(), key=lambda item: _asked(item[1]), reverse=True)[:most]
        return [
            {"caller": caller[:_SHOWN], "types": {type_: asdict(account) for type_, account in accounts.items()}}
            for caller, accounts in asked
        ]

    def _put(self, caller: str, type_: str, account: Account) -> None:
        self._count(type_, account)
        accounts = self._callers.setdefault(caller, defaultdict(Account))
        accounts[type_] += account
        self._callers.move_to_end(caller)
        if len(self._callers) > _REMEMBERED:
            self._callers.popitem(last=False)


def _asked(accounts: Mapping[str, Account]) -> int:
    return sum(account.calls + account.saved for account in accounts.values())
