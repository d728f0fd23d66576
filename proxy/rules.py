"""The rulebook of a configuration: the project's own rows, and the operator's over them."""

from hashlib import blake2b
from importlib import metadata, resources

import orjson

from policies.rulebook import PolicyError, Rulebook
from proxy.errors import ConfigError
from proxy.schema import Config


def rulebook(config: Config) -> Rulebook:
    """Compile all rows. ConfigError names the row of the operator's that cannot be used."""
    rows, events = (_text(name) for name in ("resources.yaml", "events.yaml"))
    try:
        return Rulebook.load(rows, events, config.law(), config.routes)
    except PolicyError as error:
        raise ConfigError(f"{config.file or 'configuration'}: {error}") from error


def edition(config: Config) -> bytes:
    """Tell apart the rules by which answers are tagged: answers of another edition may lack tags that this one hits."""
    parts = metadata.version("jira-cache-proxy"), _text("resources.yaml"), orjson.dumps(config.routes).decode()
    return blake2b("\0".join(parts).encode(), digest_size=16).hexdigest().encode()


def _text(name: str) -> str:
    return resources.files("policies").joinpath(name).read_text("utf-8")
