"""How the processes are at a moment: what each tells of itself, folded to what all of them are together.

What several hold adds up; of the states of stores and governors the worst counts; what all of them see alike, as the
webhook channel, is taken from the one that spoke last.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from proxy.stores.failopen import State

EVERYBODY = ""
"""Stands for all tenants together."""

REDIS_TOLD = ("used_memory", "maxmemory", "maxmemory_policy", "evicted_keys", "connected_clients", "redis_version")
"""What is told of Redis, by its own names."""

_CALM_FIRST = ("ok", "near-limit", "throttled", "down")
_HELD = ("entries", "bytes", "room", "evictions")


class Held(Protocol):
    """Answers in this process's memory."""

    def __len__(self) -> int: ...

    @property
    def weight(self) -> int: ...

    @property
    def evictions(self) -> int: ...

    @property
    def types(self) -> Mapping[str, int]: ...


@dataclass(frozen=True, slots=True)
class Gauge:
    """How one tenant is in this process.

    `held` is what is in memory, of which there may be `room` bytes; None where answers are in Redis alone. `limits`
    tells how fast Jira may be asked.
    """

    state: Callable[[], State]
    held: Held | None
    room: int
    channel: Callable[[], Mapping[str, object]]
    limits: Callable[[], Mapping[str, Any]]

    def read(self) -> dict[str, Any]:
        """Tell how it is now."""
        held = self.held
        sizes = (len(held), held.weight, self.room, held.evictions) if held is not None else (0, 0, 0, 0)
        return {
            "state": self.state().value,
            **dict(zip(_HELD, sizes, strict=True)),
            "types": held.types if held is not None else {},
            "channel": self.channel(),
            "limits": self.limits(),
        }


def read(tenants: Mapping[str, Gauge], redis: Mapping[str, Any] | None) -> dict[str, Any]:
    """Tell how this process is. `redis` is what the store's server last said of itself."""
    told = {name: redis[name] for name in REDIS_TOLD if name in redis} if redis else None
    return {"tenants": {name: gauge.read() for name, gauge in tenants.items()}, "redis": told}


def folded(processes: Sequence[Mapping[str, Any]], tenant: str) -> dict[str, Any]:
    """Fold what processes tell of one tenant, or of EVERYBODY; the one that spoke last comes last."""
    each = [told for process in processes for name, told in process["tenants"].items() if tenant in {EVERYBODY, name}]
    states = list(State)
    return {
        "processes": len(processes),
        "state": max((told["state"] for told in each), key=states.index, default=State.OK),
        **{name: sum(told[name] for told in each) for name in _HELD},
        "types": sum((Counter(told["types"]) for told in each), Counter()),
        "redis": next((process["redis"] for process in reversed(processes) if process["redis"]), None),
        "channels": {name: told[-1] for name, told in _said(processes, tenant, "channel").items()},
        "limits": {name: _governed(told) for name, told in _said(processes, tenant, "limits").items()},
    }


def _said(processes: Sequence[Mapping[str, Any]], tenant: str, what: str) -> dict[str, list[Any]]:
    """List by tenant what each process said of `what`."""
    said: dict[str, list[Any]] = {}
    for process in processes:
        for name, told in process["tenants"].items():
            if tenant in {EVERYBODY, name}:
                said.setdefault(name, []).append(told[what])
    return said


def _governed(each: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fold what the governors of one tenant report: the one in the worst state is told, with the calls of all."""
    worst = max(each, key=lambda told: _CALM_FIRST.index(told["state"]))
    return {**worst, **{name: sum(told[name] for told in each) for name in ("in_flight", "queued")}}
