"""The composition root: the only place that knows everything."""

import asyncio
import logging
import os
import random
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from policies.callers import keyed_hash
from policies.channel import Terms
from policies.model import EVERYTHING
from policies.names import Names
from policies.rulebook import Rulebook
from proxy import config as configuration
from proxy import upstream
from proxy.access import AccessLog
from proxy.admin import Admin
from proxy.admission import Admission
from proxy.answers import Renderer
from proxy.changes import Changes
from proxy.clock import Steady
from proxy.echoing import repeat_forever
from proxy.errors import StoreError
from proxy.events import Events
from proxy.framing import Bounds
from proxy.front import Front
from proxy.gauges import Gauge, read
from proxy.governor import Environment, Governor
from proxy.guard import Guard
from proxy.health import Health
from proxy.history import History
from proxy.holds import Holds
from proxy.inspection import Inspector
from proxy.journey import Crew, Journey
from proxy.lane import Lane
from proxy.lane_check import known
from proxy.leases import Leases
from proxy.metrics import Metrics, Usage
from proxy.poll import Poll
from proxy.purge import Purger, Purges
from proxy.ratelimit import RateLimit
from proxy.recent import Recent
from proxy.record import Recorder
from proxy.redis_figures import RedisFigures
from proxy.repair import Repair
from proxy.report import Report
from proxy.rules import edition, rulebook
from proxy.schema import Config
from proxy.schema import Repair as RepairConfig
from proxy.schema import Tenant as TenantConfig
from proxy.secret import secret_of
from proxy.service import AsyncCacheService, Memory
from proxy.signin import SignIn
from proxy.spending import Account, Spending
from proxy.stats import Stats
from proxy.stores.clients import AsyncClient, is_cluster
from proxy.stores.failopen import FailOpen
from proxy.stores.memory import MemoryStore
from proxy.stores.redis import RedisStore, connect
from proxy.stores.sealing import Sealing
from proxy.stores.tiered import Tiered
from proxy.stores.wakeups import Wakeups
from proxy.tally import Tally
from proxy.tenants import Tenant, Tenants
from proxy.tracing import tracing_of
from proxy.trip import Travel
from proxy.watch import Watch
from proxy.webhooks import Desk, Lately, Webhooks

log = logging.getLogger(__name__)

_RULES, _RULES_KEPT = "rules", 400 * 86_400.0
_COMPLAINT_EVERY = 60.0  # seconds; the metric counts each failure
# Of the memory for answers, a half is for the answers themselves, a quarter for their bodies as clients get them, and a
# quarter for the fast lane.
_READY = 4
# Jira Cloud: its answers always name the account, so that one without a name proves nothing from the first.
_CLOUD = (".atlassian.net", "api.atlassian.com", ".jira.com")


@dataclass(frozen=True, slots=True)
class Rules:
    """What a reload changes."""

    config: Config
    rulebook: Rulebook


