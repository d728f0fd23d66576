"""Whether a call to Jira that went badly is made again, and after which pause."""

from policies.calls import Call
from policies.throttle import backoff

TROUBLE = frozenset({502, 503, 504})
"""The statuses by which a gateway, or Jira itself, says that it cannot answer now."""

_FIRST, _CAP = 0.2, 2.0


def after_status(call: Call, status: int, held: float, tried: int, draw: float) -> float | None:
    """Tell the pause in seconds after an answer, None where it is not to be made again.

    `held` is for how long Jira wants to be left alone, `tried` how often it was asked again, `draw` chance from 0 to 1.
    """
    if not call.repeatable or not (held or status in TROUBLE):
        return None
    return held or backoff(tried, draw, _FIRST, _CAP)


def after_error(call: Call, tried: int, draw: float, *, sent: bool, timeout: bool) -> float | None:
    """Tell the pause in seconds after no answer, None where it is not to be made again.

    A write may be made again only if Jira surely has not seen it. What took too long once would take too long again.
    """
    if timeout or (sent and not call.repeatable):
        return None
    if sent and not tried:
        return 0.0  # perhaps only a connection that was idle, and that Jira closed just then
    return backoff(tried, draw, _FIRST, _CAP)
