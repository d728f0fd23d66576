"""Every operation of Jira's APIs gets the right answer: kept, never kept, or a write that makes the right things old.

The tables beneath tables/ are ours. The table of Jira Cloud that the project was given is used where it is present.
"""

import csv
from itertools import takewhile
from pathlib import Path

import pytest
import yaml

from policies.model import Pass, Policy, Read, Request, Why, Write
from policies.rulebook import Rulebook

HERE = Path(__file__).resolve().parent
LAW = HERE.parents[1] / "policies"
GIVEN = HERE.parents[1] / "../shared/jira/operations.tsv"
TYPES = (
    *("issue", "project", "user", "field", "search", "aggregation", "prediction", "metadata", "board", "sprint"),
    *("filter", "dashboard", "servicedesk", "permission", "media", "server"),
)
KINDS = {"cache": Read, "never": Pass, "forward": Write, "either": (Read, Pass)}

# Operations of the given table whose expectation we correct -> why.
EXCEPTIONS: dict[tuple[str, str], str] = {}

# Writes whose nearest reads are not what they change -> what they change instead.
ELSEWHERE = {
    ("POST", "/rest/api/3/app/field/value"): "issues show the values; the reads beside it are of configurations",
    ("PUT", "/rest/api/3/app/field/{fieldIdOrKey}/value"): "the same",
}


def table(path):
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


OWN = [row for path in sorted((HERE / "tables").glob("*.tsv")) for row in table(path)]


def text_of(name):
    return (LAW / name).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def rulebook():
    policies = {name: Policy(60) for name in TYPES}
    return Rulebook.load(text_of("resources.yaml"), text_of("events.yaml"), policies)


@pytest.fixture(scope="module")
def given_rows():
    if not GIVEN.exists():
        pytest.skip("the table of Jira Cloud's operations is not beside this repository")
    return [row for row in table(GIVEN) if (row["method"], row["path"]) not in EXCEPTIONS]


def disagreement(rulebook, row, path):
    """Say how the rulebook disagrees with a table's row, or nothing."""
    match = rulebook.classify(Request(row["method"], path))
    if not isinstance(match, KINDS[row["expect"]]):
        return f"{row['method']} {path}: expected {row['expect']}, not {match}"
    if row["expect"] != "either" and row["type"] not in ("-", match.type):
        return f"{row['method']} {path}: expected type {row['type']}, not {match.type}"
    return None


def disagreements(rulebook, rows, spelled=lambda path: path):
    return [found for row in rows if (found := disagreement(rulebook, row, spelled(row["path"])))]


@pytest.mark.parametrize("row", OWN, ids=lambda row: f"{row['method']} {row['path']}")
def test_our_tables_agree(rulebook, row):
    assert disagreement(rulebook, row, row["path"]) is None


@pytest.mark.parametrize("version", ["2", "3", "latest"])
def test_the_given_table_agrees_in_every_version_of_the_api(rulebook, given_rows, version):
    found = disagreements(rulebook, given_rows, lambda path: path.replace("/rest/api/3/", f"/rest/api/{version}/"))
    assert not found, "\n".join(found)


def test_a_head_is_judged_as_the_get_that_it_stands_for(rulebook):
    for row in OWN:
        if row["method"] == "GET":
            path = row["path"]
            assert rulebook.classify(Request("HEAD", path)) == rulebook.classify(Request("GET", path))


def test_every_version_of_an_api_shares_its_tags(rulebook):
    for row in OWN:
        if row["path"].startswith("/rest/api/2/"):
            twin = row["path"].replace("/rest/api/2/", "/rest/api/latest/")
            match, other = (rulebook.classify(Request(row["method"], path)) for path in (row["path"], twin))
            assert match == other


def test_no_write_of_jira_is_unknown(rulebook, given_rows):
    writes = [row for row in (*OWN, *given_rows) if row["expect"] == "forward"]
    strangers = {"/rest/tempo-timesheets/4/worklogs", "/anything/else"}
    unknown = {
        row["path"] for row in writes if rulebook.classify(Request(row["method"], row["path"])).why is Why.UNKNOWN_WRITE
    }
    assert unknown <= strangers


