"""Where trips go: Redis by a client of either kind, or memory. Redis' failures become StoreError here.

Clients are Any: what redis-py says of the types of its commands is for both kinds at once, and so for neither.
"""

from collections.abc import Callable
from typing import Any, assert_never, cast

from redis.exceptions import NoScriptError

from proxy.library.memory import Memory
from proxy.library.scripts import script
from proxy.library.steps import Commands, Run, Trip, Word
from proxy.stores.clients import bounded, is_cluster
from proxy.stores.scripts import as_store_error


class RedisBackend:
    """Trips by a blocking client; `client` is asked for it each time."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    def take(self, trip: Trip) -> Any:
        """Make a trip. Raises StoreError."""
        with as_store_error(_operation(trip)):
            client = self._client()
            match trip:
                case Commands((words,), beside=beside):
                    return [_plain(client.execute_command(*words, **_beside(client, beside)))]
                case Commands(each, atomic):
                    with client.pipeline(transaction=atomic) as pipeline:
                        for words in each:
                            pipeline.execute_command(*words)
                        return pipeline.execute()
                case Run():
                    by_name, by_text = _calls(trip)
                    try:
                        return client.execute_command(*by_name)
                    except NoScriptError:  # new to this server, or flushed
                        return client.execute_command(*by_text)
                case never:
                    assert_never(never)


class AsyncRedisBackend:
    """Trips by an asyncio client; `client` is asked for it each time."""

    def __init__(self, client: Callable[[], Any]) -> None:
        self._client = client

    async def take(self, trip: Trip) -> Any:
        """Make a trip. Raises StoreError."""
        client = self._client()
        with as_store_error(_operation(trip)):
            match trip:
                case Commands((words,), beside=beside):
                    if beside is not None and is_cluster(client):
                        await client.initialize()
                    return [_plain(await client.execute_command(*words, **_beside(client, beside)))]
                case Commands(each, atomic):
                    async with bounded(client), client.pipeline(transaction=atomic) as pipeline:
                        for words in each:
                            pipeline.execute_command(*words)
                        return await pipeline.execute()
                case Run():
                    by_name, by_text = _calls(trip)
                    try:
                        return await client.execute_command(*by_name)
                    except NoScriptError:  # new to this server, or flushed
                        return await client.execute_command(*by_text)
                case never:
                    assert_never(never)


class AsyncMemoryBackend:
    """Trips to memory, which never have to wait."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    async def take(self, trip: Trip) -> Any:
        """Do it at once."""
        return self._memory.take(trip)


def _operation(trip: Trip) -> str:
    return trip.script if isinstance(trip, Run) else str(trip.each[-1][0])


def _beside(client: Any, name: str | None) -> dict[str, Any]:
    """Name the server of a Cluster that has a key."""
    return {} if name is None or not is_cluster(client) else {"target_nodes": client.get_node_from_key(name)}


def _plain(reply: Any) -> Any:
    """Undo what redis-py makes of SCAN in a Cluster: a cursor for each server asked, of which there is one."""
    match reply:
        case ({**cursors}, found) if len(cursors) == 1:
            return next(iter(cursors.values())), found
        case _:
            return reply


def _calls(run: Run) -> tuple[tuple[Word, ...], tuple[Word, ...]]:
    """Write a script's call, by its own name and, for a server that does not know it yet, by its text."""
    loaded, words = script(run.script), cast(tuple[Word, ...], (len(run.names), *run.names, *run.values))
    return ("EVALSHA", loaded.sha, *words), ("EVAL", loaded.text, *words)
