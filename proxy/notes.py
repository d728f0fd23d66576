"""What is known of a request by the time it is answered, for metrics and for the line that the log has of it."""

import re
from dataclasses import dataclass, field
from random import getrandbits
from sys import intern
from typing import NamedTuple

from policies.model import Why

SHORT, _SHORT_KEY = 8, 16  # hex digits: enough to tell callers apart, and keys among millions
_REQUEST_ID = re.compile(r"[!-~]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header: version, trace, parent, flags; later versions may say more.
_TRACEPARENT = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?")


@dataclass(slots=True)
class Notes:
    """Filled in on the request's way. None is what does not apply, or what nobody found out.

    `caller` and `key` are keyed hashes, cut short; `upstream` is for how many seconds Jira was waited for, and `points`
    what the answer took of Jira Cloud's quota; `age` is how many seconds old the answer was; `extra` is what a webhook
    adds.
    """

    tenant: str = "-"
    type: str = "other"
    route: str = "-"
    caller: str | None = None
    key: str | None = None
    upstream: float | None = None
    points: int | None = None
    age: float | None = None
    request_id: str | None = None
    trace_id: str | None = None
    extra: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request_id: str | None, traceparent: str | None) -> "Notes":
        """Begin with what the client calls its request: the values of X-Request-Id and traceparent, where they are."""
        given = request_id if request_id and _REQUEST_ID.fullmatch(request_id) else None
        trace = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
        return cls(request_id=given, trace_id=trace[1] if trace else None)

    def named(self) -> str:
        """Name the request: as its client did, else by a name of our own that it keeps from now on."""
        if self.request_id is None:
            self.request_id = f"{getrandbits(128):032x}"
        return self.request_id

    def asked_by(self, credential: str) -> None:
        """Note the hash of who asks."""
        self.caller = intern(credential[:SHORT])  # counted by, again and again

    def asked_for(self, key: str) -> None:
        """Note the key of the answer: the hash at its end, which alone tells nothing of what it is about."""
        self.key = key.rpartition(":")[2][:_SHORT_KEY]

    def waited(self, seconds: float) -> None:
        """Note time that was spent on Jira."""
        self.upstream = (self.upstream or 0.0) + seconds


class Answered(NamedTuple):
    """How a request was answered: `size` is bytes of the body sent, `seconds` how long it took."""

    method: str
    status: int
    why: Why
    size: int
    seconds: float
