"""The configuration's layers, laid one over the other: file, environment, command line.

Nothing is checked here but the file's form. Each value remembers what gave it, so that a complaint can name it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from proxy.errors import ConfigError

PREFIX = "JIRA_CACHE_"

Keys = tuple[str, ...]

FLAGS: Mapping[str, Keys] = {
    "upstream": ("tenants", "default", "upstream"),
    "store": ("store", "url"),
    "listen": ("listen",),
    "admin": ("admin", "listen"),
}
"""What each option of the command line sets."""

# Kubernetes gives these to every pod beside a Service called `jira-cache`; they are not meant for us.
_KUBERNETES = re.compile(r"JIRA_CACHE_(SERVICE_(HOST|PORT(_\w+)?)|PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?)")


@dataclass(frozen=True, slots=True)
class Layers:
    """All layers as one tree. `givers` names what set a key, where that was not the file."""

    path: Path | None
    tree: dict[str, Any]
    givers: dict[Keys, str] = field(default_factory=dict)

    def lay(self, keys: Keys, value: object, giver: str) -> None:
        """Set one key over whatever the layers below say. What should be a section and is not stays, to be found."""
        *sections, last = keys
        node: Any = self.tree
        for section in sections:
            if node.get(section) is None:
                node[section] = {}
            node = node[section]
            if not isinstance(node, dict):
                return
        node[last] = value
        self.givers[keys] = giver

    def giver(self, keys: Keys) -> str | None:
        """Name what set these keys, or a section around them; None if that was the file."""
        around = (keys[:length] for length in range(len(keys), 0, -1))
        return next((self.givers[path] for path in around if path in self.givers), None)

    def at(self, keys: Keys) -> Any:
        """Get what the layers say under these keys; None if nothing."""
        node: Any = self.tree
        for key in keys:
            node = node.get(key) if isinstance(node, dict) else None
        return node

    def flags(self) -> dict[str, str]:
        """Tell what the command line gave, by option."""
        return {flag: self.at(keys) for flag, keys in FLAGS.items() if self.givers.get(keys) == f"--{flag}"}

    def blame(self, keys: Keys, problem: str) -> str:
        """One line that names the culprit, the key and the problem."""
        culprit = self.giver(keys) or f"{self.path or 'configuration'}: {'.'.join(keys)}"
        return f"{culprit}: {problem}"


def gather(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str | None]) -> Layers:
    """Lay the environment over the file, and the command line over both. ConfigError if the file cannot be read."""
    layers = Layers(path, _read(path) if path else {})
    _lay_common_variables(layers, environ)
    _lay_own_variables(layers, environ)
    for flag, value in overrides.items():
        if value is not None:
            layers.lay(FLAGS[flag], value, f"--{flag}")
    return layers


def _lay_common_variables(layers: Layers, environ: Mapping[str, str]) -> None:
    """Variables that other programs read too, so they give way where the file has said something of its own."""
    # Many Jira tools read JIRA_URL. Where the file names only other tenants, it must not open one more by accident.
    tenants = layers.at(("tenants",))
    others_only = isinstance(tenants, dict) and tenants and "default" not in tenants
    if environ.get("JIRA_URL") and not others_only:
        layers.lay(FLAGS["upstream"], environ["JIRA_URL"], "$JIRA_URL")
    if layers.at(FLAGS["store"]) in (None, "memory://"):
        url, giver = redis_url(environ), "$REDIS_URL" if environ.get("REDIS_URL") else "$REDIS_HOST"
        if url is not None:
            layers.lay(FLAGS["store"], url, giver)


def redis_url(environ: Mapping[str, str]) -> str | None:
    """Tell where Redis is by $REDIS_URL, else by $REDIS_HOST, _PORT, _PASSWORD and _DB; None if it is not told."""
    if environ.get("REDIS_URL") or not environ.get("REDIS_HOST"):
        return environ.get("REDIS_URL") or None
    host, port = environ["REDIS_HOST"], environ.get("REDIS_PORT") or "6379"
    if port.startswith("tcp://"):  # Kubernetes' word for a Service called `redis`, not a port
        port = "6379"
    login = f":{quote(environ['REDIS_PASSWORD'], safe='')}@" if environ.get("REDIS_PASSWORD") else ""
    where = f"[{host}]" if ":" in host else host
    return f"redis://{login}{where}:{port}/{environ.get('REDIS_DB') or 0}"


def _lay_own_variables(layers: Layers, environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        if name.startswith(PREFIX) and not _KUBERNETES.fullmatch(name):
            layers.lay(_keys(name), environ[name], f"${name}")


def _keys(name: str) -> Keys:
    first, *rest = name.removeprefix(PREFIX).lower().split("__")
    if first == "tenants" and rest:
        rest[0] = rest[0].replace("_", "-")  # a tenant's name may have a hyphen, a variable's may not
    return (first, *rest)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = yaml.load(path.read_text("utf-8"), Loader=_Strict)  # noqa: S506 - a SafeLoader, made stricter below
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: {_ailment(error)}") from error
    if not isinstance(tree, dict | None):
        raise ConfigError(f"{path}: is not a mapping of keys to values")
    return tree or {}


def _ailment(error: Exception) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"line {mark.line + 1}, column {mark.column + 1}: {error.problem}"
    return " ".join(f"is not YAML: {error}".split())


class _Strict(yaml.SafeLoader):
    """YAML in which a key that is given twice is a mistake, not a silent loss of the first one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(problem="a key must be plain text", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.MarkedYAMLError(problem=f"'{key.value}' is given twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)
