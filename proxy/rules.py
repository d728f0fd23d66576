"""The rulebook of a configuration: the project's own rows, and the operator's over them."""

from importlib import resources

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


def _text(name: str) -> str:
    return resources.files("policies").joinpath(name).read_text("utf-8")
