import json
from dataclasses import replace
from time import perf_counter
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.canon import key
from policies.canon_jql import canonical_jql
from policies.model import Policy, Read, Request

ISSUE = Read("issue", "/rest/api/{v}/issue/{issue}", "issue", "PROJ-1", (), Policy(ttl=1))
SEARCH = Read("search", "/rest/api/{v}/search", "search", "jql", (), Policy(ttl=1))
ASKED = Read("search_post", "/rest/api/{v}/search/jql", "search", "jql", (), Policy(ttl=1), body_matters=True)
AVATAR = Read("avatar", "/secure/useravatar", "media", "10", (), Policy(ttl=1))


def get(query="", path="/rest/api/3/issue/PROJ-1", read=ISSUE, method="GET", partition="p", **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    made = key(Request(method, path, query, named), read, partition)
    assert made is not None
    return made


def search(query):
    return get(query, "/rest/api/2/search", SEARCH)


def post(body, path="/rest/api/3/search/jql", read=ASKED, **headers):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return key(Request("POST", path, headers=named, body=text), read, "p")


class TestTheKey:
    def test_begins_with_the_type_and_the_entity(self):
        assert get().startswith("issue:PROJ-1:")
        assert len(get()) == len("issue:PROJ-1:") + 32

    def test_of_a_search_does_not_name_an_entity(self):
        assert search("jql=a%3Db").startswith("search:jql:")

    @pytest.mark.parametrize("entity", ["557058:ab", "a*b?[c]", "a b\r\n\0", "é", "x" * 500, "\udcff", "{tenant}"])
    def test_holds_nothing_of_an_entity_that_could_be_misread(self, entity):
        made = get(read=replace(ISSUE, entity=entity))
        assert made.count(":") == 2
        assert made.isascii()
        assert made.isprintable()
        assert not set(made) & set("*?[]{} ")
        assert len(made) <= 150

    @pytest.mark.parametrize("path", ["/rest//x", "/rest/api/2/../x", "/rest/a%2Fb", "/rest/%ff"])
    def test_is_not_made_for_a_path_that_jira_may_read_differently(self, path):
        assert key(Request("GET", path), ISSUE, "p") is None

    def test_is_made_fast(self):
        request = Request(
            "GET", "/rest/api/3/issue/PROJ-1", "fields=summary,status&expand=changelog", {"accept": "*/*"}
        )
        started = perf_counter()
        for _ in range(1_000):
            key(request, ISSUE, "p")
        assert (perf_counter() - started) / 1_000 < 0.000_1  # 7 us is usual


class TestWhatJiraAnswersBy:
    @pytest.mark.parametrize(
        "other",
        [
            {"partition": "q"},
            {"method": "POST"},
            {"path": "/rest/api/2/issue/PROJ-1"},
            {"path": "/rest/api/latest/issue/PROJ-1"},
            {"path": "/rest/api/3/issue/PROJ-2"},
            {"path": "/rest/api/3/issue/proj-1"},
            {"path": "/rest/api/3/issue/PROJ-1/comment"},
            {"query": "x"},
            {"accept_language": "de"},
            {"x_force_accept_language": "true"},
            {"x_experimentalapi": "opt-in"},
            {"accept": "application/xml"},
        ],
    )
    def test_makes_a_key_of_its_own(self, other):
        assert get(**other) != get()

    def test_is_not_the_spelling_of_the_path(self):
        assert get(path="/rest/api/3/%69ssue/PROJ%2D1") == get()

    def test_is_the_same_for_head_as_for_get(self):
        assert get(method="HEAD") == get()

    def test_is_not_any_other_header(self):
        assert get(user_agent="x", content_type="application/json", accept_encoding="gzip", authorization="y") == get()

    def test_cannot_be_shifted_from_one_part_to_another(self):
        assert get(partition="a", accept_language="b") != get(partition="ab")
        assert get(path="/rest/a/b") != get(path="/rest/a%3Ab") != get(path="/rest/ab")
        assert get(accept_language="en") != get(x_experimentalapi="en") != get(x_force_accept_language="en")

    def test_is_a_language_whatever_its_case_and_white_space(self):
        assert get(accept_language="en-GB, en;q=0.9") == get(accept_language="EN-gb,en; q=0.9")
        assert get(accept_language="en,de") != get(accept_language="de,en")

    @pytest.mark.parametrize(
        "accept",
        [
            "",
            "*/*",
            "application/json",
            "Application/JSON",
            "application/json,*.*;q=0.9",
            "application/json, text/javascript, */*; q=0.01",
            "application/json, text/plain, */*",
            "application/json, application/json;charset=UTF-8",
        ],
    )
    def test_is_json_for_all_who_prefer_it(self, accept):
        assert get(accept=accept) == get()

    @pytest.mark.parametrize(
        "accept",
        [
            "application/xml",
            "text/html,application/json;q=0.9",
            "application/json;q=0.5, application/xml",
            "application/json, application/xml",
            "application/json, text/html;q=1.0",
            "application/vnd.x+json",
        ],
    )
    def test_is_not_json_for_sure_for_others(self, accept):
        assert get(accept=accept) != get()

    def test_is_the_exact_accept_header_where_the_answer_is_an_image(self):
        made = {
            get(read=AVATAR, accept=accept) for accept in ("", "*/*", "application/json", "image/webp", "image/png")
        }
        assert len(made) == 5


class TestAQuery:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a=1&b=2", "b=2&a=1"),
            ("a=1&b=2&a=3", "b=2&a=1&a=3"),
            ("a=x%20y", "a=x+y"),
            ("a=%c3%a9", "a=%C3%A9"),
            ("%61=%62", "a=b"),
            ("fields=a,b", "fields=b,a"),
            ("fields=a,b", "fields=b&fields=a"),
            ("fields=a,b,a", "fields=a,b"),
            ("fields=a%2Cb", "fields=a,b"),
            ("fields=*all,comment", "fields=comment,*all"),
            ("expand=a,b", "expand=b,a,a"),
            ("properties=a.b,c", "properties=c,a.b"),
            ("jql=a%3Db", "jql=a+%3D++b"),
        ],
    )
    def test_is_the_same_however_it_is_spelled(self, one, other):
        assert get(one) == get(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a=1", "a=2"),
            ("a=1", "A=1"),
            ("a=1", "b=1"),
            ("a=1", ""),
            ("a=1&a=2", "a=2&a=1"),
            ("a=1&a=1", "a=1"),
            ("a=1,2", "a=2,1"),
            ("a=1,2", "a=1&a=2"),
            ("a=", "a"),
            ("a=", ""),
            ("a", ""),
            ("a&b", "a=b"),
            ("a=b%26c%3Dd", "a=b&c=d"),
            ("a=%2B", "a=+"),
            ("a=%2520", "a=%20"),
            ("a=%ff", "a=%fe"),
            ("a=%ff", "a=%EF%BF%BD"),
            ("a=%zz", "a=%25zz"),
            ("a=%", "a=%25"),
            ("a=\xe9", "a=%C3%A9"),
            ("a=%C3%A9", "a=e%CC%81"),
            ("fields=-comment,*all", "fields=*all,-comment"),
            ("fields=", ""),
            ("fields=a", "fields=a&fields="),
            ("expand=a&expand=b", "expand=a,b"),
            ("expand=a&expand=b", "expand=b&expand=a"),
            ("expand=a,%20b", "expand=a,b"),
            ("jql=a%3Db", "jql=a%3DB"),
            ("jql=", "jql"),
            ("maxResults=50", ""),
            ("startAt=0", ""),
        ],
    )
    def test_is_another_where_jira_may_answer_otherwise(self, one, other):
        assert get(one) != get(other)

    @pytest.mark.parametrize("default", ["startAt=0", "maxResults=50", "validateQuery=true"])
    def test_of_a_search_may_name_its_defaults(self, default):
        assert search(f"jql=x&{default}") == search("jql=x")

    @pytest.mark.parametrize(
        "other", ["startAt=00", "startAt=1", "startAt", "startAt=0&startAt=5", "maxResults=51", "validateQuery=false"]
    )
    def test_of_a_search_is_another_with_anything_but_a_default(self, other):
        assert search(f"jql=x&{other}") != search("jql=x")

    def test_knows_defaults_only_where_cloud_and_data_center_share_them(self):
        def same(query, path):
            return get(query, path) == get("", path)

        assert same("startAt=0", "/rest/agile/1.0/board")
        assert not same("maxResults=50", "/rest/agile/1.0/board")
        assert same("startAt=0", "/rest/api/3/project/search")
        assert not same("maxResults=50", "/rest/api/3/project/search")
        assert not same("startAt=0", "/rest/api/2/project/search/versions")

    def test_of_a_third_partys_app_is_reordered_but_no_list_in_it(self):
        path = "/rest/other-app/1/search"
        assert get("a=1&b=2", path) == get("b=2&a=1", path)
        assert get("fields=a,b", path) != get("fields=b,a", path)
        assert get("jql=a%3Db", path) != get("jql=a+%3D+b", path)
        assert get("startAt=0", path) != get("", path)


