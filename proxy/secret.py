"""The key of all hashes: configured, or made once and kept where only its owner can read it.

It never lies beside the data it protects, so not in Redis.
"""

import logging
import os
import secrets
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from proxy.schema import Config

_LENGTH = 32

log = logging.getLogger(__name__)


def secret_of(config: Config, environ: Mapping[str, str] = os.environ) -> bytes:
    """Get the deployment's secret, making one where there is none. One that cannot be kept lasts as long as we do."""
    if config.secret is not None:
        return config.secret.encode()
    if not config.store.url.startswith("memory://"):
        log.warning("no secret is configured: instances that share a Redis need the same one to share its answers")
    path = place(config, environ)
    try:
        return _kept(path)
    except OSError as error:
        log.warning("the secret cannot be kept in %s (%s): it changes with every start", path, error.strerror)
        return secrets.token_bytes(_LENGTH)


def place(config: Config, environ: Mapping[str, str]) -> Path:
    """Where a made secret is kept: among the user's state files; beside the configuration for a user without a home."""
    if environ.get("XDG_STATE_HOME"):
        return Path(environ["XDG_STATE_HOME"], "jira-cache", "secret")
    if environ.get("HOME"):
        return Path(environ["HOME"], ".local", "state", "jira-cache", "secret")
    return (config.file or Path("config.yaml")).with_name(".jira-cache-secret")


def _kept(path: Path) -> bytes:
    if not path.exists():
        _make(path)
    if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("others on this machine may read or change the secret in %s: chmod 600 it", path)
    secret = path.read_bytes()
    if len(secret) < _LENGTH:
        raise OSError(0, "the file there is too short to be a secret")
    return secret


def _make(path: Path) -> None:
    """Two processes may start at once: whichever links first wins, whole, and the other reads what it wrote."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # readable by its owner only
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(_LENGTH))
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        Path(draft).unlink()
