"""Values as bytes and back: JSON, and before it, where a value has tags, the seal by which the ledger judges it."""

import math
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import orjson

from policies.model import Fence
from policies.tags import Tags

MARK = b"\x01"
"""Begins a sealed value; no JSON begins so. keep.lua writes the same."""

_HEAD = re.compile(MARK + rb"([0-9]{1,19}) ([0-9]{1,19}) ([0-9]{1,19})\n")
_OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


def encode(key: str, value: Any) -> bytes:
    """Write JSON. Raises TypeError, naming `key`, for what JSON cannot hold.

    That includes NaN and the infinities, and times and dataclasses: they would come back as something else.
    """
    try:
        coded = orjson.dumps(value, option=_OPTIONS)
    except TypeError as error:
        raise TypeError(f"{key}: JSON cannot hold this value: {error}") from error
    if b"null" in coded and not _is_finite(value):  # orjson writes null for NaN, and so a lie
        raise TypeError(f"{key}: JSON cannot hold this value: a number in it is not finite")
    return coded


def decode(coded: bytes) -> Any:
    """Read what `encode` wrote. Raises ValueError for anything else."""
    return orjson.loads(coded)


def _is_finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list | tuple) or all(map(_is_finite, value))


@dataclass(frozen=True, slots=True)
class Sealed:
    """A value with tags: true as long as none of them was invalidated since its fence."""

    fence: Fence
    packed_tags: bytes
    coded: bytes

    @property
    def tags(self) -> tuple[str, ...]:
        """The tags, one by one."""
        return tuple(Tags.read(self.packed_tags))

    def pack(self) -> bytes:
        """Write it all, in the form of keep.lua."""
        head = f"{self.fence.incarnation} {self.fence.stamp} {len(self.packed_tags)}\n"
        return MARK + head.encode() + self.packed_tags + self.coded


def seal(coded: bytes, fence: Fence, tags: Collection[str]) -> Sealed:
    """Seal a value that was computed behind `fence`."""
    return Sealed(fence, Tags.of(tags).packed, coded)


def unseal(raw: bytes | None) -> Sealed | None:
    """Read a sealed value; None for all else, a damaged one included, which `decode` will refuse."""
    head = _HEAD.match(raw or b"")
    if raw is None or head is None:
        return None
    incarnation, stamp, length = map(int, head.groups())
    json = head.end() + length
    return Sealed(Fence(incarnation, stamp), raw[head.end() : json], raw[json:])
