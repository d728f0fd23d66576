"""config.yaml + environment + command line -> one frozen configuration, or one clear line for each mistake."""

import difflib
import re
import ssl
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from proxy.errors import ConfigError
from proxy.layers import Keys, Layers, gather
from proxy.schema import PLACEHOLDER, POLICIES, Config, Section

__all__ = ["Config", "check", "gather_layers", "load", "read"]

FILE = Path("config.yaml")
"""Read when no other is named, if it is there."""

_TENANT_NAME = re.compile(r"[a-z0-9-]+")

_Complaint = tuple[Keys, str]

_SHAPES = {
    **dict.fromkeys(("model_type", "mapping_type", "dict_type"), "should be a mapping of keys to values"),
    **dict.fromkeys(("tuple_type", "list_type"), "should be a list"),
    "string_type": "should be text (put it in quotes)",
}


def load(path: Path | None, environ: Mapping[str, str], **overrides: str | None) -> Config:
    """Read and check everything for a start: as `read`, and there must be a Jira to talk to."""
    config = read(path, environ, **overrides)
    for name, tenant in config.tenants.items():
        if tenant.upstream == PLACEHOLDER:
            raise ConfigError(f"no Jira to talk to: set tenants.{name}.upstream or $JIRA_URL")
    return config


def read(path: Path | None, environ: Mapping[str, str], **overrides: str | None) -> Config:
    """Read and check everything given. ConfigError has one line for each mistake.

    `overrides` are the options of the command line: upstream, store, listen, admin. They go over the environment, and
    that over the file. Without `path` the file is ./config.yaml, if there is one.
    """
    return check(gather_layers(path, environ, **overrides))


def gather_layers(path: Path | None, environ: Mapping[str, str], **overrides: str | None) -> Layers:
    """Gather what is given, unchecked."""
    return gather(path or (FILE if FILE.exists() else None), environ, overrides)


def check(layers: Layers) -> Config:
    """Make the configuration of what was gathered. ConfigError has one line for each mistake."""
    try:
        config = Config.model_validate(layers.tree, context=layers)
    except ValidationError as error:
        _refuse(layers, [_complaint(mistake) for mistake in error.errors(include_url=False)])
    _refuse(layers, list(_conflicts(config)))
    return config


RELOADED = frozenset({"policies", "routes", "client_directives"})
"""The keys that a reload takes over."""


def waiting(running: Config, read: Config) -> list[str]:
    """Name the keys that `read` has otherwise than `running`, and that only a restart would take over."""
    before, after = (config.model_dump(exclude=set(RELOADED)) for config in (running, read))
    return list(_differences(before, after))


def _differences(before: Mapping[str, Any], after: Mapping[str, Any], within: Keys = ()) -> Iterator[str]:
    for name in before | after:  # type: ignore[operator] # both are dicts
        one, other = before.get(name), after.get(name)
        if isinstance(one, Mapping) and isinstance(other, Mapping):
            yield from _differences(one, other, (*within, name))
        elif one != other:
            yield ".".join((*within, name))


def _refuse(layers: Layers, complaints: list[_Complaint]) -> None:
    if complaints:
        raise ConfigError("\n".join(layers.blame(keys, problem) for keys, problem in complaints)) from None


def _complaint(mistake: Any) -> _Complaint:
    """Say in our words what pydantic found. Only our own checks repeat values: they know which ones are secret."""
    keys = tuple(str(key) for key in mistake["loc"] if key != "[key]")
    match mistake["type"]:
        case "extra_forbidden":
            return keys, f"unknown key ({_hint(keys)})"
        case "missing":
            return keys, "is missing"
        case kind if kind in _SHAPES:
            return keys, _SHAPES[kind]
        case "value_error":
            return keys, str(mistake["ctx"]["error"])
        case _:
            return keys, re.sub(r"^\w+ should", "should", mistake["msg"])


def _hint(keys: Keys) -> str:
    """Name what the unknown key may have meant."""
    section: type[BaseModel] = Config
    for key in keys[:-1]:
        section = _within(section, key)
    near = difflib.get_close_matches(keys[-1], section.model_fields, n=1)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(section.model_fields)}"


def _within(section: type[BaseModel], key: str) -> type[BaseModel]:
    """Step into the section under `key`; the names of tenants and types lead nowhere further."""
    if key not in section.model_fields:
        return section
    kind = section.model_fields[key].annotation
    inner = (one for one in (kind, *get_args(kind)) if isinstance(one, type) and issubclass(one, Section))
    return next(inner, section)


def _conflicts(config: Config) -> Iterator[_Complaint]:
    """Find what no key shows by itself."""
    yield from _worker_conflicts(config)
    yield from _admin_conflicts(config)
    yield from _tenant_conflicts(config)
    yield from _unreadable_authorities(config)
    yield from _unknown_types(config)


def _worker_conflicts(config: Config) -> Iterator[_Complaint]:
    if config.workers > 1 and config.store.url.startswith("memory://"):
        yield ("workers",), "more than 1 need a store that they share: set store.url, or $REDIS_URL, to a Redis"


def _admin_conflicts(config: Config) -> Iterator[_Complaint]:
    if config.admin.token is None and not config.admin.listen.loopback:
        yield ("admin", "token"), f"is required, because other machines can reach {config.admin.listen}"


def _tenant_conflicts(config: Config) -> Iterator[_Complaint]:
    tenants = config.tenants
    hosts = Counter(host for tenant in tenants.values() for host in tenant.hosts)
    prefixes = Counter(tenant.path_prefix for tenant in tenants.values() if tenant.path_prefix)
    plain = [name for name, tenant in tenants.items() if not tenant.hosts and not tenant.path_prefix]
    for name, tenant in tenants.items():
        if not _TENANT_NAME.fullmatch(name):
            yield ("tenants", name), "is not a tenant's name (a-z, 0-9 and hyphens)"
        for host in tenant.hosts:
            if hosts[host] > 1:
                yield ("tenants", name, "hosts"), f"'{host}' is given more than once"
        if prefixes[tenant.path_prefix] > 1:
            yield ("tenants", name, "path_prefix"), f"'{tenant.path_prefix}' is given more than once"
        if f"{tenant.path_prefix}/".startswith(f"{config.prefix}/"):
            yield ("tenants", name, "path_prefix"), f"'{config.prefix}' is for the proxy's own endpoints"
    for name in plain[1:]:
        yield ("tenants", name), f"needs hosts or path_prefix, because '{plain[0]}' already takes all other requests"


def _unreadable_authorities(config: Config) -> Iterator[_Complaint]:
    for name, tenant in config.tenants.items():
        try:
            if tenant.ca_file:
                ssl.create_default_context(cafile=tenant.ca_file)
        except ssl.SSLError:
            yield ("tenants", name, "ca_file"), f"'{tenant.ca_file}' is not a PEM file of certificates"
        except OSError as error:
            yield ("tenants", name, "ca_file"), f"'{tenant.ca_file}' cannot be read: {error.strerror}"


def _unknown_types(config: Config) -> Iterator[_Complaint]:
    known = {*POLICIES, *(row.get("type") for row in config.routes)}
    for name in config.policies:
        if name not in known:
            yield ("policies", name), f"no route has this type (known: {', '.join(POLICIES)})"
