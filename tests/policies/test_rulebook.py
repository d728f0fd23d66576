"""How rows become answers: precedence, templates, strict loading, and what is made of the unknown."""

import pytest

from policies.model import EVERYTHING, Pass, Policy, Read, Request, Why, Write
from policies.rulebook import PolicyError, Rulebook

POLICIES = {name: Policy(60) for name in ("issue", "search", "server", "user")}
READS = """
issue: {match: "GET /rest/api/{v}/issue/{issue}/**", type: issue, entity: "{issue}", tags: ["issue:{issue}", "project:{issue|project}"]}
picker: {match: "GET /rest/api/{v}/issue/picker", never: history}
exact: {match: "GET /rest/api/{v}/issue/{issue}/comment", type: issue, if_query: {expand: ["shown:{issue}", more]}}
search: {match: ["GET /rest/api/{v}/search", "POST /rest/api/{v}/search"], body: true, type: search, tags: [issues]}
server: {match: "GET /rest/api/{v}/serverInfo", type: server, unless_query: [doHealthCheck]}
user: {match: "GET /rest/api/{v}/user", type: user, entity: "{query.accountId}", tags: ["user:{query.accountId}"]}
"""  # noqa: E501 - a row is a line, so that a test can turn their order around
WRITES = """
edit: {match: "PUT /rest/api/{v}/issue/{issue}", tags: ["issue:{issue}", "issue:{body.parent.key}"], otherwise: ["type:issue"]}
below: {match: "* /rest/api/{v}/issue/{issue}/**", tags: ["issue:{issue}", issues], if_query: {deep: ["type:issue"]}}
create:
  match: "POST /rest/api/{v}/issue"
  tags: [issues, "issue:{answer.key}", "issue:{body.links[].key}", "sprint:{body.sprint}", "issue:{body.map[].ids[]}"]
  otherwise: ["type:issue"]
mail: {match: "POST /rest/api/{v}/issue/{issue}/notify", nothing: sends mail}
form: {match: "* /secure/**", tags: ["*"]}
"""  # noqa: E501 - a row is a line


def load(reads=READS, writes=WRITES, policies=POLICIES, routes=()):
    return Rulebook.load(reads, writes, policies, routes)


@pytest.fixture(scope="module")
def rulebook():
    return load()


def classify(rulebook, text, **headers):
    method, _, target = text.partition(" ")
    path, _, query = target.partition("?")
    return rulebook.classify(Request(method, path, query, headers))


# ---------------------------------------------------------------- reads


def test_a_read_says_all_that_its_row_says(rulebook):
    match = classify(rulebook, "GET /rest/api/2/issue/proj-1/worklog")
    assert match == Read(
        row="issue",
        route="/rest/api/{v}/issue/{issue}/**",
        type="issue",
        entity="PROJ-1",
        tags=("issue:PROJ-1", "project:PROJ", "type:issue", EVERYTHING),
        policy=POLICIES["issue"],
    )


def test_a_numeric_issue_names_no_project(rulebook):
    assert classify(rulebook, "GET /rest/api/2/issue/10001").tags == ("issue:10001", "type:issue", EVERYTHING)


def test_the_body_matters_only_where_one_is_sent(rulebook):
    assert classify(rulebook, "POST /rest/api/2/search").body_matters
    assert not classify(rulebook, "GET /rest/api/2/search").body_matters


PRECEDENCE = [
    ("GET /rest/api/2/issue/picker", "picker"),
    ("GET /rest/api/2/issue/PROJ-1", "issue"),
    ("GET /rest/api/2/issue/PROJ-1/comment", "exact"),
    ("GET /rest/api/2/issue/PROJ-1/comment/1", "issue"),
    ("GET /rest/api/2/issue/picker/comment", "exact"),
    ("PUT /rest/api/2/issue/PROJ-1", "edit"),
    ("DELETE /rest/api/2/issue/PROJ-1", "below"),
    ("PATCH /rest/api/2/issue/PROJ-1/votes", "below"),
    ("POST /rest/api/2/issue/PROJ-1/notify", "mail"),
    ("PUT /rest/api/2/issue/PROJ-1/notify", "below"),
]


