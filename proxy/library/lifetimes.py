"""How long a value is kept: as the caller says, else as its type's policy says, else the default."""

import math
from collections.abc import Mapping

from policies.model import Policy
from proxy.schema import Config


def default_policies() -> dict[str, Policy]:
    """Return each type's policy as the proxy has it by default: issue 5 min, project 1 h, field 24 h, ..."""
    return Config().law()


class Lifetimes:
    """TTLs by the first segment of a key: `issue` of `issue:PROJ-1`. Times are seconds; None is for ever."""

    def __init__(self, default: float | None, policies: Mapping[str, Policy] | None) -> None:
        self._default = default
        self._policies = policies or {}

    def milliseconds(self, key: str, ttl: float | None) -> int | None:
        """Tell for how long to keep `key`. Raises ValueError, naming it, for a TTL that is none."""
        if ttl is None:
            policy = self._policies.get(key.partition(":")[0])
            ttl = self._default if policy is None else policy.ttl
        return None if ttl is None else milliseconds(key, ttl)


def milliseconds(key: str, ttl: float) -> int:
    """Turn seconds into what Redis counts in. Raises ValueError, naming `key`, unless it is a positive number."""
    if not ttl > 0 or math.isinf(ttl):
        raise ValueError(f"{key}: a TTL is a positive number of seconds, not {ttl!r}")
    return max(1, int(ttl * 1000))
