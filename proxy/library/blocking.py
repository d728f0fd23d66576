"""The cache for threads and plain programs."""

import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar, assert_never

from policies.model import Fence, Policy
from proxy.library.backends import RedisBackend
from proxy.library.clients import MEMORY, get_redis_client, get_redis_url, names_cluster
from proxy.library.driver import drive
from proxy.library.loads import Wanted
from proxy.library.memory import Memory
from proxy.library.operations import Operations
from proxy.library.steps import Commands, Load, Run, Step, Steps, Wait
from proxy.library.tally import Stats
from proxy.library.trouble import OnError
from proxy.stores.clients import BlockingClient, is_cluster

T = TypeVar("T")


class CacheService:
    """JSON values under `{namespace}:{key}`, by blocking calls; may be used by any number of threads.

    client       is used as it is, and never closed here; None: the one this process shares for `url`, or memory
    namespace    whose values these are; `tenant:acme` shares the ledger of the proxy's tenant `acme`
    default_ttl  seconds for which a value is kept that no policy speaks of; None: for ever
    url          as for create_redis_client, or memory:// for a memory of this service's own; None: get_redis_url()
    policies     TTLs by the first segment of a key, such as default_policies()
    on_error     "miss": where Redis fails, nothing is found and nothing kept; "raise": StoreError
    clock        seconds of which only the differences matter, for the log

    Everywhere a `ttl` is in seconds, and ValueError names the key of one that is not positive; TypeError names the key
    of a value that JSON cannot hold. What an operation answers while Redis fails is said with it.
    """

    def __init__(
        self,
        client: BlockingClient | Memory | None = None,
        namespace: str = "tenant:default",
        default_ttl: float | None = 3600,
        *,
        url: str | None = None,
        policies: Mapping[str, Policy] | None = None,
        on_error: OnError = "miss",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        where = url or get_redis_url()
        self._backend = _backend(client, where)
        cluster = is_cluster(client) if client is not None else names_cluster(where)
        self._operations = Operations(namespace, default_ttl, policies, on_error, clock, cluster=cluster)

    def set(
        self, key: str, value: Any, ttl: float | None = None, tags: Collection[str] = (), *, fence: Fence | None = None
    ) -> bool:
        """Keep a value; tell whether it is kept: False where Redis failed, or where the value was old already.

        With `tags` it is no longer found as soon as one of them is invalidated: by a webhook or a write that the proxy
        saw, or by `invalidate`. `fence` is the moment before the value's sources were read (see `fence`); without it
        they are taken to be as of now.
        """
        return self._run(self._operations.writes.set_many({key: value}, ttl, tags, fence))

    def set_many(
        self,
        values: Mapping[str, Any],
        ttl: float | None = None,
        tags: Collection[str] = (),
        *,
        fence: Fence | None = None,
    ) -> bool:
        """Keep many values in one trip, otherwise as `set`."""
        return self._run(self._operations.writes.set_many(values, ttl, tags, fence))

    def get(self, key: str) -> Any:
        """Return the value; None if there is none, if it is old, or where Redis fails."""
        return self._run(self._operations.reads.get(key))

    def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """Return those values that exist, by one MGET. Where Redis fails: none."""
        return self._run(self._operations.reads.get_many(keys))

    def exists(self, key: str) -> bool:
        """Tell whether `get` would find something. Where Redis fails: False."""
        return self._run(self._operations.reads.exists(key))

    def take(self, key: str) -> Any:
        """Return the value and remove it in one step, so that nobody gets it twice. Where Redis fails: None."""
        return self._run(self._operations.reads.take(key))

    def delete(self, key: str) -> int:
        """Remove a value; return how many there were, 0 or 1. Where Redis fails: 0."""
        return self._run(self._operations.writes.delete_many([key]))

    def delete_many(self, keys: Iterable[str]) -> int:
        """Remove many values in one trip; return how many there were. Where Redis fails: 0."""
        return self._run(self._operations.writes.delete_many(keys))

    def increment(self, key: str, amount: int = 1, *, ttl: float | None = None) -> int:
        """Add to a count that begins at 0; return what it is now. Where Redis fails: 0.

        `ttl` is for a count that begins now; without it such a count is kept for ever. Raises TypeError, naming the
        key, for what is no whole number.
        """
        return self._run(self._operations.writes.increment(key, amount, ttl))

    def decrement(self, key: str, amount: int = 1, *, ttl: float | None = None) -> int:
        """Take from a count, otherwise as `increment`."""
        return self._run(self._operations.writes.increment(key, -amount, ttl))

    def get_ttl(self, key: str) -> int:
        """Return the seconds left, rounded up; -1: no end; -2: no value. Where Redis fails: -2."""
        return self._run(self._operations.reads.get_ttl(key))

    def expire(self, key: str, ttl: float) -> bool:
        """Set the seconds left; tell whether there was something. Where Redis fails: False."""
        return self._run(self._operations.writes.expire(key, ttl))

    def clear_namespace(self) -> int:
        """Remove everything in this namespace, by SCAN and UNLINK; return how many. Where Redis fails: 0.

        In a tenant's namespace that includes what the proxy keeps there; it then asks Jira anew.
        """
        return self._run(self._operations.writes.clear_namespace())

    def fence(self) -> Fence:
        """Return this moment, to be taken before a value's sources are read. Where Redis fails: one for nothing."""
        return self._run(self._operations.ledger.fence())

    def invalidate(self, tags: Collection[str]) -> bool:
        """Make old whatever depends on one of `tags`, the proxy's answers included; tell whether it was recorded.

        Where Redis fails: False, and what should be old may still be served: try again.
        """
        return self._run(self._operations.ledger.invalidate(tags))

    def get_or_load(self, key: str, loader: Callable[[], T], ttl: float | None = None, tags: Collection[str] = ()) -> T:
        """Return the value; where there is none, the one that `loader` returns, and keep it.

        Whoever asks for the same key meanwhile, in this process, waits for the same load; what it raises is raised to
        all of them. A value whose tags were invalidated during the load is returned, and not kept. Where Redis fails,
        `loader` is asked.
        """
        value: T = self._run(self._operations.loads.get_or_load(Wanted(key, loader, ttl, tags)))
        return value

    def stats(self) -> Stats:
        """Return hits, misses and errors of this service, and evictions and memory of its Redis."""
        return self._operations.tally.stats(self._run(self._operations.reads.info()))

    def _run(self, steps: Steps[T]) -> T:
        return drive(steps, self._take)

    def _take(self, step: Step) -> Any:
        match step:
            case Commands() | Run():
                return self._backend.take(step)
            case Load(loader):
                return loader()
            case Wait(landing):
                return landing.result()
            case never:
                assert_never(never)


def _backend(client: BlockingClient | Memory | None, url: str) -> RedisBackend | Memory:
    if client is None and url.startswith(MEMORY):
        return Memory()
    if isinstance(client, Memory):
        return client
    return RedisBackend(lambda: get_redis_client(url) if client is None else client)
