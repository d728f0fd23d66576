"""What `jira-cache check` tells: what a start would use, whence each policy is, and what to think again about."""

from collections.abc import Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any

import click

from proxy.config import check, gather_layers
from proxy.layers import Layers
from proxy.risks import risks, store_risks
from proxy.rules import rulebook
from proxy.schema import PLACEHOLDER, Config, PolicyRow
from proxy.units import spell

COLUMNS = ("type", "ttl", "while revalidating", "if error", "negative", "scope", "settle", "ttl with webhooks", "from")

_Told = dict[str, Any]


def report(path: Path | None, environ: Mapping[str, str]) -> _Told:
    """Check everything, then describe it. ConfigError if a start would stop for anything but a missing Jira.

    Redis is asked how it is set up. Times are seconds; nothing that is told is secret.
    """
    layers = gather_layers(path, environ)
    config = check(layers)
    rules = rulebook(config)
    return {
        "file": None if config.file is None else str(config.file),
        "listen": str(config.listen),
        "admin": str(config.admin.listen),
        "store": _without_login(config.store.url),
        "tenants": {name: _tenant(config, name) for name in config.tenants},
        "routes": len(config.routes),
        "by_origin": list(rules.by_origin),
        "policies": {name: _policy(layers, name, row) for name, row in config.policies.items()},
        "warnings": [risk._asdict() for risk in chain(risks(config), store_risks(config))],
    }


def _tenant(config: Config, name: str) -> _Told:
    tenant = config.tenants[name]
    upstream = None if tenant.upstream == PLACEHOLDER else tenant.upstream
    return {"upstream": upstream, "hosts": list(tenant.hosts), "path_prefix": tenant.path_prefix}


def _policy(layers: Layers, name: str, row: PolicyRow) -> _Told:
    return row.model_dump(mode="json") | {"from": _origin(layers, name)}


def _origin(layers: Layers, name: str) -> str:
    keys = layers.at(("policies", name)) or {}
    givers = dict.fromkeys(layers.giver(("policies", name, key)) or str(layers.path) for key in keys)
    return ", ".join(givers) or "default"


def _without_login(url: str) -> str:
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{rest.partition('?')[0].rpartition('@')[2]}"


def as_text(told: _Told) -> Iterator[str]:
    """Write what `report` told for people, a line at a time."""
    yield f"file    {told['file'] or 'none: defaults and environment'}"
    yield f"listen  {told['listen']}, admin {told['admin']}"
    yield f"store   {told['store']}"
    for name, tenant in told["tenants"].items():
        chosen = " ".join((*tenant["hosts"], tenant["path_prefix"])).strip()
        upstream = tenant["upstream"] or "no Jira yet: set upstream or $JIRA_URL"
        yield f"tenant  {name}: {upstream}{f' for {chosen}' if chosen else ''}"
    yield f"routes  {told['routes']} of your own"
    yield f"origin  decides the freshness of {', '.join(told['by_origin']) or 'nothing'}"
    yield ""
    yield from aligned([COLUMNS, *(_row(name, row) for name, row in told["policies"].items())])
    if told["warnings"]:
        yield ""
    for risk in told["warnings"]:
        yield f"{click.style('warning:', fg='yellow')} {risk['key']}: {risk['why']}"


def _row(name: str, row: _Told) -> tuple[str, ...]:
    longer = "-" if row["ttl_with_webhooks"] is None else spell(row["ttl_with_webhooks"])
    if_error = spell(row["stale_if_error"]) + (", invalidated too" if row["serve_invalidated_on_error"] else "")
    times = (spell(row["ttl"]), spell(row["stale_while_revalidate"]), if_error, spell(row["negative_ttl"]))
    settle = ",".join(map(spell, row["settle"])) or "-"
    return (name, *times, row["scope"], settle, longer, row["from"])


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Write rows as lines, with their columns one below the other; a terminal shows the first in bold."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for at, row in enumerate(rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield line if at else click.style(line, bold=True)
