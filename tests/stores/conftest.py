"""Every kind of store behind one fixture, and entries to put into it."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from policies.model import EVERYTHING, Entry


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: float = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def an_entry(*tags: str, body: bytes = b"{}", keep: float = 300.0, **fields) -> Entry:
    defaults = {
        "status": 200,
        "headers": (("content-type", "application/json"),),
        "coding": "identity",
        "etag": '"e"',
        "stored": 1_700_000_000.25,
        "ttl": 60.0,
    }
    return Entry(**{**defaults, **fields}, body=body, tags=(*tags, EVERYTHING), keep=keep)


@pytest.fixture
def make_entry() -> Callable[..., Entry]:
    return an_entry