NAMES = st.sampled_from(["a", "b", "A", "query", "ä b"])
VALUES = st.none() | st.text(st.characters(codec="utf-8"), max_size=4)
PARAMETERS = st.lists(st.tuples(NAMES, VALUES), max_size=4)


def encoded(draw, text):
    """Spell a text in one of the ways a query may."""

    def spelled(character):
        escaped = "".join(f"%{byte:02X}" for byte in character.encode())
        ways = [escaped, escaped.lower()]
        if character == " ":
            ways.append("+")
        if quote(character, safe="") == character:
            ways.append(character)
        return draw(st.sampled_from(ways))

    return "".join(map(spelled, text))


def written(draw, parameters):
    """Write parameters down in any order that keeps repeated ones in theirs, and in any spelling."""
    pieces = [encoded(draw, name) + ("" if value is None else f"={encoded(draw, value)}") for name, value in parameters]
    numbered = draw(st.permutations(range(len(parameters))))
    order = sorted(
        range(len(parameters)), key=lambda at: numbered[[name for name, _ in parameters].index(parameters[at][0])]
    )
    return "&".join(pieces[at] for at in order)


@given(st.data(), PARAMETERS, PARAMETERS)
def test_two_queries_share_a_key_exactly_if_they_say_the_same(data, one, other):
    def meaning(parameters):
        return {name: [value for known, value in parameters if known == name] for name, _ in parameters}

    same = meaning(one) == meaning(other)
    assert (get(written(data.draw, one)) == get(written(data.draw, other))) is same
    assert get(written(data.draw, one)) == get(written(data.draw, one))