def nearest(reads, path):
    """Find the reads of a write's family: those whose paths share most segments with it."""

    def shared(read):
        pairs = zip(read[0].split("/"), path.split("/"), strict=False)
        return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))

    most = max(map(shared, reads))
    return [read for read in reads if shared(read) == most]


def test_a_write_makes_a_read_of_its_own_family_old(rulebook, given_rows):
    reads = [
        (row["path"], frozenset(match.tags))
        for row in given_rows
        if isinstance(match := rulebook.classify(Request(row["method"], row["path"])), Read)
    ]
    missed = set()
    for row in given_rows:
        write = rulebook.classify(Request(row["method"], row["path"]))
        if row["invalidates"] == "yes":
            touched = rulebook.touched(write, None, None)
            assert touched
            if not any(touched & tags for _, tags in nearest(reads, row["path"])):
                missed.add((row["method"], row["path"]))
    assert missed == set(ELSEWHERE)


def test_every_row_of_the_law_has_a_row_in_our_tables(rulebook):
    used = {(type(match) is Write, match.row) for row in OWN if (match := rulebook.classify(_asked(row)))}
    rows = [(False, name) for name in yaml.safe_load(text_of("resources.yaml"))]
    rows += [(True, name) for name, row in yaml.safe_load(text_of("events.yaml")).items() if "match" in row]
    assert not [row for row in rows if row not in used]


def _asked(row):
    return Request(row["method"], row["path"])


