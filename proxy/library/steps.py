"""What an operation asks the outside world for, one step after the other. Nothing here knows how a step is taken."""

from collections.abc import Callable, Generator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

T = TypeVar("T")

Word: TypeAlias = str | bytes | int


@dataclass(frozen=True, slots=True)
class Commands:
    """Redis commands that go out together and cost one trip; answered by a list of their replies.

    `beside` is a name whose server is meant by a command that has no key of its own, where there are several.
    """

    each: tuple[tuple[Word, ...], ...]
    atomic: bool = False
    beside: str | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """A script over a namespace's ledger, by its name (scripts.py); answered by what it returns. One trip."""

    script: str
    names: tuple[str, ...]
    values: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Load:
    """Ask the caller's own function for the value."""

    loader: Callable[[], Any]


@dataclass(frozen=True, slots=True)
class Wait:
    """Wait for what somebody else in this process is loading."""

    landing: "Future[Any]"


Trip = Commands | Run
Step = Trip | Load | Wait
Steps: TypeAlias = Generator[Step, Any, T]
"""An operation: it yields its steps, is sent what they brought (or thrown what they raised), and returns its result."""
