"""What a client asks of the cache, when it is known which answer would do and whose it is."""

from collections.abc import Callable
from dataclasses import dataclass

from policies.callers import Anonymous, Credentialed
from policies.links import Site
from policies.model import Read, Request
from policies.rulebook import Rulebook

_Pairs = list[tuple[str, str]]


def _unlocked(_account: str) -> bytes:
    return b""


@dataclass(frozen=True, slots=True)
class Question:
    """A cacheable request, the `rules` by which it is one, and who asks it.

    `key` is where its answer would be; `leased` tells that Jira accepted the caller lately, `outage_leased` that it did
    so lately enough to be believed while Jira is down. Until it has, or when the question must be asked `apart` for
    another reason, only the same caller may share the trip. `variant` is what ends the key of an answer that is not the
    first one kept, where the origin chooses among several (policies.vary). Nobody waits for an answer in the
    `background`.
    """

    request: Request
    read: Read
    rules: Rulebook
    caller: Anonymous | Credentialed
    account: str
    leased: bool
    outage_leased: bool
    key: str
    headers: _Pairs
    trail: Callable[[], _Pairs]
    site: Site
    apart: bool = False
    variant: str = ""
    background: bool = False
    lock: Callable[[str], bytes] = _unlocked  # what opens the answers that an account has for this caller's credential

    @property
    def flight(self) -> str:
        """Name the trip that answers this question."""
        if isinstance(self.caller, Credentialed) and (self.apart or not self.leased):
            return f"{self.key} {self.caller.credential}"
        return self.key
