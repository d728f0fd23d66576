"""What a command about webhooks is about: a tenant, its Jira, and the address at which Jira reaches the proxy."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from proxy import upstream
from proxy.addresses import site
from proxy.config import load
from proxy.errors import ConfigError
from proxy.hooks.api import Admin, Dynamic, Kind, Wish, api_of, kind_of
from proxy.hooks.talk import Talk
from proxy.schema import Config, Tenant, authorization
from proxy.upstream import Upstream
from proxy.webhooks import PATH

_Read = TypeVar("_Read")

AUTO = "auto"
"""Stands for the API of whichever Jira it is."""


@dataclass(frozen=True, slots=True)
class Target:
    """`base` is the proxy's own URL for clients of the tenant; `credential` asks Jira, None where nobody gave one."""

    config: Config
    environ: Mapping[str, str]
    name: str
    base: str
    credential: str | None
    kind: str

    @classmethod
    def find(
        cls,
        path: Path | None,
        environ: Mapping[str, str],
        *,
        tenant: str | None,
        url: str | None,
        credential: str | None,
        kind: str,
    ) -> "Target":
        """Find it in the configuration that a start here would use, unless the options say. Raises ConfigError."""
        config = load(path, environ)
        name = _named(config, tenant)
        settings = config.tenants[name]
        base = settings.public_url if url is None else _given("--url", site, url)
        if base is None:
            raise ConfigError(f"tenants.{name}.public_url: is needed, so that Jira finds the proxy; or give --url")
        login = settings.repair.credential
        if credential is not None:
            login = _given("--credential", authorization, credential)
        return cls(config, environ, name, base, login, kind)

    @property
    def tenant(self) -> Tenant:
        """The tenant's settings."""
        return self.config.tenants[self.name]

    @property
    def url(self) -> str:
        """Where the tenant's webhooks arrive: beside the path that chooses the tenant for clients."""
        return f"{self.base.removesuffix(self.tenant.path_prefix)}{self.config.prefix}{PATH}{self.name}"

    @property
    def wish(self) -> Wish:
        """The webhook as it should be."""
        return Wish(f"jira-cache {self.name}", self.url, self.tenant.webhook_secret)

    @asynccontextmanager
    async def jira(self) -> AsyncIterator[Admin | Dynamic]:
        """Speak the API of the tenant's Jira."""
        if self.credential is None:
            raise ConfigError("a login of an administrator is needed: --credential or $JIRA_ADMIN_CREDENTIAL")
        async with self._connected(self.tenant.upstream) as connected:
            talk = Talk(connected, self.credential)
            yield api_of(await kind_of(talk) if self.kind == AUTO else Kind(self.kind), talk)

    @asynccontextmanager
    async def proxy(self) -> AsyncIterator[Upstream]:
        """Speak to the proxy, at the address where Jira does."""
        async with self._connected(self.url.removesuffix(self.path)) as connected:
            yield connected

    @property
    def path(self) -> str:
        """The path of `url`."""
        return "/" + self.url.partition("://")[2].partition("/")[2]

    @asynccontextmanager
    async def _connected(self, base: str) -> AsyncIterator[Upstream]:
        jira = upstream.connect(
            base,
            self.config.timeouts,
            ca_file=self.tenant.ca_file,
            environ=self.environ,
            observe=lambda _status, _seconds: None,
        )
        try:
            yield jira
        finally:
            await jira.close()


def _named(config: Config, tenant: str | None) -> str:
    known = ", ".join(config.tenants)
    if tenant is None and len(config.tenants) > 1:
        raise ConfigError(f"--tenant: say which (known: {known})")
    name = next(iter(config.tenants)) if tenant is None else tenant
    if name not in config.tenants:
        raise ConfigError(f"--tenant: '{name}' is not known (known: {known})")
    return name


def _given(option: str, read: Callable[[str], _Read], value: str) -> _Read:
    try:
        return read(value)
    except ValueError as error:
        raise ConfigError(f"{option}: {error}") from None
