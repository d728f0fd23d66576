"""What the answer to a write says of its outcome."""

from collections.abc import Mapping
from typing import Any

from policies.settle import SERVER_ERROR

_BEGUN = frozenset({202, 303})  # of which 303 leads to the task
_TASK = "taskId"


def is_settled(status: int | None, answer: Any | None) -> bool:
    """Tell whether what a write asked for has happened, or never will, by the time of its answer.

    `status` is None where there was none, `answer` is its parsed JSON if it is any. A gateway that has lost its
    patience with Jira does not know either what becomes of the write; and bulk changes and the like only begin, as a
    task that the answer names.
    """
    if status is None or status >= SERVER_ERROR or status in _BEGUN:
        return False
    return not (isinstance(answer, Mapping) and _TASK in answer)