@pytest.mark.parametrize(("asked", "row"), PRECEDENCE)
def test_the_most_specific_row_wins_whatever_the_order(asked, row):
    backwards = "\n".join(reversed(READS.strip().splitlines()))
    assert classify(load(), asked).row == classify(load(reads=backwards), asked).row == row


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("GET /rest/api/2/issue/picker", Why.NEVER_KEEP),
        ("GET /rest/api/2/serverInfo?doHealthCheck=true", Why.NEVER_KEEP),
        ("GET /rest/api/2/serverInfo?doHealthCheck", Why.NEVER_KEEP),
        ("GET /rest/api/2/serverInfo?do%48ealthCheck=TRUE", Why.NEVER_KEEP),
        ("GET /rest/api/2/issue/PROJ-1?fields=a&updateHistory=true", Why.SIDE_EFFECT),
        ("GET /rest/api/2/issue/PROJ-1?update%48istory=true", Why.SIDE_EFFECT),
        ("GET /rest/api/2/issue/PROJ-1?updateHistory=false&updateHistory=true", Why.SIDE_EFFECT),
        ("GET /rest/api/2/unheard/of", Why.UNKNOWN_ROUTE),
        ("GET /rest/api/4/issue/PROJ-1", Why.UNKNOWN_ROUTE),
        ("OPTIONS /rest/api/2/issue/PROJ-1", Why.UNKNOWN_ROUTE),
        ("GET /rest/api/2/issue/PROJ-1/", Why.UNCLEAN_PATH),
        ("GET /rest/api/2//issue/PROJ-1", Why.UNCLEAN_PATH),
        ("HEAD /x/../rest/api/2/issue/PROJ-1", Why.UNCLEAN_PATH),
        ("GET /browse/PROJ-1", Why.NOT_REST),
        ("GET /s/abc/_/;/download/batch.js", Why.NOT_REST),
        ("GET /", Why.NOT_REST),
    ],
)
def test_what_is_not_kept_says_why(rulebook, asked, why):
    match = classify(rulebook, asked)
    assert isinstance(match, Pass)
    assert match.why is why


@pytest.mark.parametrize(
    "asked",
    [
        "GET /rest/api/2/serverInfo?doHealthCheck=false",
        "GET /rest/api/2/issue/PROJ-1?updateHistory=false",
        "GET /rest/api/2/search?jql=updateHistory%20%3D%20true",
    ],
)
def test_a_switch_that_is_off_or_only_spoken_of_does_not_count(rulebook, asked):
    assert isinstance(classify(rulebook, asked), Read)


def test_a_query_parameter_may_add_tags_and_name_the_entity(rulebook):
    shown = classify(rulebook, "GET /rest/api/2/issue/PROJ-1/comment?expand=x")
    assert set(shown.tags) == {"shown:PROJ-1", "more", "type:issue", EVERYTHING}
    assert "more" not in classify(rulebook, "GET /rest/api/2/issue/PROJ-1/comment?jql=expand").tags
    user = classify(rulebook, "GET /rest/api/2/user?accountId=a%3Ab")
    assert (user.entity, user.tags[0]) == ("a:b", "user:a:b")
    assert classify(rulebook, "GET /rest/api/2/user").entity == "-"


# ---------------------------------------------------------------- writes


def test_a_write_names_what_its_path_alone_names(rulebook):
    match = classify(rulebook, "PUT /rest/api/2/issue/proj-1")
    assert match == Write(
        row="edit",
        route="/rest/api/{v}/issue/{issue}",
        type="issue",
        entity="PROJ-1",
        why=Why.WRITE,
        tags=("issue:PROJ-1",),
        params={"issue": "proj-1"},
    )


def test_a_write_that_nothing_depends_on_is_harmless(rulebook):
    match = classify(rulebook, "POST /rest/api/2/issue/PROJ-1/notify")
    assert (match.why, match.tags) == (Why.HARMLESS_WRITE, ())
    assert rulebook.touched(match, {"a": 1}, None) == frozenset()


def test_a_query_parameter_may_widen_a_write(rulebook):
    assert "type:issue" in classify(rulebook, "DELETE /rest/api/2/issue/PROJ-1?deep=true").tags
    assert "type:issue" not in classify(rulebook, "DELETE /rest/api/2/issue/PROJ-1").tags


ISSUES = frozenset({"issues"})


