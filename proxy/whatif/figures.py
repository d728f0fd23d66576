"""What a replay counts, by type of resource."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

PERCENTILES = (50, 90, 99)


@dataclass(slots=True)
class Figures:
    """Of some requests: how many, how many were hits, and what was spent on Jira and saved.

    `ages` are those of the hits, in seconds; points are those of Jira Cloud's quota.
    """

    requests: float = 0.0
    hits: float = 0.0
    calls: float = 0.0
    saved_calls: float = 0.0
    saved_points: float = 0.0
    saved_seconds: float = 0.0
    ages: "array[float]" = field(default_factory=lambda: array("d"))

    def hit(self, weight: float, age: float, points: int, cost: float) -> None:
        """Count an answer from the cache; `points` and `cost` (seconds) are what Jira would have taken for it."""
        self.requests += weight
        self.hits += weight
        self.saved_calls += weight
        self.saved_points += weight * points
        self.saved_seconds += weight * cost
        self.ages.append(age)

    def missed(self, weight: float) -> None:
        """Count an answer that Jira had to give."""
        self.requests += weight
        self.calls += weight

    def shared(self, weight: float, points: int, cost: float) -> None:
        """Count an answer that came with another one's trip to Jira."""
        self.requests += weight
        self.saved_calls += weight
        self.saved_points += weight * points
        self.saved_seconds += weight * cost

    def refreshed(self, weight: float, points: int, cost: float) -> None:
        """Count a call in the background, for which nobody waits."""
        self.calls += weight
        self.saved_calls -= weight
        self.saved_points -= weight * points
        self.saved_seconds -= weight * cost

    def told(self) -> dict[str, Any]:
        """Tell the figures for JSON; ages are null where there was no hit."""
        ages = sorted(self.ages)
        shares = {f"age_p{percent}": _percentile(ages, percent) for percent in PERCENTILES}
        return {
            "requests": round(self.requests),
            "hits": round(self.hits),
            "hit_ratio": round(self.hits / self.requests, 4) if self.requests else None,
            "upstream_calls": round(self.calls),
            "saved_calls": round(self.saved_calls),
            "saved_points": round(self.saved_points),
            "saved_seconds": round(self.saved_seconds, 1),
            **shares,
        }


def together(parts: Iterable[Figures]) -> Figures:
    """Add figures up."""
    total = Figures()
    for part in parts:
        total.requests += part.requests
        total.hits += part.hits
        total.calls += part.calls
        total.saved_calls += part.saved_calls
        total.saved_points += part.saved_points
        total.saved_seconds += part.saved_seconds
        total.ages.extend(part.ages)
    return total


def _percentile(ages: list[float], percent: int) -> float | None:
    """Tell the age that `percent` of the hits do not exceed (the nearest rank)."""
    if not ages:
        return None
    return round(ages[max(0, -(-len(ages) * percent // 100) - 1)], 1)
