"""What an answer costs of Jira Cloud's quota: a point for the call, and one for each object read."""

from typing import Any

# Where Jira's lists keep what they list.
_LISTS = ("issues", "values", "comments", "worklogs", "users", "groups", "dashboards", "projects", "results", "items")


def objects(said: Any) -> int:
    """Count the objects that parsed JSON shows: those of a list, else the one that it is."""
    if isinstance(said, list):
        return len(said)
    if not isinstance(said, dict):
        return 0
    return next((len(listed) for name in _LISTS if isinstance(listed := said.get(name), list)), 1)
