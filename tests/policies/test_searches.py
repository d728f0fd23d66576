from itertools import count

import pytest

from policies.change import Change, Changed
from policies.jql import issue_view
from policies.model import Live, Policy, Read, Request
from policies.names import Names
from policies.searches import LEAST, SEARCHES, Index, live, of_write

POLICY = Policy(ttl=120, stale_if_error=3600)
SEARCH = Read("search", "/rest/api/{v}/search", "search", "-", ("issues", "type:search", "*"), POLICY, jql=True)


def get(query):
    return live(Request("GET", "/rest/api/2/search", query), SEARCH)


def post(body):
    return live(Request("POST", "/rest/api/2/search", body=body), SEARCH)


def test_a_search_that_is_understood_lives_by_its_own_tag():
    read, search = get("jql=project+%3D+PROJ")
    assert search is not None
    assert search.jql == "project = PROJ"
    assert set(read.tags) == {search.tag, SEARCHES, "type:search", "*"}


def test_a_search_outlives_its_answers():
    assert get("jql=project=PROJ")[1].life > POLICY.ttl + POLICY.stale_if_error


@pytest.mark.parametrize("query", ["jql=project+%3D", "jql=(", "jql=a=1&jql=b=2", "jql=%22open"])
def test_a_search_that_is_not_understood_depends_on_all_issues(query):
    assert get(query) == (SEARCH, None)


@pytest.mark.parametrize("jql", ["issue+in+epicsWithOpenChildren()", "type=Bug+and+not+(issue+in+childIssuesOf(A-1))"])
def test_a_search_that_looks_at_other_issues_depends_on_all_of_them(jql):
    assert get(f"jql={jql}") == (SEARCH, None)


@pytest.mark.parametrize("jql", ["assignee=currentUser()", "due<endOfDay()", "sprint+in+openSprints()"])
def test_a_search_that_looks_at_the_caller_the_time_or_the_sprints_lives_by_its_own_tag(jql):
    assert get(f"jql={jql}")[1] is not None


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"jql": 7}', b'{"jql": ["a"]}'])
def test_a_body_that_tells_no_query_is_not_guessed_at(body):
    assert post(body) == (SEARCH, None)


def test_no_query_at_all_asks_for_every_issue():
    assert get("")[1].jql == get("jql=")[1].jql == post(b"{}")[1].jql == post(b'{"jql": null}')[1].jql == ""


@pytest.mark.parametrize(
    "same", [get("jql=project+=+PROJ+and+status=Open"), post(b'{"jql": "project = PROJ AND status = Open"}')]
)
def test_one_query_is_one_search_however_it_is_sent(same):
    assert same[1] == get("jql=project%20%3D%20PROJ%20AND%20status%20%3D%20Open&maxResults=7")[1]


def test_the_keys_that_a_query_names_are_its_tags():
    assert "issue:PROJ-1" in get("jql=key+in+(proj-1)")[0].tags


def test_other_reads_stay_as_they_are():
    board = Read("board", "/rest/agile/{v}/board", "board", "-", ("issues",), POLICY)
    assert live(Request("GET", "/rest/agile/1.0/board/1/issue", "jql=project=A"), board) == (board, None)


# which searches a change concerns

NUMBERS = count()


def indexed(*texts):
    index = Index()
    searches = {text: Live(f"search:{next(NUMBERS)}", text, 60) for text in texts}
    index.add(searches.values())
    return index, {search.tag: text for text, search in searches.items()}


def concerned(change, *texts, names=None):
    index, by_tag = indexed(*texts)
    return {by_tag.get(tag, tag) for tag in index.concerned(change, names or Names())}


def issue(key="PROJ-1", **fields):
    project = {"id": "10000", "key": key.partition("-")[0], "name": "The Project"}
    return issue_view({"project": project, "status": {"id": "1", "name": "Open"}} | fields, id="10001", key=key)


OPEN, DONE = issue(), issue(status={"id": "3", "name": "Done"})


@pytest.mark.parametrize(
    ("change", "hit"),
    [
        (Changed(OPEN, DONE), {"status = Open", "status = Done", "text ~ word"}),
        (Changed(None, DONE), {"status = Done", "text ~ word"}),
        (Changed(OPEN, None), {"status = Open", "text ~ word"}),
    ],
)
def test_a_change_concerns_what_may_match_before_or_after(change, hit):
    texts = ["status = Open", "status = Done", "status = Other", "text ~ word", "project = OTHER"]
    assert concerned(Change(frozenset(), (change,)), *texts) == hit


def test_an_issue_whose_project_is_hidden_may_be_anywhere():
    hidden = issue_view({}, id="10001", key="")
    assert concerned(Change(frozenset(), (Changed(hidden, hidden),)), "project = PROJ") == {"project = PROJ"}


def test_a_change_of_everything_concerns_all_searches():
    assert concerned(Change(frozenset(), everything=True), "project = PROJ") == {SEARCHES}


WORDS = [
    "project = PROJ",
    "project = 10000",
    "project = 'The Project'",
    "project = OTHER",
    "project = 10007",
    "text ~ w",
]


def test_a_write_concerns_every_search_that_its_project_is_not_ruled_out_of():
    assert concerned(Change(frozenset(), projects=frozenset({"PROJ"})), *WORDS) == set(WORDS)


def test_a_word_known_for_another_project_rules_a_search_out():
    names = Names()
    names.learn([("project:10007", "project:OTHER"), ("project:10000", "project:PROJ")])
    hit = concerned(Change(frozenset(), projects=frozenset({"PROJ"})), *WORDS, names=names)
    assert hit == set(WORDS) - {"project = OTHER", "project = 10007"}


KNOWING = Names()
KNOWING.learn([("issue:10001", "issue:PROJ-1"), ("project:10000", "project:PROJ")])


@pytest.mark.parametrize(
    ("tags", "change"),
    [
        ({"issue:PROJ-1", "issues"}, {"projects": frozenset({"PROJ"})}),
        ({"issue:10001", "issues"}, {"projects": frozenset({"PROJ"})}),
        ({"issue:10002", "issues"}, {"everything": True}),
        ({"issue:PROJ-1", "issue:10002"}, {"everything": True}),
        ({"project:NEW:issues", "issues"}, {"projects": frozenset({"NEW"})}),
        ({"project:10000:issues", "issues"}, {"projects": frozenset({"PROJ"})}),
        ({"project:10009:issues", "issues"}, {"everything": True}),
        ({"issues"}, {"everything": True}),
        ({"type:issue"}, {"everything": True}),
        ({"type:issue", "issue:PROJ-1", "issues"}, {"everything": True}),
        ({"fields"}, {}),
        ({"*"}, {}),
    ],
)
def test_what_a_write_tells_of_searches(tags, change):
    assert of_write(tags, KNOWING) == Change(frozenset(tags), **change)


def test_an_index_weighs_what_its_queries_do_and_each_of_them_once():
    index, queries = Index(), [Live("search:1", "project = A", 60.0), Live("search:2", "summary ~ " + "x" * 1000, 60.0)]
    for _ in range(2):
        index.add(queries)
    assert index.weight == 2 * LEAST + sum(len(query.jql) for query in queries)
