"""Routes: patterns such as "GET /rest/api/{v}/issue/{issue}", and the tree that finds the most specific one.

`{name}` stands for one segment, a final `**` for any remainder, none included. A literal beats `{name}`, which beats
`**`, from left to right and whatever the order of the rows. `*` as the method stands for every method that writes; a
row that names its method beats it. `{v}` stands for the versions under which one API is served.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Generic, TypeVar

R = TypeVar("R")

WRITING = ("POST", "PUT", "DELETE", "PATCH")
METHODS = frozenset({"GET", "*", *WRITING})
VERSIONS = {
    "api": ("2", "3", "latest"),
    "agile": ("1.0", "latest"),
    "greenhopper": ("1.0", "latest"),
    "auth": ("1", "latest"),
    "webhooks": ("1.0", "latest"),
}
"""What `{v}` stands for after each API's name. "latest" is an alias that Jira gives every API."""

_NAME = re.compile(r"\{([a-z][a-z0-9_]*)\}")


@dataclass(frozen=True, slots=True)
class Pattern:
    """A parsed route pattern. `names` tells which segment each placeholder stands for, `{v}` excepted."""

    method: str
    path: str
    parts: tuple[str, ...]
    names: tuple[tuple[str, int], ...]

    @classmethod
    def parse(cls, text: str) -> "Pattern":
        """Parse "METHOD /path"; raise ValueError that says what is wrong."""
        method, _, path = text.partition(" ")
        if method not in METHODS:
            raise ValueError(f"{text!r} does not begin with one of {' '.join(sorted(METHODS))}")
        parts = tuple(path[1:].split("/"))
        if not path.startswith("/") or not all(_is_part(part) for part in parts) or "**" in parts[:-1]:
            raise ValueError(f"{path!r} is not a path pattern")
        names = tuple((found[1], at) for at, part in enumerate(parts) if (found := _NAME.fullmatch(part)))
        if len(dict(names)) < len(names):
            raise ValueError(f"{path!r} uses a placeholder twice")
        if "{v}" in parts and parts[parts.index("{v}") - 1] not in VERSIONS:
            raise ValueError(f"{path!r}: {{v}} stands only after {', '.join(VERSIONS)}")
        return cls(method, path, parts, tuple(named for named in names if named[0] != "v"))

    def methods(self) -> tuple[str, ...]:
        """Every method the pattern stands for."""
        return WRITING if self.method == "*" else (self.method,)

    def spellings(self) -> Iterator[tuple[str, ...]]:
        """Every sequence of parts the pattern stands for, `{v}` spelled out."""
        if "{v}" not in self.parts:
            yield self.parts
            return
        at = self.parts.index("{v}")
        for version in VERSIONS[self.parts[at - 1]]:
            yield (*self.parts[:at], version, *self.parts[at + 1 :])


@dataclass(slots=True)
class _Node(Generic[R]):
    literals: "dict[str, _Node[R]]" = field(default_factory=dict)
    any: "_Node[R] | None" = None
    here: tuple[int, R] | None = None
    rest: tuple[int, R] | None = None


class Routes(Generic[R]):
    """A tree of patterns per method. What it holds is the caller's."""

    def __init__(self) -> None:
        self._roots: dict[str, _Node[R]] = {}

    def add(self, pattern: Pattern, rule: R, rank: int = 0) -> R | None:
        """Add `rule` under `pattern`; return the rule that already holds the same shape at the same rank, if any.

        Of two rules of one shape the higher rank wins, then the one that names its method.
        """
        rank = 2 * rank + (pattern.method != "*")
        taken = [
            self._put(self._roots.setdefault(method, _Node()), parts, (rank, rule))
            for method in pattern.methods()
            for parts in pattern.spellings()
        ]
        return next((other for other in taken if other is not None), None)

    def find(self, method: str, parts: tuple[str, ...]) -> R | None:
        """Find the most specific rule for decoded path segments."""
        root = self._roots.get(method)
        found = None if root is None else _descend(root, parts, 0)
        return None if found is None else found[1]

    def _put(self, node: _Node[R], parts: tuple[str, ...], ranked: tuple[int, R]) -> R | None:
        open_ended = parts[-1] == "**"
        for part in parts[:-1] if open_ended else parts:
            node = _child(node, part)
        held = node.rest if open_ended else node.here
        if held is not None and held[0] >= ranked[0]:
            return held[1] if held[0] == ranked[0] else None
        if open_ended:
            node.rest = ranked
        else:
            node.here = ranked
        return None


def _child(node: _Node[R], part: str) -> _Node[R]:
    if not part.startswith("{"):
        return node.literals.setdefault(part, _Node())
    node.any = node.any or _Node()
    return node.any


def _descend(node: _Node[R], parts: tuple[str, ...], at: int) -> tuple[int, R] | None:
    if at == len(parts):
        return node.here or node.rest
    literal = node.literals.get(parts[at])
    if literal is not None and (found := _descend(literal, parts, at + 1)) is not None:
        return found
    if node.any is not None and (found := _descend(node.any, parts, at + 1)) is not None:
        return found
    return node.rest


def _is_part(part: str) -> bool:
    return bool(_NAME.fullmatch(part)) or (part != "" and not any(c in part for c in "{}* ")) or part == "**"
