"""The issues that changed lately, which Jira's index may not know yet."""

from collections import OrderedDict
from collections.abc import Callable, Iterable

_BY_ID = "issue:"


class Recent:
    """Numeric ids of issues changed within the last `term` seconds of `clock`; at most `most`, the latest."""

    def __init__(self, clock: Callable[[], float], *, term: float = 120.0, most: int = 50) -> None:
        self._clock = clock
        self._term = term
        self._most = most
        self._changed: OrderedDict[str, float] = OrderedDict()

    def note(self, tags: Iterable[str]) -> None:
        """Note the issues that a change's tags name by id."""
        now = self._clock()
        for tag in tags:
            number = tag.removeprefix(_BY_ID)
            if tag.startswith(_BY_ID) and number.isdigit():
                self._changed[number] = now
                self._changed.move_to_end(number)
        while len(self._changed) > self._most:
            self._changed.popitem(last=False)

    def ids(self) -> list[str]:
        """List the ids, the latest first."""
        since = self._clock() - self._term
        return [number for number, changed in reversed(self._changed.items()) if changed >= since]