class TestJql:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a = b", "a=b"),
            ("a = b", "  a\t=\r\n b "),
            ("a in (1, 2)", "a IN(1 ,2)"),
            ("a = b and not c is empty order by d desc", "a = b AND NOT c IS EMPTY ORDER BY d DESC"),
            ('a = "x y"', 'a="x y"'),
            ("a was b by currentUser ( )", "a WAS b BY currentUser()"),
            ("a >= -1w", "a>=-1w"),
        ],
    )
    def test_is_the_same_however_it_is_spaced_and_its_keywords_written(self, one, other):
        assert canonical_jql(one) == canonical_jql(other)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("a = b", "a = B"),
            ("a = b", "A = b"),
            ('a = "x y"', 'a = "x  y"'),
            ('a = "and"', 'a = "AND"'),
            ("a = 'and'", "a = 'AND'"),
            ('a = "x"', "a = 'x'"),
            ('a = "x"', "a = x"),
            ("a = x\\ y", "a = x y"),
            ("a = x\\  y", "a = x\\ y"),
            ("a > = b", "a >= b"),
            ("a ! = b", "a != b"),
            ("a b", "ab"),
            ('"a" "b"', '"a""b"'),
            ("cf [1] = 2", "cf[1] = 2"),
            ('a = "x \\" and y"', 'a = "x \\" AND y"'),
            ('a = "x\\\\" and y', 'a = "x\\\\" or y'),
            ("a = '\"' and b = '  \"'", "a = '\"' and b = ' \"'"),
            ("a =\xa0b", "a = b"),
            ("a = android", "a = ANDroid"),
        ],
    )
    def test_is_another_where_jira_may_find_other_issues(self, one, other):
        assert canonical_jql(one) != canonical_jql(other)

    @pytest.mark.parametrize("broken", ['a  = "x and y', "a  = 'x", "a  = b\\", 'a  = "x\\"', "  it's  "])
    def test_that_does_not_end_is_left_as_it_is(self, broken):
        assert canonical_jql(broken) == broken

    @pytest.mark.parametrize("start", ['"', "'", "\\", "a ", '"\\"', "\"'\\\"\\'"])
    def test_takes_no_longer_than_its_length(self, start):
        canonical_jql(start * 30_000 + '"' + "a" * 100_000)


