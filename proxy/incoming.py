"""A client's request as the journey gets it: the law's view of it, the body still on the way, and whence it came."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

from policies.callers import Caller, named_in
from policies.links import Site
from policies.model import Request
from proxy.greeting import Greeting
from proxy.notes import Notes

Read = Callable[[], Awaitable[bytes]]

VIA = "1.1 jira-cache"


class Body:
    """A request's body: `peek` looks at a small one, `stream` gives all of it on, peeked or not."""

    def __init__(self, read: Read, *, present: bool) -> None:
        self._read = read
        self.present = present
        self._peeked = b""
        self._ended = not present

    async def peek(self, limit: int) -> bytes | None:
        """Read the body whole if it has at most `limit` bytes; None if it has more."""
        parts = [self._peeked]
        size = len(self._peeked)
        while not self._ended and size <= limit:
            chunk = await self._read()
            self._ended = not chunk
            size += len(chunk)
            parts.append(chunk)
        self._peeked = b"".join(parts)
        return self._peeked if self._ended and size <= limit else None

    async def stream(self) -> AsyncIterator[bytes]:
        """Give the body on, piece by piece, from its beginning. To be called once."""
        if self._peeked:
            yield self._peeked
        while not self._ended:
            chunk = await self._read()
            if chunk:
                yield chunk
            self._ended = not chunk

    def rest(self) -> "bytes | AsyncIterator[bytes] | None":
        """Give the body in the simplest form that sending needs."""
        if not self.present:
            return None
        return self._peeked if self._ended else self.stream()


@dataclass(frozen=True, slots=True)
class Incoming:
    """One request. `greeting` is what its headers say, `peer` the client's address, `site` maps links for it.

    `notes` is what the log line will say.
    """

    request: Request
    greeting: Greeting
    body: Body
    site: Site
    peer: str
    scheme: str
    notes: Notes = field(default_factory=Notes)

    def header(self, name: str) -> str:
        """Return the value of a header, by its lower-case name; "" where it is absent."""
        return self.request.headers.get(name, "")

    def caller(self, secret: bytes) -> Caller:
        """Tell who asks (policies.callers)."""
        return named_in(self.request.query) or self.greeting.caller(secret)

    def trail(self) -> list[tuple[str, str]]:
        """Say which request this is, and which way it came (RFC 9110 section 7.6.3, and the customs of X- headers)."""
        before = self.header("x-forwarded-for")
        came = f"{before}, {self.peer}" if before else self.peer
        return [("Via", VIA), ("X-Forwarded-For", came), ("X-Request-Id", self.notes.named())]
