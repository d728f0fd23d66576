"""Settings that a start accepts and that somebody may come to regret. What cannot work is refused by proxy.config."""

import ipaddress
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

import redis

from policies.model import Scope
from proxy.schema import POLICIES, Config, PolicyRow, Tenant
from proxy.units import duration, spell

_PLAIN = ("redis", "rediss", "unix")
_LONG_LEASE = 3600.0
_SAME_FOR_ALL = frozenset({"media", "server"})
_UNANNOUNCED = "permission"
_OF_ONES_OWN = "5m"  # what a type of the operator's own is measured by


class Risk(NamedTuple):
    """A setting, by its key, and why to think again."""

    key: str
    why: str


def risks(config: Config) -> Iterator[Risk]:
    """Find them in the configuration alone."""
    yield from _listeners(config)
    for name, tenant in config.tenants.items():
        yield from _tenant(f"tenants.{name}", tenant)
    for kind, row in config.policies.items():
        yield from _policy(config, kind, row)


def store_risks(config: Config) -> Iterator[Risk]:
    """Find those of the Redis behind the proxy, by asking it; one that does not answer is a risk too."""
    url = config.store.url
    if urlsplit(url).scheme not in _PLAIN:
        return
    try:
        with redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, retry=None) as client:
            memory = client.info("memory")
    except (redis.RedisError, OSError, ValueError):
        yield Risk("store.url", "Redis cannot be asked now, so nobody knows what it forgets when it is full")
        return
    yield from _eviction(str(memory.get("maxmemory_policy", "")), bounded=bool(memory.get("maxmemory")))


def _eviction(policy: str, *, bounded: bool) -> Iterator[Risk]:
    if policy.startswith("allkeys"):
        why = "what a tenant's ledger knows goes with it, and all its answers are old; use volatile-lru"
        yield Risk("store.url", f"Redis evicts any key when it is full (maxmemory-policy {policy}): {why}")
    elif policy == "noeviction" and bounded:
        why = "no change can be recorded then, so nothing is served from the cache; use volatile-lru"
        yield Risk("store.url", f"Redis takes nothing more when it is full (maxmemory-policy {policy}): {why}")


def _listeners(config: Config) -> Iterator[Risk]:
    if not config.admin.listen.loopback:
        yield Risk("admin.listen", f"other machines reach {config.admin.listen}, and its token travels unencrypted")
    if config.secret is None and not config.store.url.startswith("memory://"):
        yield Risk("secret", "is made by each machine for itself, so instances that share this Redis share no answers")


def _tenant(key: str, tenant: Tenant) -> Iterator[Risk]:
    if tenant.webhook_secret is None:
        yield Risk(f"{key}.webhook_secret", "is not set, so whoever reaches the listener can make answers old")
    if tenant.upstream.startswith("http://") and not _on_this_machine(tenant.upstream):
        yield Risk(f"{key}.upstream", "is not https, so credentials travel unencrypted")
    if tenant.lease > _LONG_LEASE:
        yield Risk(f"{key}.lease", f"a credential that Jira has revoked is good for another {spell(tenant.lease)}")


def _policy(config: Config, kind: str, row: PolicyRow) -> Iterator[Risk]:
    key = f"policies.{kind}"
    if row.scope is Scope.TENANT and kind not in _SAME_FOR_ALL:
        yield Risk(f"{key}.scope", "all callers share what Jira shows to some of them only, or in their language")
    usual = duration(POLICIES.get(kind, {}).get("ttl", _OF_ONES_OWN))
    if row.ttl > usual and kind == _UNANNOUNCED:
        yield Risk(f"{key}.ttl", f"no webhook tells of permissions: who loses one keeps it for {spell(row.ttl)}")
    elif row.ttl > usual and (deaf := ", ".join(name for name, each in config.tenants.items() if not _hears(each))):
        why = "has neither webhook_secret nor repair, so what is changed past the proxy may stay unknown as long"
        yield Risk(f"{key}.ttl", f"{spell(row.ttl)} is long: {deaf} {why}")
    if row.serve_invalidated_on_error:
        yield Risk(
            f"{key}.serve_invalidated_on_error", "while Jira is down, answers are served that are known to be old"
        )
    if row.ttl_with_webhooks is not None and (unproven := _without_repair(config)):
        yield Risk(f"{key}.ttl_with_webhooks", f"has no effect for {unproven}: nothing proves webhooks without repair")


def _hears(tenant: Tenant) -> bool:
    return tenant.webhook_secret is not None or tenant.repair.credential is not None


def _without_repair(config: Config) -> str:
    return ", ".join(name for name, tenant in config.tenants.items() if tenant.repair.credential is None)


def _on_this_machine(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
