import orjson
import pytest

from proxy.config import read
from proxy.explain import MalformedLineError, as_json, as_text, request_of, tell
from proxy.rules import rulebook

COLUMNS = ["method", "path", "type", "entity", "action", "why", "ttl", "scope", "tags", "invalidates"]


@pytest.fixture(scope="module")
def config():
    return read(None, {"JIRA_URL": "https://dc.example.com/jira", "JIRA_CACHE_POLICIES__USER__SCOPE": "tenant"})


@pytest.fixture(scope="module")
def told(config):
    rules = rulebook(config)
    return lambda line, body=b"": tell(rules, request_of(line, config, body))


def test_a_read_that_may_be_kept_says_how_and_what_makes_it_old(told):
    answer = told("GET /rest/api/3/issue/PROJ-1?fields=summary")
    assert list(answer) == COLUMNS
    assert (answer["method"], answer["path"]) == ("GET", "/rest/api/3/issue/PROJ-1?fields=summary")
    assert (answer["type"], answer["entity"]) == ("issue", "PROJ-1")
    assert (answer["action"], answer["why"]) == ("cache", "cacheable")
    assert (answer["ttl"], answer["scope"]) == (300, "credential")
    assert {"issue:PROJ-1", "project:PROJ"} <= set(answer["tags"])
    assert answer["invalidates"] == []


def test_a_policy_that_was_configured_is_the_one_told(told):
    assert told("GET /rest/api/2/user?username=me")["scope"] == "tenant"


def test_a_write_says_what_it_makes_old(told):
    answer = told("PUT /rest/api/2/issue/PROJ-1")
    assert list(answer) == COLUMNS
    assert (answer["action"], answer["why"], answer["ttl"], answer["scope"], answer["tags"]) == (
        "forward",
        "write",
        None,
        None,
        [],
    )
    assert "issue:PROJ-1" in answer["invalidates"]
    assert answer["invalidates"] == sorted(answer["invalidates"])


def test_a_writes_body_names_more_that_it_makes_old(told):
    body = orjson.dumps({"type": {"name": "Blocks"}, "inwardIssue": {"key": "A-1"}, "outwardIssue": {"key": "B-2"}})
    assert {"issue:A-1", "issue:B-2"} <= set(told("POST /rest/api/2/issueLink", body)["invalidates"])


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("GET /secure/Dashboard.jspa", "not-rest"),
        ("GET /rest/unheard-of/1.0/thing", "unknown-route"),
        ("GET /rest/api/2//issue/A-1", "unclean-path"),
        ("GET /rest/api/2/issue/A-1?updateHistory=true", "side-effect"),
        ("GET /rest/api/2/issue/A-1?os_username=me&os_password=x", "query-credential"),
        ("GET /rest/api/3/task/7", "never-keep"),
        ("DELETE /rest/unheard-of/1.0/thing", "unknown-write"),
    ],
)
def test_what_is_not_kept_says_why(told, line, why):
    answer = told(line)
    assert (answer["action"], answer["why"], answer["tags"], answer["ttl"]) == ("forward", why, [], None)
    assert list(answer) == COLUMNS


def test_a_body_that_cannot_be_read_is_not_kept(told):
    assert told("POST /rest/api/2/search", b'{"jql": ')["why"] == "unreadable-body"
    assert told("POST /rest/api/2/search", b'{"jql": ""}')["why"] == "cacheable"


@pytest.mark.parametrize(
    ("line", "body", "expected"),
    [
        (
            "GET /rest/api/2/search?jql=project%20%3D%20proj",
            b"",
            {"text": "project = proj", "valid": True, "error": None, "projects": ["PROJ"], "unknown": []},
        ),
        (
            "GET /rest/api/3/search/jql?jql=project+in+(A,B)",
            b"",
            {"text": "project in (A,B)", "valid": True, "error": None, "projects": ["A", "B"], "unknown": []},
        ),
        (
            "POST /rest/api/2/search",
            b'{"jql": "labels = x"}',
            {"text": "labels = x", "valid": True, "error": None, "projects": None, "unknown": []},
        ),
        ("GET /rest/api/2/search", b"", {"text": "", "valid": True, "error": None, "projects": None, "unknown": []}),
        (
            "GET /rest/api/2/search?jql=status+was+Open",
            b"",
            {"text": "status was Open", "valid": True, "error": None, "projects": None, "unknown": ["status WAS Open"]},
        ),
    ],
)
def test_a_search_says_what_its_query_allows(told, line, body, expected):
    answer = told(line, body)
    assert list(answer) == [*COLUMNS, "jql"]
    assert answer["jql"] == expected


def test_a_query_that_jira_would_refuse_says_where(told):
    jql = told("GET /rest/api/2/search?jql=project%20%3D")["jql"]
    assert (jql["valid"], jql["projects"], jql["unknown"]) == (False, None, [])
    assert jql["error"].startswith("1:10: ")


@pytest.mark.parametrize(
    ("line", "path"),
    [
        ("get /rest/api/2/field", "/rest/api/2/field"),
        ("GET  /rest/api/2/field \n", "/rest/api/2/field"),
        ("GET https://other.example/rest/api/2/field?a=b", "/rest/api/2/field?a=b"),
        ("GET https://dc.example.com/jira/rest/api/2/field", "/rest/api/2/field"),
        ("GET https://other.example", "/"),
        ("GET /rest/api/2/search?jql=project = A", "/rest/api/2/search?jql=project%20=%20A"),
        ("GET /rest/api/2/field#part", "/rest/api/2/field"),
    ],
)
def test_a_line_names_a_path_or_a_url(told, line, path):
    answer = told(line)
    assert (answer["method"], answer["path"]) == ("GET", path)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "GET",
        "GET ",
        "/rest/api/2/field",
        "GET rest/api/2/field",
        "G3T /x",
        "GET /a b",
        "not a line",
        "GET http://[x/rest",
    ],
)
def test_any_other_line_is_malformed(config, line):
    with pytest.raises(MalformedLineError, match="is not METHOD PATH"):
        request_of(line, config)


def test_what_is_told_is_one_line_of_json_or_several_for_people(told):
    answer = told("GET /rest/api/2/search?jql=project=A")
    assert orjson.loads(as_json(answer)) == answer
    assert "\n" not in as_json(answer)
    text = as_text(answer).splitlines()
    assert text[0] == "GET /rest/api/2/search?jql=project=A"
    assert "  ttl           120 s" in text
    assert "  why           cacheable" in text
    assert "  jql projects  A" in text


def test_for_people_a_word_comes_with_its_meaning(told):
    text = as_text(told("GET /rest/unheard-of/1.0/thing")).splitlines()
    assert "  why           unknown-route (passed on: no row knows this endpoint)" in text


def test_a_read_whose_freshness_the_origin_decides_has_no_ttl_of_ours(told):
    answer = told("GET /secure/projectavatar?pid=10000")
    assert (answer["action"], answer["ttl"], answer["freshness"]) == ("cache", None, "origin")
    assert "uri:/secure/projectavatar" in answer["tags"]
    assert "  freshness     origin" in as_text(answer).splitlines()
    assert "freshness" not in told("GET /rest/api/2/issue/PROJ-1")


def test_a_write_to_such_an_address_makes_it_old(told):
    assert "uri:/secure/projectavatar" in told("POST /secure/projectavatar")["invalidates"]
    assert "uri:/secure/projectavatar" in told("POST /secure//projectavatar")["invalidates"]
    assert not any(tag.startswith("uri:") for tag in told("PUT /rest/api/2/issue/PROJ-1")["invalidates"])
