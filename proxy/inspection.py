"""What would be answered to a question now, and why: the rulebook's words, and the store's state beside them.

Nothing is asked of Jira, and nothing changes by asking. A caller is chosen among those that were seen lately, by the
hash that the log shows; no credential is needed, nor shown.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from policies.callers import Anonymous, Credentialed
from policies.canon_query import canonical_query
from policies.decide import Decision, Fetch, Forward, Refuse, Serve, age_of
from policies.model import Entry, Request, Scope
from policies.paths import segments
from policies.rulebook import Rulebook
from proxy.explain import request_of, tell
from proxy.greeting import Greeting
from proxy.history import History
from proxy.incoming import Body, Incoming
from proxy.journey import Foreseen, Sealed
from proxy.schema import Config
from proxy.tenants import Tenant, Tenants
from proxy.units import shown
from proxy.words import cause, meaning

ANONYMOUS = "anonymous"
"""Who shows no credential."""

_DOES: Mapping[type[Decision], str] = {Serve: "serve", Fetch: "fetch", Forward: "forward", Refuse: "refuse"}
_ACCEPT = {"accept": "application/json"}


class InspectionError(ValueError):
    """A question of which it cannot be told whose it is. The message says why, in one line."""


class Inspector:
    """Explains requests to all tenants.

    `rulebook` tells the one in force, `clock` Unix time; `catch_up` has `history` know what this process has just seen.
    """

    def __init__(
        self,
        config: Config,
        tenants: Tenants,
        *,
        rulebook: Callable[[], Rulebook],
        history: History,
        catch_up: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._config = config
        self._tenants = tenants
        self._rulebook = rulebook
        self._history = history
        self._catch_up = catch_up
        self._clock = clock

    async def explain(self, method: str, address: str, tenant: str | None, caller: str | None) -> dict[str, Any]:
        """Say what is done with a request, and with `caller` also what would be answered to that one now.

        Raises MalformedLineError and InspectionError.
        """
        self._catch_up()
        where, relative = self._whose(address, tenant)
        request = request_of(f"{method} {relative}", self._config)
        told = tell(self._rulebook(), request)
        told |= {"tenant": where.name, "meaning": meaning(told["why"])}
        if caller is None:
            return told | {"causes": _causes(told["tags"])}
        who = self._caller(where, caller)
        foreseen = await where.journey.foresee(_hypothetical(where, request), who)
        if isinstance(foreseen, Sealed):
            raise InspectionError("what is kept for this caller is encrypted by their credential: nobody else can look")
        now = None if foreseen is None else self._now(where, request, foreseen)
        entry = now and now["entry"]
        return told | {"caller": caller, "now": now, "causes": _causes(entry["tags"] if entry else told["tags"])}

    def _whose(self, address: str, name: str | None) -> tuple[Tenant, str]:
        """Find the tenant of an address, by Jira's own or by how clients reach it, and what the tenant sees of it."""
        if name is not None and self._tenants.named(name) is None:
            raise InspectionError(f"tenant {shown(name)} is not known")
        wanted = [tenant for tenant in self._tenants.all if name in {None, tenant.name}]
        for tenant in wanted:
            if address.startswith(f"{tenant.upstream}/"):
                return tenant, address.removeprefix(tenant.upstream)
        url = urlsplit(address)
        found = wanted[0] if len(wanted) == 1 else self._tenants.find(url.netloc, url.path)
        if found is None:
            raise InspectionError(f"which tenant? (known: {', '.join(tenant.name for tenant in wanted)})")
        below = found.path_prefix and f"{url.path}/".startswith(f"{found.path_prefix}/")
        return found, address.replace(found.path_prefix, "", 1) if below else address

    def _caller(self, tenant: Tenant, name: str) -> Anonymous | Credentialed:
        if name == ANONYMOUS:
            return Anonymous()
        known = self._history.caller(tenant.name, name)
        if known is None:
            raise InspectionError(f"caller {shown(name)} was not seen lately")
        return known

    def _now(self, tenant: Tenant, request: Request, foreseen: Foreseen) -> dict[str, Any]:
        question, decision = foreseen.question, foreseen.decision
        kind, _, variant = question.key.rpartition(":")
        return {
            "does": _DOES[type(decision)],
            "why": decision.why.word,
            "meaning": meaning(decision.why.word),
            "accepted": question.leased,
            "key": {
                "name": kind,
                "variant": variant,
                "shared_by": _shared_by(question.read.policy.scope, question.caller, question.account),
                "query": canonical_query(request.query, segments(request.path) or ()),
            },
            "entry": None if foreseen.entry is None else self._entry(tenant, foreseen, foreseen.entry),
        }

    def _entry(self, tenant: Tenant, foreseen: Foreseen, entry: Entry) -> dict[str, Any]:
        return {
            "status": entry.status,
            "bytes": len(entry.body),
            "coding": entry.coding,
            "age": age_of(entry.stored, self._clock()),
            "left": foreseen.left,
            "alive": foreseen.alive,
            "tags": sorted(entry.tags),
            "made_old_by": None if foreseen.alive else self._history.culprit(tenant.name, entry.tags, entry.stored),
        }


def _hypothetical(tenant: Tenant, request: Request) -> Incoming:
    """Make up a client who asks a question, and says nothing else of note."""

    async def nothing() -> bytes:
        return b""

    asked = replace(request, headers=_ACCEPT)
    greeting = Greeting(_ACCEPT.items(), host="")
    return Incoming(asked, greeting, Body(nothing, present=False), tenant.site("http", {}), "unknown", "http")


def _shared_by(scope: Scope, caller: Anonymous | Credentialed, account: str) -> str:
    """Say with whom the answer is shared, as policies.callers.partition has it."""
    if isinstance(caller, Anonymous):
        return "all who show no credential"
    if scope is Scope.CREDENTIAL or not account:
        return "nobody else: this credential only"
    return "all that Jira accepts" if scope is Scope.TENANT else "this account, whatever the credential"


def _causes(tags: Iterable[str]) -> dict[str, str]:
    return {tag: cause(tag) for tag in tags}
