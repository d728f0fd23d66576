"""A circuit breaker: whoever fails again and again is left alone, and then tried by one call before all others.

Closed --(so many failures in a row)--> Open --(its pause is over: one call goes)--> Probing
Probing --(it fails)--> Open, for twice as long      any state --(an answer)--> Closed
"""

from dataclasses import dataclass, replace

from policies.throttle import backoff

_FIRST, _LONGEST = 2.0, 30.0
_PATIENCE = 10.0  # seconds after which a probe that has not come back counts as lost, and another may go


@dataclass(frozen=True, slots=True)
class Closed:
    """Calls go; the last `failures` of them failed."""

    failures: int = 0


@dataclass(frozen=True, slots=True)
class Open:
    """No call goes before `until` (seconds); it is the `times`-th pause in a row."""

    until: float
    times: int


@dataclass(frozen=True, slots=True)
class Probing:
    """One call is on its way to see; no other goes before `until`."""

    until: float
    times: int


State = Closed | Open | Probing


def refused_for(state: State, now: float) -> float:
    """Tell for how many seconds no call may go; 0: one may."""
    return 0.0 if isinstance(state, Closed) else max(0.0, state.until - now)


def departed(state: State, now: float) -> State:
    """Take note that a call goes, which `refused_for` has allowed."""
    return state if isinstance(state, Closed) else Probing(now + _PATIENCE, state.times)


def answered() -> State:
    """Take note that a call was answered, also one that left long ago."""
    return Closed()


def failed(state: State, now: float, draw: float, limit: int) -> State:
    """Take note that a call failed; `limit` failures in a row are one too many, `draw` is by chance from 0 to 1."""
    match state:
        case Closed(failures) if failures + 1 < limit:
            return Closed(failures + 1)
        case Closed():
            return Open(now + _pause(0, draw), 1)
        case Probing(times=times):
            return Open(now + _pause(times, draw), times + 1)
        case Open():
            return state  # it had left before


def given_up(state: State, now: float) -> State:
    """Take note that a call ended without anybody knowing how: the next one may probe at once."""
    return replace(state, until=now) if isinstance(state, Probing) else state


def word(state: State) -> str:
    """Name a state for people."""
    return {Closed: "closed", Open: "open", Probing: "half-open"}[type(state)]


def _pause(times: int, draw: float) -> float:
    return backoff(times, draw, _FIRST, _LONGEST)
