import json
from pathlib import Path

import pytest

from policies.jql import before, issue_view, matches, parse, untouched

RECORDED = Path(__file__).resolve().parents[3] / "../shared/jira/fixtures/webhooks"

FIELDS = {
    "project": {"id": "2", "key": "NEW", "name": "New home"},
    "status": {"id": "3", "name": "Done", "statusCategory": {"id": 3, "key": "done", "name": "Done"}},
    "resolution": None,
    "priority": {"id": "1", "name": "High"},
    "assignee": {"accountId": "0123456789abcdef01234567", "displayName": "Ann"},
    "reporter": None,
    "labels": ["a", "b"],
    "components": [{"id": "1", "name": "Core"}, {"id": "2", "name": "Web"}],
    "duedate": "2024-03-06",
    "created": "2024-01-01T00:00:00.000+0000",
    "updated": "2024-03-01T00:00:00.000+0000",
    "resolutiondate": None,
    "customfield_1": {"self": "https://jira.test/rest/api/2/customFieldOption/20", "id": "20", "value": "Blue"},
    "customfield_2": 5,
    "customfield_3": None,
    "customfield_4": "NEW-9",
}
AFTER = issue_view(FIELDS, id="7", key="NEW-1")


def item(field, old, new, **more):
    return {
        "field": field,
        "fieldId": field,
        "from": old[0],
        "fromString": old[1],
        "to": new[0],
        "toString": new[1],
        **more,
    }


STATUS = item("status", ("1", "Open"), ("3", "Done"))
NOTHING = (None, None)


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        (STATUS, "status", {"id": "1", "name": "Open"}),
        ({**STATUS, "fieldId": None, "field": "Status"}, "status", {"id": "1", "name": "Open"}),
        ({**STATUS, "toString": "Erledigt"}, "status", {"id": "1"}),
        (item("resolution", ("1", "Fixed"), NOTHING), "resolution", {"id": "1", "name": "Fixed"}),
        (item("priority", NOTHING, ("1", "High")), "priority", None),
        (item("assignee", NOTHING, ("0123456789abcdef01234567", "Ann")), "assignee", None),
        (item("reporter", ("bob", "Bob B"), NOTHING), "reporter", {"key": "bob", "displayName": "Bob B"}),
        (
            item("reporter", ("bob", "Bob B"), NOTHING, tmpFromAccountId="76543210fedcba9876543210"),
            "reporter",
            {"accountId": "76543210fedcba9876543210", "displayName": "Bob B"},
        ),
        (item("labels", (None, "a c"), (None, "b a")), "labels", ["a", "c"]),
        (item("labels", (None, ""), (None, "a b")), "labels", []),
        (item("components", NOTHING, ("2", "Web")), "components", [{"id": "1", "name": "Core"}]),
        (
            item("components", ("9", "Old"), ("2", "Web")),
            "components",
            [{"id": "1", "name": "Core"}, {"id": "9", "name": "Old"}],
        ),
        (item("duedate", NOTHING, ("2024-03-06", "2024-03-06 00:00:00.0")), "duedate", None),
        (item("duedate", (None, "2024-02-01 00:00:00.0"), ("2024-03-06", "x")), "duedate", "2024-02-01"),
    ],
)
def test_a_listed_change_is_wound_back(change, field, value):
    then = before(AFTER, [change])
    assert then.fields[field] == value
    assert then.key == "NEW-1"
    assert then.fields["created"] == FIELDS["created"]


@pytest.mark.parametrize(
    "change",
    [
        item("status", ("1", "Open"), ("2", "Review")),
        item("priority", ("1", "High"), NOTHING),
        item("assignee", NOTHING, ("somebody", "Some Body")),
        item("labels", (None, "a"), (None, "a b c")),
        item("components", NOTHING, ("9", "Gone")),
        item("duedate", NOTHING, ("2024-03-07", "2024-03-07 00:00:00.0")),
        {"field": "Zustand", "from": "1", "to": "3"},
        {},
    ],
)
def test_a_changelog_that_contradicts_the_issue_or_is_not_understood_tells_nothing(change):
    then = before(AFTER, [STATUS, change])
    assert then.key == ""
    assert set(then.fields) == {"created"}


@pytest.mark.parametrize("items", [None, []])
def test_without_a_changelog_only_what_never_changes_is_known(items):
    then = before(AFTER, items)
    assert (then.id, then.key, set(then.fields)) == ("7", "", {"created"})


def test_a_move_is_wound_back_to_the_old_key_and_project():
    place = item("project", ("1", "Old home"), ("2", "New home"))
    key = {"field": "Key", "from": None, "fromString": "OLD-5", "to": None, "toString": "NEW-1"}
    then = before(AFTER, [place, key])
    assert then.key == "OLD-5"
    assert then.homes == {"1", "OLD", "OLD HOME"}
    assert matches(parse("key = OLD-5 and project = OLD"), then).name == "YES"
    assert matches(parse("project = NEW"), then).name == "NO"


@pytest.mark.parametrize("name", ["project", "Key"])
def test_half_a_move_leaves_key_and_project_hidden(name):
    sides = {"project": (("1", "Old home"), ("2", "New home")), "Key": ((None, "OLD-5"), (None, "NEW-1"))}
    then = before(AFTER, [item(name, *sides[name])])
    assert then.key == ""
    assert "project" not in then.fields


def test_what_changes_without_being_listed_is_hidden():
    then = before(AFTER, [item("labels", (None, "a"), (None, "a b"))])
    assert then.fields["resolutiondate"] is None
    assert not {"updated", "customfield_2", "customfield_3"} & then.fields.keys()
    assert {"customfield_1", "customfield_4"} <= then.fields.keys()
    assert "resolutiondate" not in before(AFTER, [STATUS]).fields


def test_a_changed_custom_field_is_hidden_and_all_of_them_when_it_is_not_told_which():
    change = item("Colour", (None, "Red"), (None, "Blue"), fieldtype="custom")
    named = before(AFTER, [STATUS, {**change, "fieldId": "customfield_1"}])
    unnamed = before(AFTER, [{**change, "fieldId": None}])
    assert {name for name in named.fields if name.startswith("customfield_")} == {"customfield_4"}
    assert not any(name.startswith("customfield_") for name in unnamed.fields)
    assert "status" in unnamed.fields
    assert matches(parse('"Epic Link" = NEW-8'), AFTER).name == "NO"
    assert matches(parse('"Epic Link" = NEW-8'), named).name == "UNKNOWN"


def test_an_event_that_changes_no_field_leaves_all_that_is_certain():
    then = untouched(AFTER)
    assert then.key == "NEW-1"
    assert then.fields["status"] == FIELDS["status"]
    assert "updated" not in then.fields


@pytest.mark.skipif(not RECORDED.is_dir(), reason="the recorded webhook bodies lie beside the repository, not in it")
def test_recorded_bodies_are_shown_and_wound_back():
    seen = 0
    for path in RECORDED.glob("*.json"):
        body = json.loads(path.read_bytes())
        if "issue" not in body:
            continue
        after = issue_view(body["issue"]["fields"], id=body["issue"]["id"], key=body["issue"]["key"])
        then = before(after, (body.get("changelog") or {}).get("items"))
        key = after.key
        assert after.homes is None or key.split("-")[0] in after.homes
        assert matches(parse(f"key = {key} AND id = {after.id}"), after).name == "YES"
        assert matches(parse("id = 1"), then).name == "NO"
        assert all(after.shown[name] is after.shown[name] for name in after.fields)
        seen += 1
    assert seen > 20