@pytest.mark.parametrize(
    ("body", "answer", "expected"),
    [
        ({}, {}, ISSUES),
        ({}, {"key": "proj-7"}, ISSUES | {"issue:PROJ-7"}),
        ({"links": [{"key": "A-1"}, {"key": "a-2"}, {"id": 3}]}, {}, ISSUES | {"issue:A-1", "issue:A-2"}),
        ({"sprint": 12}, {}, ISSUES | {"sprint:12"}),
        ({"sprint": True}, {}, ISSUES),
        ({"sprint": ""}, {}, ISSUES),
        ({"sprint": {"id": 1}}, {}, ISSUES),
        (
            {"links": "A-1", "map": {"x": {"ids": ["A-1", 2]}, "y": {"ids": None}}},
            {},
            ISSUES | {"issue:A-1", "issue:2"},
        ),
        (["not", "an", "object"], "text", ISSUES),
        (None, {"key": "P-1"}, ISSUES | {"issue:P-1", "type:issue"}),
        ({}, None, ISSUES | {"type:issue"}),
    ],
)
def test_a_write_touches_what_its_body_and_answer_name(rulebook, body, answer, expected):
    write = classify(rulebook, "POST /rest/api/2/issue")
    assert rulebook.touched(write, body, answer) == expected


def test_an_answer_that_no_tag_looks_into_may_stay_unread(rulebook):
    write = classify(rulebook, "PUT /rest/api/2/issue/PROJ-1")
    assert rulebook.touched(write, {"parent": {"key": "P-9"}}, None) == {"issue:PROJ-1", "issue:P-9"}


@pytest.mark.parametrize(
    ("asked", "tags"),
    [
        ("POST /rest/app/1.0/do", set()),
        ("POST /rest/app/1.0/move/proj-1", {"issue:PROJ-1", "project:PROJ:issues", "issues"}),
        ("PUT /rest/api/9/issue/10001", {"issue:10001", "issues"}),
        ("PUT /rest/app/1/project/proj/x", {"project:PROJ", "project:PROJ:issues", "projects", "issues"}),
        ("DELETE /rest/app/1/board/5", {"board:5", "boards"}),
        ("BREW /rest/api/2/issue/PROJ-1", {"issue:PROJ-1", "project:PROJ:issues", "issues"}),
        ("POST /upload", {EVERYTHING}),
    ],
)
def test_an_unknown_write_makes_old_what_its_path_names(rulebook, asked, tags):
    match = classify(rulebook, asked)
    assert match.why is Why.UNKNOWN_WRITE
    assert set(match.tags) == rulebook.touched(match, None, None) == tags


@pytest.mark.parametrize(
    ("body", "tags"),
    [
        ({"originTaskId": "PROJ-1", "timeSpentSeconds": 60}, {"issue:PROJ-1", "issues"}),
        ({"changes": [{"issueId": 10001}, {"issue": {"id": "10002", "key": "B-2"}}]}, {"10001", "10002", "B-2"}),
        ([f"PROJ-{number}" for number in range(3000)], {"issues", "type:issue"}),
        ({"comment": "see PROJ-1", "author": {"accountId": "5b10"}}, set()),
        ("PROJ-1", {"issue:PROJ-1", "issues"}),
        ({"odd": "\ud800", "key": "PROJ-1"}, {"issue:PROJ-1", "issues"}),
        ({}, set()),
        (None, set()),
    ],
)
def test_an_unknown_write_makes_old_what_its_body_speaks_of(rulebook, body, tags):
    write = classify(rulebook, "POST /rest/app/1.0/do")
    named = {tag if ":" in tag or tag == "issues" else f"issue:{tag}" for tag in tags}
    assert rulebook.touched(write, body, {"key": "C-3"}) == named | ({"issues"} if named else set())


@pytest.mark.parametrize(
    ("asked", "touched"),
    [
        ("PUT /rest/api/2/issue/PROJ-1/", {"issue:PROJ-1", "project:PROJ:issues", "issues", "type:issue"}),
        ("DELETE /rest/api/2//issue/10001", {"issue:10001", "issues"}),
        ("PUT /rest/app/..%2fapi/2/issue/a-1.json", {"issue:A-1", "project:A:issues", "issues", "type:issue"}),
        ("POST /secure;x/EditIssue.jspa", {EVERYTHING}),
        ("POST /rest/api/2/search/", set()),
    ],
)
def test_a_write_on_an_unclean_path_hits_what_it_may_mean(rulebook, asked, touched):
    match = classify(rulebook, asked)
    assert isinstance(match, Write)
    assert match.why is Why.UNKNOWN_WRITE
    assert rulebook.touched(match, None, None) == touched


