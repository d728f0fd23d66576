"""One comparison of a query, made into a function from an issue to yes, no or unknown.

Every NO that a query can come to is proved here: the field is shown, and nothing that it shows, nor anything that it
may hide, can be what the literal stands for.
"""

from collections.abc import Callable
from enum import Enum, auto

from policies.jql.issue import Issue
from policies.jql.query import Comparison, Operator
from policies.jql.shown import HIDDEN, VACANT
from policies.jql.sources import Site, Source, asked, source_of
from policies.jql.truth import Truth
from policies.jql.wanted import Wanted

YES, NO, UNKNOWN = Truth.YES, Truth.NO, Truth.UNKNOWN

Matcher = Callable[[Issue], Truth]


class _Sense(Enum):
    """What a comparison asks of a field's value."""

    SAME = auto()
    OTHER = auto()
    EARLIER = auto()
    LATER = auto()
    LIKE = auto()
    UNLIKE = auto()


_OPPOSITES = {
    _Sense.SAME: _Sense.OTHER,
    _Sense.OTHER: _Sense.SAME,
    _Sense.EARLIER: _Sense.LATER,
    _Sense.LATER: _Sense.EARLIER,
    _Sense.LIKE: _Sense.UNLIKE,
    _Sense.UNLIKE: _Sense.LIKE,
}

_SENSES = {
    Operator.EQUALS: _Sense.SAME,
    Operator.IN: _Sense.SAME,
    Operator.IS: _Sense.SAME,
    Operator.NOT_EQUALS: _Sense.OTHER,
    Operator.NOT_IN: _Sense.OTHER,
    Operator.IS_NOT: _Sense.OTHER,
    Operator.LESS: _Sense.EARLIER,
    Operator.LESS_EQUAL: _Sense.EARLIER,
    Operator.GREATER: _Sense.LATER,
    Operator.GREATER_EQUAL: _Sense.LATER,
    Operator.LIKE: _Sense.LIKE,
    Operator.NOT_LIKE: _Sense.UNLIKE,
}
"""Whether the bound itself counts makes no difference: a date is a window far wider than that."""


def always(truth: Truth) -> Matcher:
    """Match every issue alike."""
    return lambda _: truth


def compare(comparison: Comparison, site: Site, *, negated: bool) -> Matcher:
    """Make one comparison into a function; `negated` when an odd number of NOTs stands before it."""
    source = source_of(comparison.field)
    if source is None:
        return always(UNKNOWN)
    sense = _SENSES[comparison.operator]
    wanted = asked(comparison.operand, source, site)
    return _make(source, _OPPOSITES[sense] if negated else sense, wanted, negated=negated)


def _make(source: Source, sense: _Sense, wanted: Wanted, *, negated: bool) -> Matcher:
    vacant = _when_vacant(source, sense, wanted, negated=negated)
    match sense:
        case _ if source.vague and (negated or wanted.empty or sense is not _Sense.SAME):
            return always(UNKNOWN)
        case _ if source.is_date:
            return _dated(source.shown, sense, wanted, vacant)
        case _Sense.SAME:
            return _identified(source.shown, wanted, vacant, hit=YES, miss=NO)
        case _Sense.OTHER:
            return _identified(source.shown, wanted, vacant, hit=NO, miss=YES)
        case _:
            return _undecided(source.shown, vacant)


def _when_vacant(source: Source, sense: _Sense, wanted: Wanted, *, negated: bool) -> Truth:
    """Say what a comparison with an empty field comes to.

    Jira matches no empty field unless asked for EMPTY. `NOT a = b`, it says, is `a != b`, which an empty field does not
    match either; as logic has it the other way, that is left unknown.
    """
    match sense:
        case _Sense.UNLIKE:
            return UNKNOWN
        case _Sense.SAME if wanted.empty:
            return UNKNOWN if source.optional else YES
        case _:
            return UNKNOWN if negated and (source.optional or not wanted.empty) else NO


def _identified(name: str, wanted: Wanted, vacant: Truth, *, hit: Truth, miss: Truth) -> Matcher:
    exact, folds, kinds = wanted.exact, wanted.folds, wanted.kinds
    otherwise = UNKNOWN if wanted.undecided else miss

    def match(issue: Issue) -> Truth:
        shown = issue.shown[name]
        if shown is VACANT:
            return vacant
        if shown is HIDDEN:
            return UNKNOWN
        if not exact.isdisjoint(shown.exact):
            return hit
        if folds.isdisjoint(shown.folds) and kinds.isdisjoint(shown.open):
            return otherwise
        return UNKNOWN

    return match


def _undecided(name: str, vacant: Truth) -> Matcher:
    return lambda issue: vacant if issue.shown[name] is VACANT else UNKNOWN


def _dated(name: str, sense: _Sense, wanted: Wanted, vacant: Truth) -> Matcher:
    def match(issue: Issue) -> Truth:
        shown = issue.shown[name]
        if shown is VACANT:
            return vacant
        if shown.instant is None or wanted.undecided:
            return UNKNOWN
        return _judge(sense, shown.instant, wanted)

    return match


def _judge(sense: _Sense, instant: float, wanted: Wanted) -> Truth:
    """Place an instant before, within or after the windows that dates may mean; no window means EMPTY was asked for."""
    if any(each.earliest <= instant <= each.latest for each in wanted.windows):
        return UNKNOWN
    match sense:
        case _Sense.SAME:
            return NO
        case _Sense.OTHER:
            return YES
        case _Sense.EARLIER:
            return YES if all(instant < each.earliest for each in wanted.windows) else NO
        case _Sense.LATER:
            return YES if all(instant > each.latest for each in wanted.windows) else NO
        case _:
            return UNKNOWN
