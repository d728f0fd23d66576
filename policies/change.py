"""What a webhook or a write says has changed: the tags that are old now, and the issues as they were and are.

Searches are not named by tags here: which of them a changed issue concerns is worked out from their queries.
"""

from dataclasses import dataclass

from policies.jql import Issue


@dataclass(frozen=True, slots=True)
class Changed:
    """One issue, before and after; None where it did not exist, or where nothing is known of it."""

    before: Issue | None
    after: Issue | None


@dataclass(frozen=True, slots=True)
class Change:
    """`tags` are old. `issues` may have moved in or out of searches.

    Of other issues only their `projects`, by key, may be known; `everything` tells that not even that is known, so that
    all searches are old.
    """

    tags: frozenset[str]
    issues: tuple[Changed, ...] = ()
    projects: frozenset[str] = frozenset()
    everything: bool = False