@pytest.mark.parametrize("page", ["/secure/VoteOrWatchIssue.jspa", "/secure;jsessionid=1/X.jspa", "/browse/PROJ-1"])
def test_a_link_that_carries_the_token_of_a_form_is_a_write(rulebook, page):
    assert EVERYTHING in classify(rulebook, f"GET {page}?id=1&atl_token=B1").tags
    assert EVERYTHING in classify(rulebook, f"GET {page}?atl%5Ftoken=B1").tags
    assert isinstance(classify(rulebook, f"GET {page}?id=1"), Pass)


def test_a_question_to_the_rest_api_is_one_whatever_it_carries(rulebook):
    assert isinstance(classify(rulebook, "GET /rest/api/2/issue/PROJ-1?atl_token=B1"), Read)


def test_a_post_that_claims_another_method_is_a_write_of_both(rulebook):
    match = classify(rulebook, "POST /rest/api/2/issue/PROJ-1", **{"x-http-method-override": "put"})
    assert (match.row, match.why) == ("edit", Why.UNKNOWN_WRITE)
    assert {"issue:PROJ-1", "issues"} <= set(match.tags)
    assert isinstance(classify(rulebook, "POST /rest/api/2/search", **{"x-http-method-override": "PUT"}), Write)


# ---------------------------------------------------------------- loading


def test_the_types_are_those_that_rows_use(rulebook):
    assert rulebook.types == {"issue", "search", "server", "user"}


def test_an_operators_row_wins_over_a_row_of_the_same_shape():
    routes = [
        {"match": "GET /rest/api/2/issue/{key}/**", "type": "user"},
        {"match": "GET /rest/tempo/1/log/{issue}", "type": "issue", "tags": ["tempo", "issue:{issue}"]},
        {"match": "* /rest/tempo/1/log/{issue}", "tags": ["tempo"]},
    ]
    ours = load(routes=routes)
    assert classify(ours, "GET /rest/api/2/issue/PROJ-1").row == "routes[0]"
    assert classify(ours, "GET /rest/api/3/issue/PROJ-1").row == "issue"
    assert "issue:P-1" in classify(ours, "GET /rest/tempo/1/log/P-1").tags
    assert classify(ours, "PUT /rest/tempo/1/log/P-1").tags == ("tempo",)


def test_webhook_events_may_stand_among_the_writes():
    assert load(writes='gone: {event: "jira:issue_deleted", tags: [issues]}').types == load().types


BAD_READS = [
    ("a: {match: 'GET /rest/x', type: nope}", "row a: column type: there is no policy for 'nope'"),
    ("a: {match: 'GET /rest/x'}", "row a: column type: is missing"),
    ("a: {type: issue}", "row a: column match: is missing"),
    ("a: {match: 'FETCH /rest/x', type: issue}", "row a: column match: 'FETCH /rest/x' does not begin with"),
    ("a: {match: 'PUT /rest/x', type: issue}", "row a: column match: only GET"),
    ("a: {match: 'GET rest/x', type: issue}", "row a: column match: 'rest/x' is not a path pattern"),
    ("a: {match: 'GET /rest/**/x', type: issue}", "row a: column match: '/rest/**/x' is not a path pattern"),
    ("a: {match: 'GET /rest/{x}y', type: issue}", "row a: column match"),
    ("a: {match: 'GET /rest/{x}/{x}', type: issue}", "uses a placeholder twice"),
    ("a: {match: 'GET /rest/odd/{v}/x', type: issue}", "{v} stands only after"),
    ("a: {match: 'POST /rest/x', type: issue}", "row a: column body"),
    ("a: {match: 'GET /rest/x', type: issue, body: true}", "row a: column body"),
    ("a: {match: 'GET /rest/x', type: issue, body: maybe}", "row a: column body: 'maybe' is not true or false"),
    ("a: {match: 'GET /rest/x', type: issue, tags: ['issue:{key}']}", "row a: column tags: {key} is no placeholder"),
    (
        "a: {match: 'GET /rest/x', type: issue, tags: ['issue:{key']}",
        "row a: column tags: 'issue:{key' is not a template",
    ),
    (
        "a: {match: 'GET /rest/x', type: issue, tags: ['x:{body.key}']}",
        "row a: column tags: may look only at path, query",
    ),
    ("a: {match: 'GET /rest/x', type: issue, tags: [yes]}", "row a: column tags: True is not text"),
    ("a: {match: 'GET /rest/x', type: issue, on: x}", "row a: column True: is no column"),
    ("a: {match: 'GET /rest/x', type: issue, tag: x}", "row a: column tag: is no column; there are body, entity"),
    ("a: {match: 'GET /rest/x', type: issue, if_query: expand}", "row a: column if_query"),
    (
        "a: {match: 'GET /rest/x', type: issue, freshness: mine}",
        "row a: column freshness: 'mine' is none of policy",
    ),
    (
        "a: {match: 'GET /rest/x', never: why, freshness: origin}",
        "row a: column freshness: is the origin's only of GETs",
    ),
    (
        "a: {match: 'POST /rest/x', type: issue, body: true, freshness: origin}",
        "row a: column freshness: is the origin's only of GETs",
    ),
    (
        "a: {match: 'GET /rest/{x}', type: issue}\nb: {match: 'GET /rest/{y}', type: issue}",
        "row b: column match: row a has",
    ),
    ("a: {match: 'GET /rest/x', type: issue}\na: {match: 'GET /rest/y', type: issue}", "'a' occurs twice"),
    ("a: [1]", "row a: not a row of columns"),
    ("- a", "not a table of rows"),
    ("a: {", "resources.yaml: "),
]
BAD_WRITES = [
    ("a: {match: 'GET /rest/x', tags: [x]}", "row a: column match: a GET changes nothing"),
    ("a: {match: 'PUT /rest/x'}", "row a: column tags: a write names tags, or says why"),
    ("a: {match: 'PUT /rest/x', tags: [x], nothing: y}", "row a: column tags"),
    ("a: {match: 'PUT /rest/x', tags: ['x:{body.y}']}", "row a: column otherwise"),
    ("a: {match: 'PUT /rest/x', tags: [x], otherwise: [y]}", "row a: column otherwise"),
    ("a: {match: 'PUT /rest/x', tags: ['x:{body..y}']}", "row a: column tags: {body..y} is not a place"),
    ("a: {match: 'PUT /rest/x', tags: [x], type: issue}", "row a: column type: is no column"),
    ("a: {match: '* /rest/x', tags: [x]}\nb: {match: '* /rest/x', tags: [x]}", "row b: column match: row a has"),
]


