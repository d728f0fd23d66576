"""References, held against a slow reader of the same bodies that parses JSON and knows nothing of the scans."""

import json
import re
from itertools import pairwise
from pathlib import Path
from random import Random
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.references import references

FIXTURES = Path(__file__).resolve().parents[2] / "../shared/jira/fixtures"
KEY = re.compile(r"[A-Z][A-Z0-9_]*-[0-9]+")
ROLES = ("assignee", "reporter", "creator", "author", "updateAuthor", "lead", "user", "owner")
BOARD_MEMBERS = ("boardId", "originBoardId", "rapidViewId")


# The slow reader


@pytest.fixture(autouse=True, params=[0, 1 << 30], ids=["without repetitions", "as it is"])
def whatever_its_size(request, monkeypatch):
    """Read bodies of any size both ways: as a page that repeats itself, and as a single issue."""
    monkeypatch.setattr("policies.references._PAGE", request.param)


def entities(value, member=""):
    """Yield the tag of every entity embedded in parsed JSON."""
    if isinstance(value, dict):
        yield from of_object(value, member)
        for name, inner in value.items():
            yield from entities(inner, name)
    elif isinstance(value, list):
        for inner in value:
            yield from entities(inner, member)
    elif isinstance(value, str):
        yield from of_string(value, member)


def of_object(value, member):
    key, number = str(value.get("key", "")), str(value.get("id", ""))
    if KEY.fullmatch(key):
        yield f"issue:{key}"
        yield from [f"issue:{number}"] if number else []
    elif "project" in member and number.isdigit() and key:
        yield from (f"project:{number}", f"project:{key}")
    if member == "filter" and number:
        yield f"filter:{number}"
    if {"name", "state"} <= value.keys() and value.keys() & set(BOARD_MEMBERS):
        yield f"sprint:{number}"
    for name in value.keys() & set(BOARD_MEMBERS):
        yield f"board:{value[name]}"
    for kind in ("issue", "project"):
        yield from (f"{kind}:{value[name]}" for name in (f"{kind}Id", f"{kind}Key") if value.get(name))
    yield from of_user(value, member)


def of_user(value, member):
    if value.get("accountId"):
        yield f"user:{value['accountId']}"
    elif "displayName" in value or (member in ROLES and value.keys() <= {"name", "key"}):
        yield from (f"user:{value[name]}" for name in ("name", "key") if value.get(name))


def of_string(value, member):
    if member.startswith("customfield_") and KEY.fullmatch(value):
        yield f"issue:{value}"
    if sprint := re.search(r"Sprint@\w+\[id=(\d+),rapidViewId=(\d+)", value):
        yield from (f"sprint:{sprint[1]}", f"board:{sprint[2]}")
    if member in {"self", "jiraRest"}:
        yield from of_link(value)


def of_link(link):
    url = urlsplit(link)
    segments = url.path.split("/rest/", 1)[-1].split("/")
    for kind, name in pairwise(segments):
        if kind in {"issue", "epic", "request"}:
            yield f"issue:{name}"
        elif kind in {"project", "version", "component", "filter", "sprint", "board"} and name.isdigit():
            yield f"{kind}:{name}"
    if segments[-1] == "user":
        yield from (f"user:{value}" for values in parse_qs(url.query).values() for value in values)


# Bodies in Jira's shapes, with members in Jira's order