QUOTED = st.builds(
    lambda mark, text: mark + "".join(f"\\{c}" if c in {mark, "\\"} else c for c in text) + mark,
    st.sampled_from("\"'"),
    st.text(st.sampled_from("aA \"'\\=(\tand"), max_size=6),
)
WORD = st.sampled_from(["a", "A", "project", "PROJ-1", "-5m", "cf[1]", "x\\ y", "\\'", "ä", "android"])
KEYWORDS = ["AND", "OR", "NOT", "IN", "IS", "EMPTY", "ORDER", "BY", "WAS", "DESC"]
TOKENS = st.lists(
    QUOTED | WORD | st.sampled_from(KEYWORDS) | st.sampled_from(["=", "!=", ">", ">=", "~", "(", ")", ","]), max_size=8
)


def spaced(draw, tokens):
    """Write tokens down with any white space that keeps them apart, and keywords in any case."""
    text = draw(st.sampled_from(["", " ", "\n"]))
    for before, token in zip(["(", *tokens], tokens, strict=False):
        operators = [part[0] in "=!<>~" for part in (before, token)]
        glued = before in "()," or token in "()," or operators[0] != operators[1]
        text += draw(st.sampled_from(["", " ", " \t "] if glued else [" ", "\r\n", "  "]))
        text += draw(st.sampled_from([token, token.lower(), token.title()])) if token in KEYWORDS else token
    return text + draw(st.sampled_from(["", "  "]))


@given(st.data(), TOKENS, TOKENS)
def test_two_jql_texts_share_a_key_exactly_if_they_are_the_same_tokens(data, one, other):
    assert (canonical_jql(spaced(data.draw, one)) == canonical_jql(spaced(data.draw, other))) is (one == other)
    assert canonical_jql(spaced(data.draw, one)) == canonical_jql(spaced(data.draw, one))


@given(QUOTED, QUOTED)
def test_whatever_changes_inside_quotes_changes_the_key(one, other):
    assert (search(f"jql={quote(f'a = {one}')}") == search(f"jql={quote(f'a = {other}')}")) is (one == other)