# (what changed, its body, Jira's answer, what is read) -> the change must reach what was read.
REACHES = [
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/issue/proj-1"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/issue/PROJ-1/changelog"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/agile/1.0/issue/PROJ-1"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/servicedeskapi/request/PROJ-1"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/search/jql"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/agile/1.0/board/5/backlog"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/agile/latest/sprint/7/issue"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/label"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/version/1/relatedIssueCounts"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/2/version/1?expand=issuesstatus"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/project/PROJ/component"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/mypermissions?issueKey=PROJ-1"),
    ("PUT /rest/api/2/issue/EPIC-1", {}, None, "GET /rest/agile/1.0/epic/EPIC-1"),
    ("DELETE /rest/api/2/issue/PROJ-1?deleteSubtasks=true", None, None, "GET /rest/api/2/issue/PROJ-2/comment"),
    ("POST /rest/servicedeskapi/request/DESK-1/comment", {}, {}, "GET /rest/api/2/issue/DESK-1"),
    ("DELETE /rest/api/3/attachment/1", None, None, "GET /rest/servicedeskapi/request/DESK-1/attachment"),
    ("DELETE /rest/api/3/issueLink/1", None, None, "GET /rest/api/3/issue/PROJ-1"),
    ("PUT /rest/api/3/comment/1/properties/x", {}, None, "GET /rest/api/3/issue/PROJ-1/comment"),
    ("POST /rest/api/3/issue", {"fields": {"parent": {"key": "proj-9"}}}, {}, "GET /rest/api/3/issue/PROJ-9"),
    ("POST /rest/api/3/issue", {}, {"key": "PROJ-8", "id": "10008"}, "GET /rest/api/3/issue/PROJ-8"),
    ("POST /rest/api/3/issue", None, {}, "GET /rest/api/3/issue/PROJ-9"),
    ("POST /rest/agile/1.0/sprint/7/issue", {"issues": ["PROJ-1"]}, None, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/agile/latest/sprint/7", {"state": "closed"}, {}, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/agile/1.0/sprint", {"originBoardId": 5}, {"id": 8}, "GET /rest/agile/1.0/board/5/sprint"),
    ("PUT /rest/api/2/version/1", {}, {}, "GET /rest/api/2/project/PROJ/versions"),
    ("PUT /rest/api/2/version/1", {}, {}, "GET /rest/agile/1.0/board/5/version"),
    ("PUT /rest/api/2/version/1", {}, {}, "GET /rest/api/2/issue/PROJ-1/editmeta"),
    ("POST /rest/api/2/version", {}, {}, "GET /rest/api/2/issue/createmeta"),
    ("POST /rest/api/2/version", {}, {"id": "1"}, "GET /rest/api/2/issue/PROJ-1/editmeta"),
    ("POST /rest/api/2/component", {}, {"id": "1"}, "GET /rest/api/2/issue/PROJ-1?expand=editmeta"),
    ("DELETE /rest/api/2/issue/PROJ-1", None, None, "GET /rest/api/2/attachment/10000"),
    (
        "PUT /rest/api/2/issue/PROJ-1",
        {"update": {"issuelinks": [{"add": {"outwardIssue": {"id": "10002"}}}]}},
        None,
        "GET /rest/api/2/issue/10002",
    ),
    (
        "POST /rest/api/3/issue/bulk",
        {"issueUpdates": [{"update": {"issuelinks": [{"add": {"inwardIssue": {"id": "10002"}}}]}}]},
        {"issues": []},
        "GET /rest/api/3/issue/10002",
    ),
    ("POST /rest/api/2/component", {}, {}, "GET /rest/api/2/project/PROJ"),
    ("POST /rest/api/2/project", {}, {"key": "NEW"}, "GET /rest/api/2/project/NEW"),
    ("POST /rest/api/2/project", {}, {"key": "NEW"}, "GET /rest/agile/1.0/board"),
    ("PUT /rest/api/2/project/PROJ", {}, {}, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/api/2/group/user", {}, {}, "GET /rest/api/2/search"),
    ("PUT /rest/api/3/permissionscheme/1", {}, {}, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/api/3/user", {}, {"accountId": "a"}, "GET /rest/api/3/user/search"),
    ("PUT /rest/api/3/priority/1", {}, {}, "GET /rest/api/2/issue/PROJ-1"),
    ("PUT /rest/api/3/priority/1", {}, {}, "GET /rest/api/2/priority"),
    ("PUT /rest/api/3/screens/1/tabs/2", {}, {}, "GET /rest/api/2/issue/PROJ-1/editmeta"),
    ("POST /rest/api/3/field", {}, {}, "GET /rest/api/2/field"),
    ("PUT /rest/api/3/filter/1", {}, {}, "GET /rest/agile/1.0/board/5/issue"),
    ("PUT /rest/api/3/dashboard/bulk/edit", {}, {}, "GET /rest/api/3/dashboard/1"),
    ("POST /rest/servicedeskapi/organization/1/user", {}, None, "GET /rest/servicedeskapi/request"),
    ("POST /secure/EditIssue.jspa", None, None, "GET /rest/api/2/issue/PROJ-1"),
]

SPARES = [
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/issue/PROJ-2"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/3/project/PROJ"),
    ("PUT /rest/api/2/issue/PROJ-1", {}, None, "GET /rest/api/2/version/1"),
    (
        "POST /rest/api/3/issue",
        {"fields": {"project": {"key": "PROJ"}}},
        {"key": "PROJ-8"},
        "GET /rest/api/3/issue/PROJ-1",
    ),
    ("POST /rest/api/2/issue/PROJ-1/comment", {}, {}, "GET /rest/api/2/field"),
    ("POST /rest/agile/1.0/sprint/7/issue", {"issues": ["PROJ-1"]}, None, "GET /rest/api/2/issue/PROJ-2"),
    ("POST /rest/api/2/version", {}, {"id": "1"}, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/auth/1/session", {}, {}, "GET /rest/api/2/issue/PROJ-1"),
    ("POST /rest/builds/0.1/bulk", {}, {}, "GET /rest/api/2/issue/PROJ-1"),
]


def touched_and_read(rulebook, change, body, answer, read):
    written, asked = (Request(*_split(text)) for text in (change, read))
    return rulebook.touched(rulebook.classify(written), body, answer) & set(rulebook.classify(asked).tags)


def _split(text):
    method, _, target = text.partition(" ")
    path, _, query = target.partition("?")
    return method, path, query


@pytest.mark.parametrize(("change", "body", "answer", "read"), REACHES)
def test_a_change_reaches_what_shows_it(rulebook, change, body, answer, read):
    assert touched_and_read(rulebook, change, body, answer, read)


@pytest.mark.parametrize(("change", "body", "answer", "read"), SPARES)
def test_a_change_spares_what_does_not_show_it(rulebook, change, body, answer, read):
    assert not touched_and_read(rulebook, change, body, answer, read)
