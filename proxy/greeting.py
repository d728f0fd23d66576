"""What a client says in the headers of a request, and what follows from them alone.

Clients say the same with each request. So headers that come again to the byte are read only once, which took a fifth
of what is done before Jira is asked; those that name each request, or a trace of it, are read each time.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

from aiohttp import web

from policies.callers import Caller, known_by
from policies.headers import end_to_end
from policies.links import Site
from proxy.signin import COOKIE, without_cookie
from proxy.stores.lru import Lru
from proxy.upstream import joined, texts

MAX_BYTES = 1024 * 1024
"""Room for the headers that are remembered: those of some hundred clients."""

_LONGEST = 8192  # bytes of headers worth remembering
_AROUND = 1536  # what CPython spends on what was read of some headers, about ...
_A_HEADER = 400  # ... and on each of them
_TIMES = 3  # as often the bytes of a header are held: as they came, for Jira, and for the law

_Raw = tuple[tuple[bytes, bytes], ...]


class Tenant(Protocol):
    """Knows by which address a client finds it (proxy.tenants)."""

    @property
    def name(self) -> str: ...

    def site(self, scheme: str, headers: Mapping[str, str]) -> Site:
        """Map links for a client who came by `scheme` and said `headers`."""


class Greeting:
    """The headers of a request to `host`: as `pairs` that may travel on, and as the law sees them.

    What Connection names does not reach Jira, so it must not decide whose answer this is nor where it is kept.
    """

    __slots__ = ("_callers", "_sites", "headers", "pairs")

    def __init__(self, said: Iterable[tuple[str, str]], host: str) -> None:
        pairs = texts(said)
        if any(COOKIE in value for name, value in pairs if name.lower() == "cookie"):
            pairs = without_cookie(pairs)
        self.pairs = end_to_end(pairs)
        self.headers: Mapping[str, str] = joined(self.pairs) | {"host": host}
        self._callers: dict[bytes, Caller] = {}
        self._sites: dict[tuple[str, str], Site] = {}

    def caller(self, secret: bytes) -> Caller:
        """Tell who asks, as far as headers tell it (policies.callers)."""
        caller = self._callers.get(secret)
        if caller is None:
            caller = self._callers[secret] = known_by(self.headers, secret)
        return caller

    def site(self, tenant: Tenant, scheme: str) -> Site:
        """Map links of a tenant's Jira for this client, who came by `scheme`."""
        site = self._sites.get((tenant.name, scheme))
        if site is None:
            site = self._sites[tenant.name, scheme] = tenant.site(scheme, self.headers)
        return site


class Greetings:
    """Reads the headers of requests, and remembers those read lately."""

    def __init__(self) -> None:
        self._known: Lru[tuple[_Raw, str], Greeting] = Lru(MAX_BYTES)

    def read(self, request: web.BaseRequest, host: str) -> Greeting:
        """Read the headers of a request to `host`."""
        raw = request.raw_headers
        known = self._known.get((raw, host))
        if known is None:
            known = Greeting(request.headers.items(), host)
            size = sum(len(name) + len(value) for name, value in raw)
            if size <= _LONGEST:
                self._known.put((raw, host), known, _TIMES * size + _A_HEADER * len(raw) + _AROUND)
        return known