class TestABody:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (b'{"a":1,"b":[1,2]}', b' {"b" : [1, 2],\n"a":1} '),
            (b'{"a":{"x":1,"y":2}}', b'{"a":{"y":2,"x":1}}'),
            (b'{"a":"\\u00e9\\/"}', '{"a":"é/"}'.encode()),
            (b'{"jql":"a=b and c=d"}', b'{"jql":" a = b AND c = d"}'),
            (b'{"fields":["a","b"]}', b'{"fields":["b","a","b"]}'),
            (b'{"expand":["a","b"]}', b'{"expand":["b","a"]}'),
            (b'{"properties":["a","b"]}', b'{"properties":["b","a"]}'),
        ],
    )
    def test_is_the_same_however_it_is_written(self, one, other):
        assert post(one) == post(other) is not None

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"a": 1}, {"a": "1"}),
            ({"a": 1}, {"a": 1.0}),
            ({"a": 1}, {"a": True}),
            ({"a": 0}, {"a": False}),
            ({"a": None}, {}),
            ({"a": None}, {"a": "null"}),
            ({"a": ""}, {"a": None}),
            ({"a": [1, 2]}, {"a": [2, 1]}),
            ({"a": []}, {"a": {}}),
            ({"A": 1}, {"a": 1}),
            ({"jql": "a = 'x  y'"}, {"jql": "a = 'x y'"}),
            ({"query": "a=b"}, {"query": "a = b"}),
            ({"filter": {"jql": "a=b"}}, {"filter": {"jql": "a = b"}}),
            ({"fields": ["-a", "*all"]}, {"fields": ["*all", "-a"]}),
            ({"fields": ["a,b"]}, {"fields": ["a", "b"]}),
            ({"fields": ["b", "a", {}]}, {"fields": ["a", "b", {}]}),
            ({"fields": []}, {}),
            ({"issueIdsOrKeys": ["A-1", "A-2"]}, {"issueIdsOrKeys": ["A-2", "A-1"]}),
        ],
    )
    def test_is_another_where_jira_may_answer_otherwise(self, one, other):
        assert post(one) != post(other)

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"[]",
            b'"x"',
            b"null",
            b"{",
            b"{} {}",
            b"\xef\xbb\xbf{}",
            b'{"a":"\xff"}',
            '{"a":1}'.encode("utf-16"),
            b'{"a":1,"a":1}',
            b'{"x":{"a":1,"a":2}}',
            b'{"a":1,"\\u0061":2}',
            b'{"a":NaN}',
            b'{"a":Infinity}',
            b'{"a":1e400}',
            b'{"a":0.10000000000000000001}',
            b'{"a":' + b"9" * 5_000 + b"}",
            b'{"a":' + b"[" * 100_000,
            b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
            b'{"a":"' + b"x" * 256 * 1024 + b'"}',
        ],
    )
    def test_that_is_not_for_certain_one_object_makes_no_key(self, body):
        assert post(body) is None

    def test_is_no_part_of_the_question_where_jira_does_not_read_it_so_but_keeps_it_apart(self):
        plain = Request("GET", "/rest/api/3/issue/PROJ-1")
        assert key(plain, ISSUE, "p") != key(replace(plain, body=b"\xff"), ISSUE, "p")

    def test_is_json_or_said_to_be_something_else(self):
        as_json = post({}, content_type="application/json")
        assert post({}, content_type="Application/JSON; charset=UTF-8") == as_json
        assert post({}, content_type="text/plain") != as_json
        assert post({}, content_type="application/json; charset=latin1") != as_json

    def test_of_a_third_partys_app_keeps_its_lists_as_they_are(self):
        path = "/rest/other-app/1/find"
        assert post({"fields": ["a", "b"]}, path) != post({"fields": ["b", "a"]}, path)
        assert post(b'{"a":1,"b":2}', path) == post(b'{"b":2,"a":1}', path)

    def test_makes_a_search_of_its_own_beside_the_same_one_in_a_query(self):
        path = "/rest/api/2/search"
        assert post({"jql": "a = b"}, path) != get("jql=a+%3D+b", path, SEARCH)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from([0.0, 1.0, 0.1]) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "fields"]), inner, max_size=3)
    ),
    max_leaves=6,
)
OBJECTS = st.dictionaries(st.sampled_from(["a", "b", "startAt", "é"]), JSON, max_size=3)


@given(OBJECTS, OBJECTS, st.sampled_from([None, 2]), st.booleans())
def test_two_bodies_share_a_key_exactly_if_they_are_the_same_json(one, other, indent, ascii_only):
    def shuffled(node):
        if isinstance(node, dict):
            return {name: shuffled(node[name]) for name in reversed(node)}
        return [shuffled(item) for item in node] if isinstance(node, list) else node

    respelled = json.dumps(shuffled(one), indent=indent, ensure_ascii=ascii_only).encode()
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert post(respelled) == post(one)
    assert (post(one) == post(other)) is same
