"""Every webhook event of Jira makes old what shows what it changed. The bodies are ours; recorded ones run too."""

import csv
import json
from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from policies import jql
from policies.announcements import ANYTHING, LIMIT
from policies.change import Change
from policies.model import EVERYTHING, Policy, Read, Request
from policies.references import references
from policies.rulebook import PolicyError, Rulebook

HERE = Path(__file__).resolve().parent
LAW = HERE.parents[1] / "policies"
GIVEN = HERE.parents[1] / "../shared/jira"
TYPES = (
    *("issue", "project", "user", "field", "search", "aggregation", "prediction", "metadata", "board", "sprint"),
    *("filter", "dashboard", "servicedesk", "permission", "media", "server"),
)
PROJECT = {"self": "https://jira.example/rest/api/2/project/100", "id": "100", "key": "PROJ", "name": "Project"}
STATUS = {"self": "https://jira.example/rest/api/2/status/3", "id": "3", "name": "Doing"}
FIELDS = {
    "project": PROJECT,
    "status": STATUS,
    "assignee": None,
    "labels": ["a"],
    "created": "2026-01-02T03:04:05.000+0000",
}
ISSUE = {"id": "10001", "key": "PROJ-1", "self": "https://jira.example/rest/api/2/issue/10001", "fields": FIELDS}
COMMENT = {"id": "5", "self": "https://jira.example/rest/api/2/issue/10001/comment/5"}
ATTACHMENT = {"id": "70", "self": "https://jira.example/rest/api/2/attachment/70"}
WORKLOG = {"id": "8", "issueId": "10001", "self": "https://jira.example/rest/api/2/issue/10001/worklog/8"}
LINK = {"id": 12, "sourceIssueId": 10001, "destinationIssueId": 10002}
SPRINT = {"id": 7, "name": "Sprint", "state": "active", "originBoardId": 5}
BOARD = {"id": 5, "name": "Board"}
CONFIGURATION = {"id": 5, "filter": {"id": "44"}}
VERSION = {"id": "31", "projectId": 100, "name": "1.0"}
FILTER = {"id": "44", "name": "Mine"}
USER = {"accountId": "712020:a-b", "displayName": "Alice"}
LOGIN = {"key": "JIRAUSER1", "name": "alice"}


def moved(fieldid, old, new):
    return {"field": fieldid, "fieldId": fieldid, "from": None, "fromString": old, "to": None, "toString": new}


def issue(**fields):
    return ISSUE | {"fields": FIELDS | fields}


MOVE = {"items": [moved("Key", "OLD-9", "PROJ-1"), moved("project", "Old", "Project") | {"from": "99", "to": "100"}]}
SUBTASK = {"id": "10003", "key": "PROJ-3", "fields": {}}

ISSUE_1 = "api/3/issue/PROJ-1"
BY_ID = "api/3/issue/10001"
BY_ID_2 = "api/3/issue/10002"
COMMENTS = "api/3/issue/10001/comment"
BOARD_LIST = "agile/1.0/board/5/issue"
LABELS = "api/3/label"
SITE = "api/3/configuration"

