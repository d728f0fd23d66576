"""What was measured, as tables: aligned for a terminal, in Markdown for docs/benchmarks.md."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median


@dataclass(frozen=True)
class Table:
    """Figures under a `title`; the first row names the columns. `notes` say what the figures mean, one a line."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = field(default=())

    def text(self) -> str:
        """Align the table for a terminal."""
        widths = [max(map(len, cells)) for cells in zip(self.columns, *self.rows, strict=True)]
        lines = [_aligned(row, widths) for row in (self.columns, *self.rows)]
        return "\n".join([f"\n{self.title}", *lines, *(f"  ({note})" for note in self.notes)])

    def markdown(self) -> str:
        """Write the table as a section of a Markdown page."""
        rule = ["---", *["--:"] * (len(self.columns) - 1)]
        lines = [f"| {' | '.join(row)} |" for row in (self.columns, rule, *self.rows)]
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"{note}\n" for note in self.notes)])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    (name, *figures), (widest, *others) = row, widths
    return "  ".join(["", name.ljust(widest), *map(str.rjust, figures, others)])


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> str:
    """Compare figures of the same rounds, pair by pair: the median ratio, `-` where there is nothing to compare."""
    pairs = [one / other for one, other in zip(ours, theirs, strict=False) if other]
    return f"{median(pairs):.2f}" if pairs else "-"
