"""Lua scripts as Redis runs them, and its failures as the one error the rest knows."""

import contextlib
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from proxy.errors import StoreError, StoreFullError
from proxy.stores.clients import AsyncClient


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the name Redis gives it."""

    text: str
    sha: str

    @classmethod
    def load(cls, *names: str) -> "Script":
        """Join the files called `names`."""
        return cls.of("\n".join(files("proxy.stores").joinpath(f"{name}.lua").read_text() for name in names))

    @classmethod
    def of(cls, text: str) -> "Script":
        """Name a text."""
        return cls(text, hashlib.sha1(text.encode()).hexdigest())  # noqa: S324 - Redis names scripts by SHA-1

    async def run(self, client: AsyncClient, names: tuple[str, ...], *values: str | bytes | int) -> Any:
        """Run it over the keys called `names`, by its own name if the server knows it."""
        arguments: tuple[Any, ...] = (len(names), *names, *values)
        try:
            return await client.evalsha(self.sha, *arguments)
        except NoScriptError:  # new to this server, or flushed
            return await client.eval(self.text, *arguments)


_FULL = "command not allowed when used memory"  # where a script met it, Redis says so only in words


@contextlib.contextmanager
def as_store_error(operation: str) -> Iterator[None]:
    """Turn whatever Redis and the network raise into a StoreError that names `operation`."""
    try:
        yield
    except (RedisError, RedisClusterException, OSError, TimeoutError) as error:
        kind = StoreFullError if _FULL in str(error) else StoreError
        raise kind(f"{operation}: {str(error) or type(error).__name__}") from error