class Jira:
    """Makes entities; `random` chooses which and how."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.cloud = random.random() < 0.5
        self.base = random.choice(["https://acme.atlassian.net", "http://jira.corp:8080/jira"])

    def number(self):
        return self.random.randrange(1, 40)

    def link(self, path, api="api/{v}"):
        return f"{self.base}/rest/{api.replace('{v}', self.random.choice(['2', '3', 'latest']))}/{path}"

    def text(self):
        pieces = ["PROJ-7", "{code}", '"id":1', "\\", "a/b", "é", "\n", '":{"', "😀", "<b>", "@1f[", "\u2028"]
        return "".join(self.random.choices(pieces, k=self.random.randrange(4)))

    def named(self, kind):
        number = self.number()
        return {
            "self": self.link(f"{kind}/{number}"),
            "description": self.text(),
            "name": self.text(),
            "id": str(number),
        }

    def user(self):
        number = self.number()
        tail = {"avatarUrls": {"48x48": f"{self.base}/a?s=48"}, "displayName": self.text(), "active": True}
        if self.cloud:
            account = f"5b10:{number}-ab"
            link = {"self": self.link(f"user?accountId={quote(account, safe='')}")}
            return {**(link if self.random.random() < 0.7 else {}), "accountId": account, **tail}
        name = self.random.choice([f"fred{number}", f"Jo é{number}", f"CORP\\fred{number}", f"fred+{number}@x.org"])
        link = {"self": self.link(f"user?username={quote(name, safe='')}")}
        names = {"name": name, "key": self.random.choice([name, f"JIRAUSER{number}", f"old{number}"])}
        bare = self.random.choice([names, {"name": name}, {"key": names["key"], "name": name}])
        return self.random.choice([{**link, **names, **tail}, {**bare, **tail}, bare])

    def issue_names(self):
        number = self.number()
        key = f"PROJ-{number}"
        return self.random.choice(
            [
                {"id": f"100{number}", "self": self.link(f"issue/100{number}"), "key": key},
                {"id": f"100{number}", "key": key, "self": self.link(f"issue/100{number}")},
                {"expand": "names,schema", "id": f"100{number}", "self": self.link(f"issue/100{number}"), "key": key},
                {"id": int(f"100{number}"), "key": key, "self": self.link(f"epic/100{number}", "agile/1.0")},
                {"id": f"100{number}", "key": key},
            ]
        )

    def project(self):
        number = self.number()
        names = {"id": self.random.choice([str(number), number]), "key": f"P_{number}"}
        return {"self": self.link(f"project/{number}"), **names, "name": self.text(), "lead": self.user()}

    def sprint(self):
        board = self.random.choice(BOARD_MEMBERS)
        return {"id": self.number(), "name": self.text(), "state": "active", board: self.number(), "goal": self.text()}

    def sprint_text(self):
        return (
            f"com.atlassian.Sprint@1f2e[id={self.number()},rapidViewId={self.number()},state=ACTIVE,name={self.text()}]"
        )

    def remark(self, kind):
        link = self.link(f"issue/{self.number()}/{kind}/5")
        return {"self": link, "id": "5", "author": self.user(), "body": self.text(), "updateAuthor": self.user()}

    def worklog(self):
        return {**self.remark("worklog"), "issueId": str(self.number())}

    def request(self):
        number = self.number()
        return {
            "_expands": [],
            "issueId": str(number),
            "issueKey": f"HELP-{number}",
            "serviceDeskId": "1",
            "reporter": {**self.user(), "_links": {"jiraRest": self.link("user?key=fred")}},
            "_links": {"self": self.link(f"request/{number}", "servicedeskapi")},
        }

    def board(self):
        number, where = self.number(), {"projectId": self.number(), "displayName": self.text(), "projectKey": "PROJ"}
        link = self.link(f"board/{number}", "agile/1.0")
        chosen = {"id": str(self.number())}
        return {"id": number, "self": link, "name": self.text(), "filter": chosen, "location": where}

    def history(self):
        return {
            "id": "7",
            "author": self.user(),
            "items": [{"field": "Key", "fromString": "OLD-1", "toString": "NEW-1"}],
        }

    def issue(self, depth=1):
        near = [self.issue(depth - 1) for _ in range(2)] if depth else [self.issue_names(), self.issue_names()]
        fields = {
            "summary": self.text(),
            "project": self.project(),
            "status": {**self.named("status"), "statusCategory": {"id": 2, "key": "new", "name": "To Do"}},
            "assignee": self.random.choice([None, self.user()]),
            "fixVersions": [self.named("version")],
            "components": [self.named("component")],
            "parent": near[0],
            "subtasks": near[1:],
            "issuelinks": [{"id": "3", self.random.choice(["inwardIssue", "outwardIssue"]): self.issue_names()}],
            "comment": {"comments": [self.remark("comment")]},
            "worklog": {"worklogs": [self.worklog()]},
            "customfield_10020": [self.sprint()],
            "customfield_10021": [self.sprint_text()],
            "customfield_10014": f"EPIC-{self.number()}",
            "customfield_10015": [f"EPIC-{self.number()}", None],
            "customfield_10016": self.random.choice([1.5, None, True, self.text()]),
        }
        some = self.random.sample(list(fields.items()), k=self.random.randrange(len(fields)))
        return {**self.issue_names(), "fields": dict(some), "changelog": {"histories": [self.history()]}}

    def body(self):
        makers = [self.issue, self.request, self.project, self.sprint, self.worklog, self.issue_names]
        entities = [self.random.choice(makers)() for _ in range(self.random.randrange(1, 5))]
        board = self.board() if self.random.random() < 0.3 else {}
        return {**board, "maxResults": 50, "values": entities, "reporter": self.user()}


def written(value, random, spaced, escaped):
    """Write JSON as some serialiser might: white space anywhere, any character escaped."""

    def space():
        return random.choice(["", " ", "\n  ", "\t", "\r\n"]) if spaced else ""

    def string(text):
        return '"' + "".join(character(c) for c in text) + '"'

    def character(c):
        if c == "/" and escaped:
            return random.choice(["/", "\\/", "\\u002F"])
        return json.dumps(c)[1:-1] if not escaped or random.random() < 0.8 else units(c)

    def units(c):
        pairs = c.encode("utf-16-be").hex()
        return "".join(f"\\u{pairs[i : i + 4]}" for i in range(0, len(pairs), 4))

    def write(value):
        if isinstance(value, dict):
            return around("{}", [string(k) + space() + ":" + space() + write(v) for k, v in value.items()])
        if isinstance(value, list):
            return around("[]", [write(v) for v in value])
        return string(value) if isinstance(value, str) else json.dumps(value)

    def around(brackets, items):
        return brackets[0] + space() + (space() + "," + space()).join(items) + space() + brackets[1]

    return space() + write(value) + space()


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_no_entity_that_a_slow_reader_finds_is_missed(random, spaced, escaped):
    value = Jira(random).body()
    text = written(value, random, spaced, escaped)
    assert json.loads(text) == value

    assert set(entities(value)) - references(text.encode()).tags == set()


def recorded_bodies():
    for path in sorted(FIXTURES.glob("webhooks/*.json")):
        yield path.name, path.read_bytes()
    for path in sorted(FIXTURES.glob("rest/*.json")):
        for exchange in json.loads(path.read_bytes()):
            if body := exchange["response"]["body"]:
                yield path.name, body.encode()


@pytest.mark.skipif(not FIXTURES.exists(), reason="the recorded bodies are not here")
def test_no_entity_of_a_recorded_body_is_missed_and_few_others_are_found():
    found = named = 0
    for name, body in recorded_bodies():
        expected, tags = set(entities(json.loads(body))), references(body).tags
        assert expected - tags == set(), name
        found, named = found + len(tags), named + len(expected)
    assert named > 200
    assert found < 1.25 * named


# Shapes, one by one


def tags(text):
    return references(text.encode()).tags


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"self":"https://x/rest/api/2/issue/10001/comment/5"}', {"issue:10001"}),
        ('{"self":"https://x/rest/agile/1.0/epic/7"}', {"issue:7"}),
        ('{"self":"https://x/rest/agile/1.0/sprint/7"}', {"sprint:7"}),
        ('{"self":"https://x/rest/api/latest/user?username=j%C3%B6&x=1"}', {"user:jö"}),
        ('{"self":"https:\\/\\/x\\/rest\\/api\\/2\\/version\\/5"}', {"version:5"}),
        ('{"self":"https://x/rest/api/2/user?username=new","name":"new","key":"old"}', {"user:new", "user:old"}),
        ('{"author":{"name":"CORP\\\\fred","displayName":"Fred"}}', {"user:CORP\\fred"}),
        ('{"displayName":"Fred","type":"atlassian-user-role-actor","name":"fred"}', {"user:fred"}),
        ('{"displayName":"Fred","actorUser":{"accountId":"5b"}}', {"user:5b"}),
        ('{"leadAccountId" : "5b"}', {"user:5b"}),
        ('{"customfield_1":"PROJ-7"}', {"issue:PROJ-7"}),
        ('{"accountId":"5b","k\\u0065y":"P\\u0052OJ-7"}', {"user:5b", "issue:PROJ-7"}),
        ('["Sprint@1f[name=A,closed=true,id=4]"]', {"sprint:4"}),
        ('{"id":12,"name":"1 {A}","state":"future","boardId":3}', {"sprint:12", "board:3"}),
        ('{"originBoardId":3}', {"board:3"}),
        ('{"filter" : {"id":"1001"}}', {"filter:1001"}),
        ('"PROJ"filter":{"id":"9"', {"project:PROJ", "filter:9"}),
        ('{"projectId":4,"projectKey":"PROJ"}', {"project:4", "project:PROJ"}),
        ('{"body":"<a title=\\"T\\" data-issue-key=\\"PROJ-7\\">"}', {"issue:PROJ-7"}),
        ('{"body":"<a href=\\"/secure/ViewProfile.jspa?name=fred\\">"}', {"user:fred"}),
    ],
)
def test_a_shape_names_its_entities_and_no_other(body, expected):
    assert tags(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        '{"description":"as PROJ-7 said, see \\"PROJ-8\\" and /browse/PROJ-9"}',
        '{"self":"https://x/rest/api/2/status/3","id":"3","name":"Done"}',
        '{"self":"https://x/rest/api/2/universal_avatar/view/type/project/avatar/10400?size=small"}',
        '{"self":"https://x/rest/api/2/issue/createmeta"}',
        '{"id":2,"key":"new","colorName":"blue-gray","name":"To Do"}',
        '{"accountId":null,"boardId":null}',
        "",
        "no JSON at all",
        '"\\',
    ],
)
def test_what_embeds_no_entity_has_no_tags(body):
    assert tags(body) == frozenset()


def test_two_sprints_that_differ_in_id_alone_are_both_found_though_their_names_hold_braces():
    text = '[{"id":1,"name":"a {x}","state":"future","boardId":3},{"id":2,"name":"b {x}","state":"future","boardId":3}]'
    assert tags(text) >= {"sprint:1", "sprint:2"}


@pytest.mark.parametrize(
    ("body", "pair"),
    [
        ('{"expand":"names","id":"1","self":"https://x/rest/api/3/issue/1","key":"A-1"}', ("issue:1", "issue:A-1")),
        ('{"id":"1","key":"A-1","self":"https://x/rest/api/3/issue/1"}', ("issue:1", "issue:A-1")),
        ('{"id": 1, "key": "A-1"}', ("issue:1", "issue:A-1")),
        ('{"issueId":"1","issueKey":"A-1"}', ("issue:1", "issue:A-1")),
        ('{"self":"https://x/rest/api/3/project/1","id":"1","key":"A"}', ("project:1", "project:A")),
    ],
)
def test_an_object_that_tells_both_names_makes_them_aliases(body, pair):
    found = references(body.encode())
    assert found.aliases == {pair}
    assert found.tags == set(pair)
    assert found.unresolved == frozenset()


def test_neighbours_are_no_aliases():
    body = b'{"parent":{"id":"1"},"key":"A-2","child":{"id":"3","name":"x"},"other":{"key":"A-4"}}'
    assert references(body).aliases == frozenset()


def test_an_issue_whose_other_name_is_not_told_is_unresolved():
    body = b'{"id":"1","key":"A-1","fields":{"customfield_1":"A-9","worklog":{"issueId":"7"},"project":{"key":"A"}}}'
    assert references(body).unresolved == {"issue:A-9", "issue:7"}


@pytest.mark.parametrize(
    ("body", "follows"),
    [
        (b'{"id": "10001", "key": "PROJ-1", "fields": {"aggregatetimespent": 60}}', True),
        (b'{"issues": [{"id": "10001", "key": "PROJ-1", "fields": {"aggregateprogress" : {"progress": 1}}}]}', True),
        (b'{"id": "10001", "key": "PROJ-1", "fields": {"aggregatetimespent": 60, "subtasks": []}}', False),
        (b'{"expand": "transitions", "transitions": []}', True),
        (b'{"expand": "transitions,changelog", "id": "10001", "key": "PROJ-1"}', False),
        (b'[{"id": "aggregatetimespent", "name": "Sum of times"}]', False),
    ],
)
def test_what_follows_from_issues_that_are_not_named_depends_on_all_of_them(body, follows):
    assert ("issues" in references(body).tags) == follows


def test_too_many_tags_collapse_to_their_collections():
    body = json.dumps([{"id": str(n), "key": f"A-{n}"} for n in range(1, 7)] + [{"accountId": "5b"}]).encode()
    assert not references(body, limit=13).collapsed
    found = references(body, limit=12)
    assert found.collapsed
    assert found.tags == {"issues", "users"}
    assert found.unresolved == frozenset()
