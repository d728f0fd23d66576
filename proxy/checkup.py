"""What `jira-cache check` prints: what a start would use, and where each policy comes from."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from proxy.config import check, gather_layers
from proxy.layers import Layers
from proxy.rules import rulebook
from proxy.schema import PLACEHOLDER, Config, PolicyRow
from proxy.units import spell

COLUMNS = ("type", "ttl", "while revalidating", "if error", "negative", "scope", "settle", "ttl with webhooks", "from")


def report(path: Path | None, environ: Mapping[str, str]) -> Iterator[str]:
    """Check everything, then describe it. ConfigError if a start would stop for anything but a missing Jira."""
    layers = gather_layers(path, environ)
    config = check(layers)
    rules = rulebook(config)
    yield from _overview(config)
    yield f"origin  decides the freshness of {', '.join(rules.by_origin) or 'nothing'}"
    yield ""
    rows = [_row(layers, name, row) for name, row in config.policies.items()]
    yield from aligned([COLUMNS, *rows])


def _overview(config: Config) -> Iterator[str]:
    yield f"file    {config.file or 'none: defaults and environment'}"
    yield f"listen  {config.listen}, admin {config.admin.listen}"
    yield f"store   {_without_login(config.store.url)}"
    for name, tenant in config.tenants.items():
        upstream = "no Jira yet: set upstream or $JIRA_URL" if tenant.upstream == PLACEHOLDER else tenant.upstream
        chosen = " ".join((*tenant.hosts, tenant.path_prefix)).strip()
        yield f"tenant  {name}: {upstream}{f' for {chosen}' if chosen else ''}"
    yield f"routes  {len(config.routes)} of your own"


def _row(layers: Layers, name: str, row: PolicyRow) -> tuple[str, ...]:
    longer = "-" if row.ttl_with_webhooks is None else spell(row.ttl_with_webhooks)
    if_error = spell(row.stale_if_error) + (", invalidated too" if row.serve_invalidated_on_error else "")
    times = (spell(row.ttl), spell(row.stale_while_revalidate), if_error, spell(row.negative_ttl))
    settle = ",".join(map(spell, row.settle)) or "-"
    return (name, *times, row.scope.value, settle, longer, _origin(layers, name))


def _origin(layers: Layers, name: str) -> str:
    keys = layers.at(("policies", name)) or {}
    givers = dict.fromkeys(layers.giver(("policies", name, key)) or str(layers.path) for key in keys)
    return ", ".join(givers) or "default"


def _without_login(url: str) -> str:
    login, found, rest = url.rpartition("@")
    return f"{urlsplit(login).scheme}://{rest}" if found else url


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Write rows as lines, with their columns one below the other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
