"""Which Jira a request is for, and by which address its client knows the proxy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from policies import links
from proxy.addresses import is_host
from proxy.journey import Journey


@dataclass(frozen=True, slots=True)
class Tenant:
    """A Jira behind the proxy: how its requests are told from others', and who answers them."""

    name: str
    hosts: frozenset[str]
    path_prefix: str
    upstream: str
    public_url: str | None
    journey: Journey

    def site(self, scheme: str, headers: Mapping[str, str]) -> links.Site:
        """Map links for one client: to the configured address, or to the one that this client itself came by."""
        return links.site(self.upstream, self.public_url or f"{_origin(scheme, headers)}{self.path_prefix}")


class Tenants:
    """Finds a request's tenant: by host, else by the longest path prefix, else the tenant that names neither."""

    def __init__(self, tenants: Iterable[Tenant]) -> None:
        self.all = tuple(tenants)
        self._by_host = {host: tenant for tenant in self.all for host in tenant.hosts}
        self._by_prefix = sorted(
            (tenant for tenant in self.all if tenant.path_prefix and not tenant.hosts),
            key=lambda tenant: -len(tenant.path_prefix),
        )
        self._other = next((t for t in self.all if not t.hosts and not t.path_prefix), None)

    def named(self, name: str) -> Tenant | None:
        return next((tenant for tenant in self.all if tenant.name == name), None)

    def find(self, host: str, path: str) -> Tenant | None:
        """Find the tenant for a Host header and a raw path; None if there is none."""
        host = _plain(host)
        tenant = self._by_host.get(host) or self._by_host.get(host.rpartition(":")[0])
        if tenant is not None:
            return tenant if _below(tenant.path_prefix, path) else None
        return next((t for t in self._by_prefix if _below(t.path_prefix, path)), self._other)


def _plain(host: str) -> str:
    """Spell a host as the configuration does: lower case, and without the dot that ends a full name."""
    return host.lower().replace(".:", ":", 1).removesuffix(".")


def _below(prefix: str, path: str) -> bool:
    return not prefix or path == prefix or path.startswith(f"{prefix}/")


def _origin(scheme: str, headers: Mapping[str, str]) -> str:
    forwarded = _first(headers, "x-forwarded-proto").lower()
    hosts = (_first(headers, "x-forwarded-host"), headers.get("host", ""))
    host = next((host for host in hosts if is_host(host)), "localhost")  # nothing else is written into answers
    return f"{forwarded if forwarded in {'http', 'https'} else scheme}://{host}"


def _first(headers: Mapping[str, str], name: str) -> str:
    """Of what each of several proxies in front appended, take what the first one said: it met the client."""
    return headers.get(name, "").partition(",")[0].strip()