# Event, what its body has besides its name, reads that it must make old, and which searches: "all", "some" (those that
# the issue concerns which the body shows) or "none".
EVENTS = [
    ("jira:issue_created", {"issue": ISSUE}, [ISSUE_1, BY_ID, BOARD_LIST, LABELS], "some"),
    (
        "jira:issue_updated",
        {"issue": ISSUE, "changelog": {"items": []}},
        [ISSUE_1, BY_ID, COMMENTS, BOARD_LIST],
        "some",
    ),
    ("jira:worklog_updated", {"issue": ISSUE}, [ISSUE_1, "api/3/issue/PROJ-1/worklog"], "some"),
    ("jira:issue_deleted", {"issue": ISSUE}, [ISSUE_1, BY_ID, BOARD_LIST], "all"),
    ("issue_property_set", {"issue": ISSUE, "property": {"key": "x"}}, ["api/3/issue/PROJ-1/properties/x"], "some"),
    (
        "issue_property_deleted",
        {"property": {"key": "x", "self": "https://jira.example/rest/api/2/issue/10001/properties/x"}},
        ["api/3/issue/10001/properties"],
        "all",
    ),
    ("worklog_created", {"worklog": WORKLOG}, [BY_ID, "api/2/issue/10001/worklog"], "all"),
    ("worklog_updated", {"worklog": WORKLOG}, [BY_ID, "api/2/issue/10001/worklog/8"], "all"),
    ("worklog_deleted", {"worklog": WORKLOG}, [BY_ID, "POST api/3/worklog/list"], "all"),
    (
        "comment_created",
        {"comment": COMMENT, "issue": ISSUE},
        [ISSUE_1, COMMENTS, "servicedeskapi/request/PROJ-1"],
        "some",
    ),
    ("comment_updated", {"comment": COMMENT}, [COMMENTS, "api/3/comment/5/properties"], "all"),
    ("comment_deleted", {"comment": COMMENT, "user": LOGIN}, [COMMENTS, BY_ID], "all"),
    ("attachment_created", {"attachment": ATTACHMENT, "issue": ISSUE}, [ISSUE_1, "api/3/attachment/70"], "some"),
    ("attachment_deleted", {"attachment": ATTACHMENT}, [ISSUE_1, BY_ID, "api/3/attachment/70"], "all"),
    ("issuelink_created", {"issueLink": LINK}, [BY_ID, BY_ID_2, "api/3/issueLink/12"], "all"),
    ("issuelink_deleted", {"issueLink": LINK}, [BY_ID, BY_ID_2, "api/3/issueLink/12"], "all"),
    ("issuetype_created", {"issuetype": {"id": "1"}}, ["api/3/issuetype", "api/3/issue/createmeta"], "all"),
    ("issuetype_updated", {"issuetype": {"id": "1"}}, [ISSUE_1, "api/3/issuetype/1"], "all"),
    ("issuetype_deleted", {"issuetype": {"id": "1"}}, [ISSUE_1, "api/3/project/PROJ"], "all"),
    ("project_created", {"project": PROJECT | {"id": 100}}, ["api/3/project/PROJ", "agile/1.0/board"], "none"),
    ("project_updated", {"project": PROJECT | {"id": 100}}, ["api/3/project/PROJ", ISSUE_1], "all"),
    ("project_deleted", {"project": PROJECT | {"id": 100}}, ["api/3/project/PROJ", BY_ID], "all"),
    ("project_soft_deleted", {"project": PROJECT}, ["api/3/project", ISSUE_1], "all"),
    ("project_restored_deleted", {"project": PROJECT}, ["api/3/project", ISSUE_1], "all"),
    ("project_archived", {"project": PROJECT}, ["api/3/project", ISSUE_1], "all"),
    ("project_restored_archived", {"project": PROJECT}, ["api/3/project", ISSUE_1], "all"),
    ("jira:version_released", {"version": VERSION}, ["api/3/version/31", "api/3/project/PROJ/versions"], "all"),
    ("jira:version_unreleased", {"version": VERSION}, ["api/3/version/31", "api/3/project/PROJ"], "all"),
    (
        "jira:version_created",
        {"version": VERSION},
        ["api/3/project/PROJ/versions", "agile/1.0/board/5/version"],
        "none",
    ),
    ("jira:version_moved", {"version": VERSION}, ["api/3/project/PROJ/version"], "all"),
    ("jira:version_updated", {"version": VERSION}, ["api/3/version/31", "api/3/issue/createmeta"], "all"),
    ("jira:version_merged", {"version": VERSION, "mergedTo": {"id": "32"}}, ["api/3/version/32", ISSUE_1], "all"),
    ("jira:version_deleted", {"version": VERSION}, ["api/3/version/31", ISSUE_1], "all"),
    ("filter_created", {"filter": FILTER}, ["api/3/filter/44", "api/3/filter/my"], "none"),
    ("filter_updated", {"filter": FILTER}, ["api/3/filter/44", BOARD_LIST, "api/3/dashboard/1"], "all"),
    ("filter_deleted", {"filter": FILTER}, ["api/3/filter/44", "agile/1.0/board/filter/44"], "all"),
    ("user_created", {"user": USER}, ["api/3/user?accountId=712020%3Aa-b", "api/3/user/search"], "none"),
    ("user_updated", {"user": USER}, ["api/3/user?accountId=712020%3Aa-b", "api/3/group/member"], "all"),
    ("user_deleted", {"user": LOGIN}, ["api/2/user?username=alice", "api/2/user?key=JIRAUSER1"], "all"),
    ("option_voting_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_watching_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_unassigned_issues_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_subtasks_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_attachments_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_issuelinks_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_timetracking_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("option_timetracking_provider_changed", {"property": {"key": "x"}}, [SITE, ISSUE_1], "all"),
    ("sprint_created", {"sprint": SPRINT}, ["agile/1.0/board/5/sprint"], "all"),
    ("sprint_updated", {"sprint": SPRINT, "oldValue": SPRINT}, ["agile/1.0/sprint/7", BOARD_LIST], "all"),
    ("sprint_deleted", {"sprint": SPRINT}, ["agile/1.0/sprint/7", ISSUE_1], "all"),
    ("sprint_started", {"sprint": SPRINT}, ["agile/1.0/sprint/7/issue", "agile/1.0/board/5/sprint"], "all"),
    ("sprint_closed", {"sprint": SPRINT}, ["agile/1.0/sprint/7", ISSUE_1, BOARD_LIST], "all"),
    ("board_created", {"board": BOARD}, ["agile/1.0/board"], "none"),
    ("board_updated", {"board": BOARD}, ["agile/1.0/board/5", "greenhopper/1.0/rapidview"], "none"),
    ("board_deleted", {"board": BOARD}, ["agile/1.0/board/5/sprint", BOARD_LIST], "none"),
    (
        "board_configuration_changed",
        {"configuration": CONFIGURATION},
        ["agile/1.0/board/5/configuration", BOARD_LIST, "agile/1.0/issue/PROJ-1/estimation?boardId=5"],
        "none",
    ),
    ("app_access_to_objects_blocked", {}, [ISSUE_1], "all"),
    ("app_access_to_objects_in_container_blocked", {}, [ISSUE_1], "all"),
    ("jira_expression_evaluation_failed", {"errors": []}, [], "none"),
]

# Shapes that are told in another way: (name of the event or None, body or None, query of the URL, reads, searches).
SHAPES = [
    (None, {"accountId": "712020:a-b", "username": "x"}, {}, ["api/3/user?accountId=712020%3Aa-b"], "all"),
    (None, {"accountId": "712020:a-b", "username": "x"}, {}, ["api/3/users/search"], "all"),
    (None, None, {"issue": "PROJ-1", "project": "PROJ"}, [ISSUE_1, BOARD_LIST], "all"),
    (None, None, {"issue": "proj-1"}, [ISSUE_1], "all"),
    (None, None, {"issue_id": "10001", "issue": "${issue.key}"}, [BY_ID], "all"),
    (None, None, {"issue": "${issue.key}", "project": "PROJ"}, ["api/3/project/PROJ", BY_ID, BOARD_LIST], "all"),
    (None, None, {"issue": "${issue.key}"}, [SITE, ISSUE_1], "all"),
    (None, None, {}, [SITE, ISSUE_1], "all"),
    (None, {}, {}, [SITE, ISSUE_1], "all"),
    ("issue_archived", {"issue": ISSUE}, [ISSUE_1, BY_ID, BOARD_LIST], "all"),
    ("vote_cast", {"issueId": 10001}, [BY_ID], "all"),
    ("remote_link", {"self": "https://jira.example/rest/api/3/issue/10001/remotelink/3"}, [BY_ID], "all"),
    ("component_created", {"component": {"id": "1"}, "projectId": 100}, ["api/3/component/1", ISSUE_1], "all"),
    ("unheard_of", {"thing": 1}, {}, [SITE, ISSUE_1], "all"),
    ("comment_created", {"comment": {"id": "5"}}, [SITE, COMMENTS], "all"),
    ("worklog_created", {"worklog": {"id": "5"}}, [SITE, COMMENTS], "all"),
    ("issuelink_created", {"issueLink": {}}, [SITE, BY_ID], "all"),
    ("sprint_closed", {"sprint": None}, [SITE, BY_ID], "all"),
    ("jira:issue_updated", {"issue": "PROJ-1"}, [SITE, ISSUE_1], "all"),
    ("jira:issue_updated", {"issue": {"id": 10001}}, [BY_ID], "some"),
    (
        "attachment_created",
        {"attachment": {"self": "https://jira.example/rest/api/2/attachment/70"}},
        ["api/2/attachment/70"],
        "all",
    ),
]
SHAPES = [(each[0], each[1], each[2] if len(each) == 5 else {}, *each[-2:]) for each in SHAPES]


def text_of(name):
    return (LAW / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rulebook():
    return Rulebook.load(text_of("resources.yaml"), text_of("events.yaml"), {name: Policy(60) for name in TYPES})


def announced(rulebook, event, **members):
    return rulebook.announced(event, {"timestamp": 1, "webhookEvent": event} | members, {})


def tags_of(rulebook, asked):
    """Tell the tags of a read, written as `api/3/field` or `POST api/3/search`."""
    method, _, target = asked.rpartition(" ")
    path, _, query = target.partition("?")
    match = rulebook.classify(Request(method or "GET", f"/rest/{path}", query))
    assert isinstance(match, Read), asked
    return frozenset(match.tags)


def check(rulebook, change, reads, searches):
    missed = [asked for asked in reads if not change.tags & tags_of(rulebook, asked)]
    assert not missed, change
    assert change.everything == (searches == "all")
    assert bool(change.issues) == (searches == "some") or change.everything
    # Lists that have no query we could ask, a board's for one, are old wherever searches are.
    assert bool(change.tags & {"issues", "*"}) >= (searches != "none")


# ---------------------------------------------------------------- every event


@pytest.mark.parametrize(("event", "members", "reads", "searches"), EVENTS, ids=[each[0] for each in EVENTS])
def test_an_event_makes_old_what_shows_what_it_changed(rulebook, event, members, reads, searches):
    check(rulebook, announced(rulebook, event, **members), reads, searches)


@pytest.mark.parametrize(("event", "body", "query", "reads", "searches"), SHAPES)
def test_an_event_that_says_less_may_have_changed_more(rulebook, event, body, query, reads, searches):
    check(rulebook, rulebook.announced(event, body, query), reads, searches)


def test_every_event_of_the_law_has_a_test_row(rulebook):
    assert Counter(each[0] for each in EVENTS) == Counter(rulebook.events)


def test_every_event_of_jira_has_a_row(rulebook):
    if not (GIVEN / "webhook_events.tsv").exists():
        pytest.skip("the list of Jira's events is not beside this repository")
    with (GIVEN / "webhook_events.tsv").open(encoding="utf-8", newline="") as lines:
        listed = {row["event"] for row in csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE)}
    assert len(listed) == 59
    assert listed == rulebook.events


def test_every_row_of_an_event_is_used_by_a_test_row(rulebook):
    """A row is used if the law without it would tell a test row another change."""
    table = yaml.safe_load(text_of("events.yaml"))
    for name, columns in table.items():
        if "event" in columns:
            rest = yaml.safe_dump({other: row for other, row in table.items() if other != name})
            without = Rulebook.load(text_of("resources.yaml"), rest, {name: Policy(60) for name in TYPES})
            assert any(
                without.announced(event, body, query) != changed for event, body, query, changed in _all_rows(rulebook)
            ), name


def _all_rows(rulebook):
    rows = [(event, {"webhookEvent": event} | members, {}) for event, members, _, _ in EVENTS]
    rows += [(event, body, query) for event, body, query, _, _ in SHAPES]
    return [(*row, rulebook.announced(*row)) for row in rows]


# ---------------------------------------------------------------- what embeds what changed

EMBEDS = [
    ("sprint_started", {"sprint": SPRINT}, {"fields": {"customfield_1": [{"id": 7, "name": "S", "state": "future"}]}}),
    ("sprint_updated", {"sprint": SPRINT}, {"values": [{"id": 7, "self": "https://x/rest/agile/1.0/sprint/7"}]}),
    ("jira:version_released", {"version": VERSION}, {"fixVersions": [{"self": "https://x/rest/api/2/version/31"}]}),
    ("jira:version_merged", {"version": VERSION}, {"versions": [{"self": "https://x/rest/api/3/version/31"}]}),
    ("jira:version_created", {"version": VERSION}, {"fields": {"project": PROJECT}}),
    ("user_updated", {"user": USER}, {"fields": {"assignee": USER}}),
    ("user_deleted", {"user": LOGIN}, {"author": {"self": "https://x/rest/api/2/user?username=alice", **LOGIN}}),
    ("jira:issue_updated", {"issue": ISSUE}, {"fields": {"subtasks": [{"id": "10001", "key": "PROJ-1"}]}}),
    ("comment_created", {"comment": COMMENT}, {"issues": [{"id": "10001", "key": "PROJ-1", "fields": {}}]}),
    ("board_updated", {"board": BOARD}, {"values": [{"id": 7, "originBoardId": 5}]}),
    ("filter_updated", {"filter": FILTER}, {"filter": {"id": "44"}}),
]


@pytest.mark.parametrize(("event", "members", "shown"), EMBEDS)
def test_an_event_reaches_what_an_answer_embeds(rulebook, event, members, shown):
    assert announced(rulebook, event, **members).tags & references(json.dumps(shown).encode()).tags


SPARES = [
    ("jira:issue_updated", {"issue": ISSUE}, "api/3/issue/PROJ-2"),
    ("jira:issue_updated", {"issue": ISSUE}, "api/3/project/PROJ"),
    ("jira:issue_deleted", {"issue": ISSUE}, "api/3/issue/PROJ-2"),
    ("comment_created", {"comment": COMMENT}, "api/3/issue/PROJ-2"),
    ("worklog_created", {"worklog": WORKLOG}, "api/3/field"),
    ("issuelink_created", {"issueLink": LINK}, "api/3/issue/10003"),
    ("sprint_started", {"sprint": SPRINT}, "api/3/issue/PROJ-1"),
    ("jira:version_created", {"version": VERSION}, "api/3/issue/PROJ-1"),
    ("board_updated", {"board": BOARD}, "api/3/issue/PROJ-1"),
    ("user_created", {"user": USER}, "api/3/issue/PROJ-1"),
    ("filter_updated", {"filter": FILTER}, "api/3/issue/PROJ-1"),
    ("jira_expression_evaluation_failed", {}, "api/3/issue/PROJ-1"),
]


@pytest.mark.parametrize(("event", "members", "asked"), SPARES)
def test_an_event_spares_what_does_not_show_what_it_changed(rulebook, event, members, asked):
    assert not announced(rulebook, event, **members).tags & tags_of(rulebook, asked)


# ---------------------------------------------------------------- issues, before and after


def shows(state):
    return (state.id, state.key, sorted(state.fields)) if state is not None else None


NOW = ("10001", "PROJ-1", sorted(FIELDS))
UNTOUCHED = ("10001", "PROJ-1", sorted(FIELDS))
UNKNOWN = ("10001", "", ["created"])
STATUS_CHANGE = {
    "items": [
        {"field": "status", "fieldId": "status", "from": "1", "fromString": "To do", "to": "3", "toString": "Doing"}
    ]
}
STRANGE = {"items": [{"field": "status", "fieldId": "status", "from": ["1"], "to": "3"}]}


@pytest.mark.parametrize(
    ("event", "members", "before", "after"),
    [
        ("jira:issue_created", {}, None, NOW),
        ("jira:issue_deleted", {}, NOW, None),
        ("comment_created", {"comment": COMMENT}, UNTOUCHED, NOW),
        ("jira:issue_updated", {"changelog": STATUS_CHANGE}, UNTOUCHED, NOW),
        ("jira:issue_updated", {}, UNKNOWN, NOW),
        ("jira:issue_updated", {"changelog": {"items": []}, "issue_event_type_name": "issue_assigned"}, UNKNOWN, NOW),
        ("jira:issue_updated", {"issue_event_type_name": "issue_commented"}, UNTOUCHED, NOW),
        (
            "jira:issue_updated",
            {"issue_event_type_name": "issue_commented", "changelog": STATUS_CHANGE},
            UNTOUCHED,
            NOW,
        ),
        ("jira:issue_updated", {"changelog": STRANGE}, UNKNOWN, NOW),
        ("jira:issue_updated", {"changelog": "none"}, UNKNOWN, NOW),
    ],
)
def test_an_event_tells_how_its_issue_was_and_is(rulebook, event, members, before, after):
    (changed,) = announced(rulebook, event, issue=ISSUE, **members).issues
    assert (shows(changed.before), shows(changed.after)) == (before, after)


def test_the_changelog_tells_how_an_issue_was(rulebook):
    (changed,) = announced(rulebook, "jira:issue_updated", issue=ISSUE, changelog=STATUS_CHANGE).issues
    assert (changed.before.fields["status"]["name"], changed.after.fields["status"]["name"]) == ("To do", "Doing")
    for query in ("status = Doing", "status = 'To do'"):
        assert jql.affected(jql.parse(query), changed.after, changed.before)
    assert not jql.affected(jql.parse("status = Done"), changed.after, changed.before)


def test_a_comment_leaves_a_search_alone_that_its_issue_cannot_match(rulebook):
    (changed,) = announced(rulebook, "comment_created", issue=ISSUE, comment=COMMENT).issues
    assert not jql.affected(jql.parse("project = OTHER AND updated > -1d"), changed.after, changed.before)
    assert jql.affected(jql.parse("updated > -1d"), changed.after, changed.before)


def test_a_comment_concerns_each_search_that_asks_for_what_it_changes(rulebook):
    (changed,) = announced(rulebook, "comment_created", issue=ISSUE, comment=COMMENT).issues
    for query in ("updated > '2030-01-01'", "comment ~ hello", "worklogDate = now()", "text ~ hello"):
        assert jql.affected(jql.parse(query), changed.after, changed.before)


def test_a_move_concerns_both_keys_and_both_projects(rulebook):
    change = announced(rulebook, "jira:issue_updated", issue=ISSUE, changelog=MOVE)
    assert {"issue:OLD-9", "issue:PROJ-1", "issue:10001"} <= change.tags
    assert {"project:OLD:issues", "project:99:issues", "project:PROJ:issues", "project:100:issues"} <= change.tags
    (changed,) = change.issues
    assert (changed.before.key, changed.after.key) == ("OLD-9", "PROJ-1")


def test_subtasks_move_with_their_issue(rulebook):
    change = announced(rulebook, "jira:issue_updated", issue=issue(subtasks=[SUBTASK]), changelog=MOVE)
    assert {"issue:10003", "issue:PROJ-3"} <= change.tags
    assert change.projects == {"OLD", "PROJ"}


def test_subtasks_are_deleted_with_their_issue(rulebook):
    change = announced(rulebook, "jira:issue_deleted", issue=issue(subtasks=[SUBTASK, "odd"]))
    assert {"issue:10003", "issue:PROJ-3"} <= change.tags
    assert change.projects == {"PROJ"}


@pytest.mark.parametrize(
    "item",
    [
        {"field": "Sprint", "fieldtype": "custom", "from": "4", "to": "5"},  # old Servers
        {"field": "スプリント", "fieldId": "customfield_10020", "from": "", "to": "5"},
        {"field": "security", "fieldId": "security", "from": None, "to": "10000"},
        {"field": "Security", "from": None, "to": "10000"},
    ],
)
def test_subtasks_have_the_sprint_and_the_security_level_of_their_issue(rulebook, item):
    said = {"issue": issue(subtasks=[SUBTASK]), "changelog": {"items": [*STATUS_CHANGE["items"], item]}}
    change = announced(rulebook, "jira:issue_updated", **said)
    assert {"issue:10003", "issue:PROJ-3"} <= change.tags
    assert change.projects == {"PROJ"}


def test_subtasks_are_let_alone_when_their_issue_stays(rulebook):
    change = announced(rulebook, "jira:issue_updated", issue=issue(subtasks=[SUBTASK]), changelog=STATUS_CHANGE)
    assert "issue:10003" not in change.tags
    assert change.projects == frozenset()


def linked(key):
    return {"type": {"name": "Blocks"}, "outwardIssue": {"id": "10004", "key": key}}


@pytest.mark.parametrize(
    ("fields", "items", "named"),
    [
        ({"parent": {"id": "10009", "key": "PROJ-9"}}, [], {"issue:10009", "issue:PROJ-9"}),
        ({"issuelinks": [linked("PROJ-4")]}, [], {"issue:10004", "issue:PROJ-4"}),
        ({}, [moved("Epic Link", "PROJ-5", "PROJ-6")], {"issue:PROJ-5", "issue:PROJ-6"}),
        ({}, [moved("Parent", "PROJ-7", None)], {"issue:PROJ-7"}),
        ({}, [moved("Link", None, "blocks it") | {"to": "PROJ-8"}], {"issue:PROJ-8"}),
        ({}, [moved("summary", "not a key", "nor 1-2")], set()),
    ],
)
def test_neighbours_of_an_issue_are_old_with_it(rulebook, fields, items, named):
    change = announced(rulebook, "jira:issue_updated", issue=issue(**fields), changelog={"items": items})
    own = {"issue:10001", "issue:PROJ-1"}
    assert {tag for tag in change.tags if tag.startswith("issue:")} == own | named
    assert len(change.issues) == 1


def test_a_change_of_more_things_than_can_be_named_is_one_of_everything(rulebook):
    links = [linked(f"PROJ-{number}") for number in range(LIMIT)]
    assert announced(rulebook, "jira:issue_updated", issue=issue(issuelinks=links)) == ANYTHING


# ---------------------------------------------------------------- any body at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
MEMBERS = st.sampled_from(
    (
        *("issue", "changelog", "items", "fields", "id", "key", "self", "project", "subtasks", "parent", "issuelinks"),
        *("comment", "worklog", "issueId", "field", "fieldId", "from", "to", "fromString", "toString", "status"),
    )
)
LIKELY = st.recursive(
    JSON | st.sampled_from(["PROJ-1", "10001", 10001, "Key", "status", "labels"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=5),
    max_leaves=25,
)
ITEM = st.dictionaries(st.sampled_from(["field", "fieldId", "from", "to", "fromString", "toString"]), LIKELY)
ISSUES = st.fixed_dictionaries({"id": st.just("10001") | LIKELY}, optional={"key": LIKELY, "fields": LIKELY})
BODIES = LIKELY | st.fixed_dictionaries(
    {"issue": ISSUES, "changelog": st.fixed_dictionaries({"items": st.lists(ITEM)})}
)
QUERIES = [
    jql.compile_query(jql.parse(text))
    for text in (
        "project = A",
        "status = B and assignee = c",
        "labels not in (a)",
        "created < 2026-01-01",
        "parent = A-1",
    )
]


@settings(max_examples=150, deadline=None)
@given(event=st.sampled_from([each[0] for each in EVENTS]) | st.none() | st.text(max_size=5), body=BODIES)
def test_any_body_is_read_to_some_end(rulebook, event, body):
    change = rulebook.announced(event, body, {"issue": "${issue.key}"})
    assert isinstance(change, Change)
    assert all(isinstance(tag, str) and tag for tag in change.tags)
    for changed in change.issues:
        for query in QUERIES:
            assert jql.may_affect(query, changed.after, changed.before) in (True, False)


RECORDED = sorted((GIVEN / "fixtures/webhooks").glob("*.json"))


@pytest.mark.skipif(not RECORDED, reason="recorded webhooks are not beside this repository")
@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_a_recorded_body_names_its_issue(rulebook, path):
    body = json.loads(path.read_bytes())
    change = rulebook.announced(body["webhookEvent"], body, {})
    shown = body.get("issue") or {"id": body["comment"]["self"].split("/")[-3]}
    assert {f"issue:{shown[name]}" for name in ("id", "key") if name in shown} <= change.tags
    assert "issues" in change.tags
    assert EVERYTHING not in change.tags
    assert change.everything != bool(change.issues)
    assert len(change.issues) == ("issue" in body)


# ---------------------------------------------------------------- loading

BAD = [
    ("a: {event: x}", "row a: column tags: an event names what it makes old"),
    ("a: {event: x, tags: [y], nothing: z}", "row a: column tags"),
    ("a: {event: x, tags: ['y:{issue}']}", "row a: column tags: {issue} is no placeholder"),
    ("a: {event: x, tags: ['y:{answer.id}']}", "row a: column tags: may look only at query, body"),
    ("a: {event: x, tags: ['y:{body.id|upper}']}", "row a: column tags: {body.id|upper} is not a place"),
    ("a: {event: x, issue: shown}", "row a: column issue: 'shown' is none of created, changed, deleted, touched"),
    ("a: {event: x, issue: [created]}", "row a: column issue"),
    ("a: {event: x, tags: [y], searches: some}", "row a: column searches: 'some' is none of all"),
    ("a: {event: x, tags: [y], otherwise: [z]}", "row a: column otherwise: is no column"),
    ("a: {event: [1], tags: [y]}", "row a: column event: 1 is not text"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_a_bad_event_row_stops_the_start_and_names_its_place(text, message):
    with pytest.raises(PolicyError) as error:
        Rulebook.load("", text, {})
    assert str(error.value).startswith(f"events.yaml: {message}")


def test_without_any_row_an_event_may_have_changed_anything():
    assert Rulebook.load("", "", {}).announced("jira:issue_updated", {"issue": ISSUE}, {}) == ANYTHING
