"""Durations and sizes as people write them: `5m`, `256MiB`.

A number without a unit is refused, because half of its readers would take `ttl: 300` for minutes; only 0 stands alone.
"""

import re

SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
BYTES = {"b": 1, "kb": 1000, "mb": 1000**2, "gb": 1000**3, "kib": 1024, "mib": 1024**2, "gib": 1024**3}

# Nine digits are thirty years of seconds: enough, and no sum of such times overflows a store's millisecond counter.
_QUANTITY = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?)([a-zA-Z]+)")


def duration(value: object) -> float:
    """Seconds of `30s`, `5m`, `1.5h`, `250ms` or 0; ValueError says what is wrong with anything else."""
    seconds = _quantity(value, SECONDS)
    if seconds is None:
        raise ValueError(f"{shown(value)} is not a duration (try 30s, 5m, 1h, 24h)")
    return seconds


def size(value: object) -> int:
    """Bytes of `8MiB`, `1GB`, `512B` or 0; ValueError says what is wrong with anything else."""
    count = _quantity(value, BYTES)
    if count is None:
        raise ValueError(f"{shown(value)} is not a size (try 512KiB, 8MiB, 1GiB)")
    return int(count)


def spell(seconds: float) -> str:
    """Write a duration the way the configuration does: the largest unit that leaves a whole number."""
    for unit, worth in reversed(SECONDS.items()):
        if seconds >= worth and (seconds / worth).is_integer():
            return f"{seconds / worth:.0f}{unit}"
    return f"{seconds:g}s"


def spell_size(count: int) -> str:
    """Write a size the way the configuration does: the largest binary unit that leaves a whole number."""
    for unit in ("GiB", "MiB", "KiB"):
        if count >= BYTES[unit.lower()] and count % BYTES[unit.lower()] == 0:
            return f"{count // BYTES[unit.lower()]}{unit}"
    return f"{count}B"


def _quantity(value: object, units: dict[str, int] | dict[str, float]) -> float | None:
    if value in (0, "0") and not isinstance(value, bool):
        return 0
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2].lower() not in units:
        return None
    return float(match[1]) * units[match[2].lower()]


def shown(value: object) -> str:
    """Quote a value for a message."""
    return f"'{value}'" if isinstance(value, str) else repr(value)
