"""Which functions a query calls: some make an issue's place in the answer depend on other issues."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from policies.jql.query import Call, Query

_OF_THE_ISSUE_ITSELF = frozenset(
    (
        "approved",
        "approver",
        "breached",
        "cascadeoption",
        "closedsprints",
        "completed",
        "componentsleadbyuser",
        "currentlogin",
        "currentuser",
        "earliestunreleasedversion",
        "elapsed",
        "endofday",
        "endofmonth",
        "endofweek",
        "endofyear",
        "everbreached",
        "futuresprints",
        "issuehistory",
        "lastlogin",
        "latestreleasedversion",
        "linkedissues",
        "membersof",
        "myapproval",
        "mypending",
        "now",
        "opensprints",
        "organizationmembers",
        "paused",
        "pending",
        "pendingby",
        "projectsleadbyuser",
        "projectswhereuserhaspermission",
        "projectswhereuserhasrole",
        "releasedversions",
        "remaining",
        "running",
        "standardissuetypes",
        "startofday",
        "startofmonth",
        "startofweek",
        "startofyear",
        "subtaskissuetypes",
        "unreleasedversions",
        "updatedby",
        "votedissues",
        "watchedissues",
        "withincalendarhours",
    )
)
"""Functions that look at an issue, its caller, its links, its versions and sprints, and the time; never at what other
issues are like. Names in lower case, from Atlassian's reference of JQL functions."""


def functions(query: Query) -> frozenset[str]:
    """Name the functions that a query calls, in lower case."""
    return frozenset(name.lower() for name in _calls(query))


def looks_at_other_issues(query: Query) -> bool:
    """Tell whether a change of one issue may move another in or out of the answer; functions of apps may always."""
    return not functions(query) <= _OF_THE_ISSUE_ITSELF


def _calls(node: object) -> Iterator[str]:
    if isinstance(node, Call):
        yield node.name
    elif isinstance(node, tuple):
        for inner in node:
            yield from _calls(inner)
    elif is_dataclass(node):
        for each in fields(node):
            yield from _calls(getattr(node, each.name))