class App:
    """All parts, put together; not listening yet.

    Of several processes that answer together, those that were started by another one have its `secret`; that one shows
    what all have counted, in `counts` (proxy.metrics).
    """

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        *,
        steady: Callable[[], float] | None = None,
        secret: bytes | None = None,
        counts: Path | None = None,
    ) -> None:
        self.config = config
        self._clock = clock
        self._sleep = sleep
        self._draw = draw
        self._steady = steady or Steady()
        self._began = time.monotonic()
        self.metrics = Metrics(counts)
        self._environ = environ
        self.tracing = tracing_of(environ)
        self.secret = secret or secret_of(config, environ)
        self._rulebook = rulebook(config)
        self._redis = None if config.store.url.startswith("memory://") else _redis(config)
        self._room = config.store.max_bytes // 2 // len(config.tenants)
        self._wakeups = Wakeups(self._redis) if self._redis is not None else None
        self.redis_figures = None if self._redis is None else RedisFigures(self._redis)
        if self.redis_figures is not None:
            self.metrics.consult(self.redis_figures, self.redis_figures.ask)
        self.tally = Tally(str(os.getpid()), self._how_it_is, clock)
        self._recorder = recorder = Recorder(self.metrics, AccessLog(config.log), self.tally, clock, self.tracing)
        self.metrics.keep(recorder.flush)
        self.tally.keep(recorder.flush)
        self.history = History()
        self.events = Events(self.history)
        self._gauges: dict[str, Gauge] = {}
        self._held: dict[str, MemoryStore | Tiered | None] = {}
        self.stores = {name: self._store(name) for name in config.tenants}
        self._upstreams: list[upstream.Upstream] = []
        self._changes: list[Changes] = []
        self._complained = -_COMPLAINT_EVERY
        self._desks: dict[str, Desk] = {}
        self.watches: dict[str, Watch] = {}
        self.repairs: dict[str, Repair] = {}
        self.governors: dict[str, Governor] = {}
        self._purgers: dict[str, Purger] = {}
        self.tenants = Tenants([self._tenant(name, tenant) for name, tenant in config.tenants.items()])
        self.health = Health(lambda part: (str(told["state"]) for told in self._parts()[part].values()))
        self.webhooks = Webhooks(
            self._desks, self._rulebook, self.metrics, max_body=config.limits.max_body, clock=clock
        )
        guard = _guard(config, recorder)
        self.front = Front(
            self.tenants,
            self.health,
            self.webhooks,
            recorder,
            guard,
            lane=self._lane(guard),
            prefix=config.prefix,
            patience=config.store.timeout,
            tracing=self.tracing,
        )
        self.admin = self._admin()

    def read_anew(self) -> "Rules":
        """Read policies and routes anew. ConfigError if the file is bad; nothing changes yet."""
        config = configuration.read(self.config.file, self._environ, **self.config.flags)
        rules = Rules(config, rulebook(config))
        if waiting := configuration.waiting(self.config, config):
            log.warning("changed in the file, but only a restart can take it over: %s", ", ".join(waiting))
        return rules

    async def follow(self, rules: "Rules") -> None:
        """Go by other policies and routes from the next request on."""
        self.take(rules)
        await self.adopt(edition(rules.config))

    def take(self, rules: "Rules") -> None:
        """Go by other policies and routes, and leave what was kept by the former ones to another process."""
        for tenant in self.tenants.all:
            tenant.journey.follow(rules.rulebook)
        for changes in self._changes:
            changes.follow(rules.config.policies["search"].settle)
        self.webhooks.follow(rules.rulebook)
        self._rulebook = rules.rulebook

    async def adopt(self, rules: bytes) -> None:
        """Make old what was kept by another edition of the rules: it may lack tags that changes hit from now on."""
        for store in self.stores.values():
            if await store.get(_RULES) != rules:
                with suppress(StoreError):  # a debt, which is paid before anything is served
                    await store.invalidate({EVERYTHING})
                await store.put(_RULES, rules, _RULES_KEPT)

    def _parts(self) -> dict[str, dict[str, Mapping[str, object]]]:
        """Tell how each part of each tenant is in this process."""
        return {
            "stores": {name: {"state": store.state} for name, store in self.stores.items()},
            "webhooks": {name: watch.report() for name, watch in self.watches.items()},
            "upstreams": {name: governor.report() for name, governor in self.governors.items()},
        }

    def _how_it_is(self) -> dict[str, Any]:
        return read(self._gauges, None if self.redis_figures is None else self.redis_figures.told)

    def loops(self) -> list[Coroutine[Any, Any, None]]:
        """Make what runs in each process that hears of changes."""
        surveys = [changes.keep_up() for changes in self._changes]
        return [*surveys, *(self.watches[name].keep_up() for name in self.repairs)]

    def duties(self) -> list[Coroutine[Any, Any, None]]:
        """Make what has to run once for all processes that share this one's configuration."""
        echoes = [repeat_forever(store) for store in self.stores.values()]
        figures = [] if self.redis_figures is None else [self.redis_figures.keep_asking()]
        return [*echoes, *figures, *(repair.run() for repair in self.repairs.values()), self._watch_over()]

    async def _watch_over(self) -> None:
        """Tell whoever watches how this process does, and what others have told of themselves."""

        def hand_over(report: Report) -> None:
            self.events.take_in(report)
            self.events.tick()

        await self.tally.report(hand_over)

    def _catch_up(self) -> None:
        self.events.take_in(self.tally.take())

    async def close(self, patience: float) -> None:
        """Finish what is under way, within `patience` seconds, and let go of connections."""
        journeys = [tenant.journey.close(patience) for tenant in self.tenants.all]
        await asyncio.gather(*journeys, self.webhooks.close(patience))
        self._recorder.flush()
        for jira in self._upstreams:
            await jira.close()
        for store in self.stores.values():
            await store.close()
        if self.tracing is not None:
            await self.tracing.close()

    def _lane(self, guard: Guard) -> Lane | None:
        if not self.config.fast_lane or not known(guard):
            return None
        return Lane(self._recorder, self._clock, self.config.store.max_bytes // _READY)

    def _store(self, tenant: str) -> FailOpen:
        backend = self._backend(tenant)
        self._held[tenant] = None if isinstance(backend, RedisStore) else backend
        if not isinstance(backend, RedisStore):
            self.metrics.watch(tenant, lambda: Usage(len(backend), backend.weight, backend.evictions))
        return FailOpen(backend, clock=time.monotonic, on_error=self._store_failed)

    def _backend(self, tenant: str) -> MemoryStore | RedisStore | Tiered:
        store = self.config.store
        if self._redis is None:
            return MemoryStore(max_bytes=self._room, clock=time.monotonic)
        far = RedisStore(
            self._redis,
            tenant,
            cluster=is_cluster(self._redis),
            wakeups=self._wakeups,
            sealing=Sealing(self.secret, tenant) if store.seals else None,
            on_unreadable=self._store_errors("unpack"),
        )
        if store.coherence == "strict" or store.max_lag <= 0:
            return far
        return Tiered(far, max_bytes=self._room, max_lag=store.max_lag, clock=time.monotonic, unix=self._clock)

    def _store_errors(self, operation: str) -> Callable[[], None]:
        return lambda: self.metrics.store_errors.labels(operation).inc()

    def _store_failed(self, operation: str) -> None:
        self.metrics.store_errors.labels(operation).inc()
        if time.monotonic() < self._complained + _COMPLAINT_EVERY:
            return
        self._complained = time.monotonic()
        log.warning("the store failed; requests go to Jira instead", extra={"operation": operation})

    def _tenant(self, name: str, settings: TenantConfig) -> Tenant:
        return Tenant(
            name=name,
            hosts=frozenset(settings.hosts),
            path_prefix=settings.path_prefix,
            upstream=settings.upstream,
            public_url=settings.public_url,
            journey=Journey(self._crew(name, settings)),
        )

    def _crew(self, name: str, settings: TenantConfig) -> Crew:
        config, store = self.config, self.stores[name]
        jira = upstream.connect(
            settings.upstream,
            config.timeouts,
            ca_file=settings.ca_file,
            environ=self._environ,
            observe=self._observer(name),
            tracing=self.tracing,
        )
        self._upstreams.append(jira)
        governor = self.governors[name] = self._governor(name, settings, jira)
        names, recent = Names(), Recent(time.monotonic)
        settle = self.config.policies["search"].settle
        changes = Changes(store, names, recent, settle, self._teller(name))
        self._changes.append(changes)
        watch = self._watch(name, settings.repair)
        if settings.repair.credential is not None:
            self.repairs[name] = self._repair(name, settings, governor, changes, names)
        seen = Lately(time.monotonic) if settings.webhook_secret is None else store
        self._desks[name] = Desk(settings.webhook_secret, changes, seen, watch)
        self._purgers[name] = Purger(store, changes, names)
        leases = Leases(store, settings.lease, self._steady, outage_term=settings.outage_lease)
        # A store may outlive a change of the upstream, or serve another deployment's tenant of this name: what one Jira
        # said must not be another's answer, nor whom it let in the other's lease.
        secret = keyed_hash(self.secret, "upstream", settings.upstream).encode()
        travel = Travel(
            governor=governor,
            store=store,
            landings=store,
            leases=leases,
            names=names,
            recent=recent,
            trusted_since=watch.trusted_since,
            secret=secret,
            site_names=_on_cloud(settings.upstream),
            max_body=config.limits.max_body,
            total=config.timeouts.total,
            clock=self._clock,
        )
        return Crew(
            rulebook=self._rulebook,
            store=store,
            changes=changes,
            watch=watch,
            leases=leases,
            governor=governor,
            travel=travel,
            renderer=Renderer(config.store.max_bytes // _READY // len(config.tenants)),
            secret=secret,
            encrypt=config.store.seals,
            max_body=config.limits.max_body,
            limit=self._limit(name),
            seen=lambda caller: self.tally.seen(name, caller),
            clock=self._clock,
            draw=self._draw,
        )

    def _governor(self, tenant: str, settings: TenantConfig, jira: upstream.Upstream) -> Governor:
        count = self.metrics.governed
        environment = Environment(self._clock, self._sleep, self._draw, lambda event: count.labels(tenant, event).inc())
        holds, spending = Holds(self.stores[tenant], self._clock, self._draw), Spending(self._spender(tenant))
        self._recorder.keep(spending.settle)
        total = self.config.timeouts.total
        governor = Governor(jira, holds, spending, settings.governor, environment, total=total)
        self.metrics.govern(tenant, governor)
        return governor

    def _spender(self, tenant: str) -> Callable[[str, Account], None]:
        metrics = self.metrics

        def spent(type_: str, account: Account) -> None:
            if account.saved:
                metrics.saved.labels(tenant, type_).inc(account.saved)
            if account.points:
                metrics.calls.labels(tenant, type_).inc(account.calls)
                metrics.points.labels(tenant, type_).inc(account.points)
                self.tally.points(tenant, type_, account.points)

        return spent

    def _limit(self, tenant: str) -> RateLimit | None:
        limits = self.config.limits
        client, address = limits.client_requests_per_minute, limits.address_requests_per_minute
        if client is None and address is None:
            return None
        failed = self._store_errors("count")
        cache = self._cache(f"tenant:{tenant}")
        return RateLimit(cache, client, address, self.secret, clock=time.monotonic, on_error=failed)

    def _cache(self, namespace: str) -> AsyncCacheService:
        """Make a service over the Redis of the answers; without one, over a memory of its own."""
        return AsyncCacheService(Memory() if self._redis is None else self._redis, namespace, on_error="raise")

    def _watch(self, tenant: str, repair: RepairConfig) -> Watch:
        terms = None if repair.credential is None else Terms(repair.interval, repair.overlap)
        delay = self.metrics.webhook_delay.labels(tenant).observe
        watch = self.watches[tenant] = Watch(self.stores[tenant], terms, self._clock, delay)
        healthy = self.metrics.webhooks_healthy.labels(tenant)
        self.metrics.keep(lambda: healthy.set(watch.trusted_since() is not None))
        self._gauges[tenant] = Gauge(
            state=lambda: self.stores[tenant].state,
            held=self._held[tenant],
            room=self._room,
            channel=watch.report,
            limits=self.governors[tenant].report,
        )
        return watch

    def _repair(
        self, tenant: str, settings: TenantConfig, governor: Governor, changes: Changes, names: Names
    ) -> Repair:
        def count(outcome: str, missed: int) -> None:
            self.metrics.repair_polls.labels(tenant, outcome).inc()
            self.metrics.webhooks_missed.labels(tenant).inc(missed)

        return Repair(
            tenant,
            poll=Poll(
                governor, settings.repair.credential or "", cloud=_on_cloud(settings.upstream), clock=self._clock
            ),
            watch=self.watches[tenant],
            changes=changes,
            names=names,
            shelf=self.stores[tenant],
            terms=Terms(settings.repair.interval, settings.repair.overlap),
            clock=self._clock,
            count=count,
        )

    def _admin(self) -> Admin:
        stats = Stats(self.metrics, self.stores, self.governors)
        return Admin(
            self.config.admin.token,
            metrics=self.metrics,
            stats=lambda: stats.tell(time.monotonic() - self._began),
            purges=Purges(self._purgers, lambda: self._rulebook),
            explain=Inspector(
                self.config,
                self.tenants,
                rulebook=lambda: self._rulebook,
                history=self.history,
                catch_up=self._catch_up,
                clock=self._clock,
            ).explain,
            sign_in=SignIn(self._cache("admin")),
            events=self.events,
            parts=self._parts,
        )

    def _teller(self, tenant: str) -> Callable[[str, frozenset[str]], None]:
        def tell(source: str, tags: frozenset[str]) -> None:
            self.metrics.invalidations.labels(tenant, source).inc()
            self.tally.change(tenant, source, tags)

        return tell

    def _observer(self, tenant: str) -> Callable[[str, float], None]:
        uncounted = defaultdict[str, list[float]](list)

        def observe(status: str, seconds: float) -> None:
            uncounted[status].append(seconds)

        def count() -> None:
            taken = tuple(uncounted.items())
            uncounted.clear()
            for status, seconds in taken:
                self.metrics.upstream.labels(tenant, status).inc(len(seconds))
                self.metrics.upstream_seconds.labels(tenant).observe_all(seconds)
                self.tally.upstream(tenant, status, seconds)

        self._recorder.keep(count)
        return observe


def _guard(config: Config, recorder: Recorder) -> Guard:
    limits, timeouts = config.limits, config.timeouts
    bounds = Bounds(limits.max_header, limits.max_upload, timeouts.client_header, timeouts.client_body)
    return Guard(bounds, Admission(limits.connections, limits.connections_per_address), timeouts.keep_alive, recorder)


def _on_cloud(upstream_url: str) -> bool:
    return (urlsplit(upstream_url).hostname or "").endswith(_CLOUD)


def _redis(config: Config) -> AsyncClient:
    store = config.store
    return connect(store.url, max_connections=store.max_connections, timeout=store.timeout)
