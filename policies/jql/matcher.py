"""Tells whether a query matches an issue of which only some is known: yes, no, or unknown.

A query is made into closures once, to be run on many issues; what can be worked out from the query alone is worked out
then. NOT is pushed down to the comparisons, as Jira does, so no YES ever becomes a NO.
"""

from typing import assert_never

from policies.jql.comparison import NO, UNKNOWN, YES, Matcher, always, compare
from policies.jql.issue import Issue
from policies.jql.query import And, Clause, Comparison, History, Not, Or, Query
from policies.jql.sources import USUAL, Site, is_undecidable
from policies.jql.truth import Truth


def compile_query(query: Query, site: Site = USUAL) -> Matcher:
    """Make `query` into a function that tells whether the query matches an issue."""
    return always(YES) if query.where is None else _compile(query.where, site, negated=False)


def matches(query: Query, issue: Issue, site: Site = USUAL) -> Truth:
    """Tell whether `query` matches `issue`. Whoever asks often compiles once."""
    return compile_query(query, site)(issue)


def affected(query: Query, after: Issue | None, before: Issue | None, site: Site = USUAL) -> bool:
    """Tell whether a change may change the answer of `query`: see `may_affect`."""
    return may_affect(compile_query(query, site), after, before)


def may_affect(matcher: Matcher, after: Issue | None, before: Issue | None) -> bool:
    """Tell whether a change from `before` to `after` may change the answer of a compiled query.

    A created issue has no `before`, a deleted one no `after`. False only where neither state can match.
    """
    return any(state is not None and matcher(state) is not NO for state in (after, before))


def unknown(query: Query, site: Site = USUAL) -> tuple[str, ...]:
    """List the clauses, as canonical JQL, that nothing an issue shows could rule out."""
    return () if query.where is None else tuple(map(str, _undecidable(query.where, site)))


def _undecidable(clause: Clause, site: Site) -> list[Clause]:
    match clause:
        case And(clauses) | Or(clauses):
            return [each for inner in clauses for each in _undecidable(inner, site)]
        case Not(inner):
            return _undecidable(inner, site)
        case History():
            return [clause]
        case Comparison():
            return [clause] if is_undecidable(clause, site) else []
        case never:
            assert_never(never)


def _compile(clause: Clause, site: Site, *, negated: bool) -> Matcher:
    match clause:
        case Not(inner):
            return _compile(inner, site, negated=not negated)
        case And(clauses) | Or(clauses):
            parts = tuple(_compile(each, site, negated=negated) for each in clauses)
            return _all(parts) if isinstance(clause, And) is not negated else _any(parts)
        case History():
            return always(UNKNOWN)
        case Comparison():
            return compare(clause, site, negated=negated)
        case never:
            assert_never(never)


def _all(parts: tuple[Matcher, ...]) -> Matcher:
    def match(issue: Issue) -> Truth:
        result = YES
        for part in parts:
            truth = part(issue)
            if truth is NO:
                return NO
            if truth is UNKNOWN:
                result = UNKNOWN
        return result

    return match


def _any(parts: tuple[Matcher, ...]) -> Matcher:
    def match(issue: Issue) -> Truth:
        result = NO
        for part in parts:
            truth = part(issue)
            if truth is YES:
                return YES
            if truth is UNKNOWN:
                result = UNKNOWN
        return result

    return match
