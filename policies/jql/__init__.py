"""Jira's query language: read it, and tell whether a change of an issue may change a query's answer.

query = parse(text)
match = compile_query(query)                     # once per live search
after = issue_view(body["issue"]["fields"], id=..., key=...)
may_affect(match, after, before(after, changelog_items))
"""

from policies.jql.changelog import before, untouched
from policies.jql.comparison import Matcher
from policies.jql.errors import JqlError
from policies.jql.functions import looks_at_other_issues
from policies.jql.issue import Issue, issue_view
from policies.jql.matcher import affected, compile_query, matches, may_affect, unknown
from policies.jql.parser import parse
from policies.jql.projects import projects
from policies.jql.query import Query
from policies.jql.sources import Site
from policies.jql.truth import Truth

__all__ = [
    "Issue",
    "JqlError",
    "Matcher",
    "Query",
    "Site",
    "Truth",
    "affected",
    "before",
    "compile_query",
    "issue_view",
    "looks_at_other_issues",
    "matches",
    "may_affect",
    "parse",
    "projects",
    "unknown",
    "untouched",
]