@pytest.mark.parametrize(("text", "message"), BAD_READS)
def test_a_bad_read_row_stops_the_start_and_names_its_place(text, message):
    with pytest.raises(PolicyError) as error:
        load(reads=text)
    assert str(error.value).startswith("resources.yaml: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("text", "message"), BAD_WRITES)
def test_a_bad_write_row_stops_the_start_and_names_its_place(text, message):
    with pytest.raises(PolicyError) as error:
        load(writes=text)
    assert str(error.value).startswith("events.yaml: ")
    assert message in str(error.value)


def test_a_bad_row_of_the_operators_names_its_number():
    with pytest.raises(PolicyError, match=r"routes: row routes\[1\]: column type: there is no policy for 'x'"):
        load(routes=[{"match": "GET /a", "type": "user"}, {"match": "GET /b", "type": "x"}])


def test_a_row_that_names_its_method_beats_one_for_all_methods_whatever_the_order():
    rows = ["a: {match: '* /rest/x', tags: [x]}", "b: {match: 'PUT /rest/x', tags: [y]}"]
    for order in (rows, rows[::-1]):
        ours = load(writes="\n".join(order))
        assert classify(ours, "PUT /rest/x").row == "b"
        assert classify(ours, "POST /rest/x").row == "a"


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        (
            {"match": "GET /rest/tempo/{x}", "typ": "issue", "tags": ["issues"]},
            "column typ: is no column",
        ),
        ({"match": "GET /rest/tempo/{x}", "tags": ["issues"]}, "column type: is missing"),
        ({"match": ["GET /rest/tempo/{x}"], "tags": ["issues"]}, "column type: is missing"),
    ],
)
def test_a_row_that_reads_is_known_for_one_although_a_column_is_wrong(columns, complaint):
    with pytest.raises(PolicyError, match=complaint):
        Rulebook.load("", "", POLICIES, [columns])


def test_the_kinds_of_all_tags_are_known():
    rows = """
    things: {match: "GET /rest/x/{a}", type: issue, tags: ["thing:{a}", things], if_query: {more: ["other:{a}"]}}
    """
    events = """
    change: {match: "PUT /rest/x/{a}", tags: ["gadget:{body.id}"], otherwise: [gadgets]}
    told: {event: told, tags: ["gizmo:{body.id}"]}
    """
    kinds = Rulebook.load(rows, events, {"issue": Policy(60)}).kinds
    assert {"thing", "things", "other", "gadget", "gadgets", "gizmo"} <= kinds
    assert {"*", "type", "answer", "search", "searches", "uri"} <= kinds
    assert "issue" not in kinds
