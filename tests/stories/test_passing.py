"""What is not for the cache goes through as if there were no proxy."""

import asyncio
import gzip
import io
import json

import aiohttp
import pytest
from aiohttp import web

from proxy.errors import ConfigError

ISSUE = "/rest/api/2/issue/PROJ-1"
WRITE = "/rest/api/2/issue/PROJ-1/comment"
PAGE = "/browse/PROJ-1"


def request(line: str, *headers: str, body: bytes = b"", close: bool = True) -> bytes:
    lines = [f"{line} HTTP/1.1", "Host: proxy.example", *headers, *(["Connection: close"] if close else [])]
    return "\r\n".join([*lines, "", ""]).encode() + body


def told(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    """Read an answer off the wire: status, headers with lower-case names, body."""
    head, _, body = answer.partition(b"\r\n\r\n")
    line, *fields = head.decode().split("\r\n")
    return int(line.split()[1]), {k.lower(): v for k, _, v in (field.partition(": ") for field in fields)}, body


def named(pairs, name: str) -> list[str]:
    return [value for key, value in pairs if key.lower() == name]


@pytest.fixture
def heard(origin):
    """Let the origin answer everything plainly, and tell the header lines of the last request it got."""
    lines: list[tuple[str, str]] = []

    def answer(asked: web.BaseRequest) -> web.Response:
        lines[:] = asked.headers.items()
        return web.Response(text="passed")

    origin._jira = lambda asked, *_: answer(asked)
    return lines


# the target ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/browse/A%2fB%2F%41%7e?x=%41+%20",
        "/browse//double///slashes/",
        "/rest/api/2/./issue/../issue/PROJ-1",
        "/rest/api/2/issue/PROJ-1;jsessionid=1?a;b",
        "/rest/api/2/issue/PROJ-1%3Bx",
        "/rest/api/2/issue/%2e%2e/PROJ-1",
        "/rest/api/2/issue/PROJ-1%00",
        "/rest/api/2/issue/PROJ-1%zz?%zz=%",
        "/rest/x?&&a=&=b&a=1&a=2?/:@!$'()*,[]{}|^`\"<>\\",
        "/rest/api/2/search?jql=summary~%22a%26b%3Dc%23%22+OR+key+%3D%20PROJ-1&fields=%2Aall",
        "/rest/api/2/filter?expand=a%2Cb,c",
        "/%",
        "/",
        "//",
        "/plugins/servlet/a:b@c",
        "/a?http://other.example/x",
    ],
)
async def test_a_target_reaches_jira_to_the_byte(proxy, origin, raw, heard, target):
    status, _, _ = told(await raw(proxy.url, request(f"GET {target}")))
    assert (status, origin.seen[-1].target) == (200, target)


@pytest.mark.parametrize(
    ("target", "arrives"),
    [
        ("http://proxy.example/browse/A%2fB?x=%41", "/browse/A%2fB?x=%41"),
        ("HTTP://elsewhere.example:99/browse/x", "/browse/x"),
        ("http://proxy.example", "/"),
        ("http://proxy.example?x=1", "/?x=1"),
    ],
)
async def test_a_target_in_absolute_form_reaches_jira_as_a_path(proxy, origin, raw, heard, target, arrives):
    assert told(await raw(proxy.url, request(f"GET {target}")))[0] == 200
    assert origin.seen[-1].target == arrives


async def test_a_cacheable_question_is_asked_with_the_path_and_query_of_the_client(proxy, origin):
    target = f"{ISSUE}?fields=summary%2Cstatus&expand=&x=%7e"
    origin.issue("PROJ-1", "one")
    assert (await proxy.get("", params=None)).status in {200, 404}
    await proxy.session.get(aiohttp.client.URL(proxy.url + target, encoded=True))
    assert origin.seen[-1].target == target


async def test_a_very_long_query_goes_through(proxy, origin, raw, heard):
    target = "/rest/api/2/search?jql=" + "key=PROJ-1%20OR%20" * 1700
    assert len(target) > 30_000
    assert told(await raw(proxy.url, request(f"GET {target}")))[0] == 200
    assert origin.seen[-1].target == target


@pytest.mark.parametrize(
    "line",
    [
        "GET /rest/api/2/issue/PROJ-1#fragment",
        "GET /rest/api/2/issue/PROJ-1?x#fragment",
        "OPTIONS *",
        "GET ftp://proxy.example/x",
        "GET http://user@proxy.example/x",
        "GET http://[bad/x",
        "GET rest/api/2/issue",
        "CONNECT proxy.example:443",
    ],
)
async def test_a_target_that_is_no_path_is_refused_in_jiras_own_shape(proxy, origin, raw, line):
    status, headers, body = told(await raw(proxy.url, request(line)))
    assert (status, headers["content-type"]) == (400, "application/json;charset=UTF-8")
    assert headers["cache-status"] == "jira-cache; detail=bad-request"
    assert json.loads(body).keys() == {"errorMessages", "errors"}
    assert origin.seen == []


@pytest.mark.parametrize(
    "said",
    [
        b"\x16\x03\x01 hello\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused_in_jiras_own_shape(proxy, raw, said):
    status, headers, body = told(await raw(proxy.url, said))
    assert (status, headers["content-type"]) == (400, "application/json;charset=UTF-8")
    assert json.loads(body)["errors"] == {}


# headers of requests -------------------------------------------------------------------------------------------------


async def test_what_is_meant_for_the_next_hop_goes_no_further(proxy, heard, raw):
    lines = ["Keep-Alive: 5", "TE: trailers", "Upgrade: h2c", "Proxy-Authorization: Basic eA==", "X-Mine: secret"]
    await raw(proxy.url, request(f"GET {PAGE}", *lines, "Connection: close, x-mine", "X-Other: kept", close=False))
    arrived = {name.lower() for name, _ in heard}
    assert not arrived & {"keep-alive", "te", "upgrade", "proxy-authorization", "x-mine", "connection"}
    assert "x-other" in arrived


async def test_jira_hears_its_own_name_and_who_was_asked_for(proxy, origin, heard, raw):
    await raw(proxy.url, request(f"GET {PAGE}"))
    assert named(heard, "host") == [origin.url.removeprefix("http://")]
    assert named(heard, "via") == ["1.1 jira-cache"]
    assert named(heard, "x-forwarded-for") == ["127.0.0.1"]
    assert named(heard, "x-forwarded-host") == ["proxy.example"]
    assert named(heard, "x-forwarded-proto") == ["http"]


async def test_what_proxies_before_this_one_said_is_kept(proxy, heard, raw):
    before = ["Via: 1.1 first", "X-Forwarded-For: 192.0.2.7", "X-Forwarded-For: 192.0.2.8"]
    await raw(proxy.url, request(f"GET {PAGE}", *before, "X-Forwarded-Host: jira.example", "X-Forwarded-Proto: https"))
    assert named(heard, "via") == ["1.1 first", "1.1 jira-cache"]
    assert named(heard, "x-forwarded-for") == ["192.0.2.7, 192.0.2.8, 127.0.0.1"]
    assert named(heard, "x-forwarded-host") == ["jira.example"]
    assert named(heard, "x-forwarded-proto") == ["https"]


async def test_nothing_is_added_that_the_client_did_not_say(proxy, heard, raw):
    await raw(proxy.url, request(f"GET {PAGE}"))
    ours = {"host", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-request-id"}
    assert {name.lower() for name, _ in heard} == ours


async def test_repeated_and_empty_and_odd_headers_arrive_as_they_were(proxy, heard, raw):
    odd = "a=b; c=\"d e\"; f={1,2}; g='é'"
    await raw(
        proxy.url, request(f"GET {PAGE}", "X-Two: 1", "X-Two: 2, 3", "X-Empty:", f"Cookie: {odd}", "Cookie: second=1")
    )
    assert named(heard, "x-two") == ["1", "2, 3"]
    assert named(heard, "x-empty") == [""]
    assert "; ".join(named(heard, "cookie")) == f"{odd}; second=1"


async def test_latin_1_in_a_header_arrives_as_the_same_text(proxy, heard, raw):
    await raw(proxy.url, request(f"GET {PAGE}").replace(b"\r\n\r\n", b"\r\nX-Name: M\xfcller\r\n\r\n"))
    assert named(heard, "x-name") == ["Müller"]


async def test_anonymous_requests_stay_anonymous_whatever_the_host_machine_knows(
    new_proxy, origin, heard, raw, tmp_path, monkeypatch
):
    netrc = tmp_path / ".netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    proxy = await new_proxy()
    for target in (PAGE, ISSUE):
        await raw(proxy.url, request(f"GET {target}"))
        assert named(heard, "authorization") == []


# bodies of requests --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [WRITE, "/rest/api/2/search", "/plugins/upload"])
async def test_a_client_that_waits_for_100_continue_is_told_to_go_on(proxy, origin, stack, path):
    origin.on("POST", path, lambda asked: web.json_response({"id": "1"}, status=201))
    reader, writer = await asyncio.open_connection(*proxy.url.removeprefix("http://").split(":"))
    stack.callback(writer.close)
    head = [f"POST {path}", "Content-Type: application/json", "Content-Length: 13", "Expect: 100-continue"]
    writer.write(request(*head))
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert origin.seen == []
        writer.write(b'{"body":"hi"}')
        status, _, body = told(await reader.read())
    assert (status, body) == (201, b'{"id": "1"}')
    assert origin.seen[-1].body == b'{"body":"hi"}'


async def test_a_client_that_need_not_send_its_body_is_not_told_to(proxy, origin, raw):
    answer = await raw(
        proxy.url, request("PUT /rest/x#y", "Content-Length: 13", "Expect: 100-continue", body=b"x" * 13)
    )
    assert answer.startswith(b"HTTP/1.1 400")


async def test_a_chunked_upload_arrives_whole(proxy, origin, heard):
    async def parts():
        for _ in range(50):
            yield b"x" * 1000

    assert (await proxy.request("POST", "/rest/api/2/attachment", data=parts())).status == 200
    assert origin.seen[-1].body == b"x" * 50_000
    assert origin.seen[-1].headers["Transfer-Encoding"] == "chunked"


async def test_an_upload_of_known_length_arrives_with_it(proxy, origin, heard):
    await proxy.request("POST", "/rest/api/2/attachment", data=b"x" * 50_000)
    assert (origin.seen[-1].headers["Content-Length"], len(origin.seen[-1].body)) == ("50000", 50_000)
    assert "Transfer-Encoding" not in origin.seen[-1].headers


@pytest.mark.parametrize("kind", ["application/json", "application/octet-stream"])
@pytest.mark.parametrize("size", [0, 10, 3_000_000])
async def test_a_body_of_any_size_and_kind_arrives_whole(proxy, origin, heard, kind, size):
    body = json.dumps({"body": "x" * size}).encode() if size else b""
    answer = await proxy.request("PUT", ISSUE, data=io.BytesIO(body), headers={"Content-Type": kind})
    assert (answer.status, origin.seen[-1].body) == (200, body)
    assert origin.seen[-1].headers["Content-Type"] == kind


async def test_a_large_read_only_post_is_asked_whole(proxy, origin):
    found = {"issues": []}
    origin.on("POST", "/rest/api/2/search", lambda asked: web.json_response(found, headers={"X-AUSERNAME": "alice"}))
    question = {"jql": "key in (" + ",".join(f"PROJ-{n}" for n in range(200_000)) + ")"}
    body = json.dumps(question).encode()
    sent = {"data": io.BytesIO(body), "headers": {"Content-Type": "application/json"}}
    # To read so much for a key would keep the other callers waiting.
    assert (await proxy.request("POST", "/rest/api/2/search", **sent)).why == "unreadable-body"
    assert json.loads(origin.seen[-1].body) == question


async def test_a_compressed_request_body_passes_as_it_is(proxy, origin, heard):
    body = gzip.compress(b'{"fields":{}}')
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    await proxy.request("PUT", ISSUE, data=body, headers=headers)
    assert (origin.seen[-1].body, origin.seen[-1].headers["Content-Encoding"]) == (body, "gzip")


async def test_a_delete_may_have_a_body(proxy, origin, heard):
    await proxy.request("DELETE", WRITE, data=b'{"a":1}', headers={"Content-Type": "application/json"})
    assert (origin.seen[-1].method, origin.seen[-1].body) == ("DELETE", b'{"a":1}')


@pytest.mark.parametrize("method", ["OPTIONS", "PATCH", "DELETE", "PUT", "POST", "PROPFIND"])
async def test_every_method_passes(proxy, origin, heard, method):
    assert (await proxy.request(method, WRITE)).body == b"passed"
    assert origin.seen[-1].method == method


# answers -------------------------------------------------------------------------------------------------------------


async def test_head_gets_what_get_gets_but_the_body(proxy, origin):
    origin.issue("PROJ-1", "one")
    await proxy.get(ISSUE)
    get, head = await proxy.get(ISSUE), await proxy.request("HEAD", ISSUE)
    assert origin.calls() == 1
    assert (head.status, head.body, head.why) == (200, b"", "fresh")
    assert head.headers["Content-Length"] == str(len(get.body))
    changing = {"Date"}
    assert {k: v for k, v in head.headers.items() if k not in changing} == {
        k: v for k, v in get.headers.items() if k not in changing
    }


async def test_a_head_that_is_a_miss_makes_the_next_get_a_hit(proxy, origin):
    origin.issue("PROJ-1", "one")
    head = await proxy.request("HEAD", ISSUE)
    get = await proxy.get(ISSUE)
    assert (head.body, get.why, head.headers["Content-Length"]) == (b"", "fresh", str(len(get.body)))


async def test_head_passes_where_nothing_is_cached(proxy, origin):
    origin.on("HEAD", PAGE, lambda asked: web.Response(headers={"Content-Length": "1234", "X-Page": "yes"}))
    answer = await proxy.request("HEAD", PAGE)
    assert (answer.status, answer.headers["Content-Length"], answer.headers["X-Page"]) == (200, "1234", "yes")
    assert origin.seen[-1].method == "HEAD"


async def test_head_tells_no_length_that_get_would_not_have(proxy, origin):
    path = "/rest/api/2/issue/picker"
    headers = {"Content-Length": "1234", "Content-Type": "application/json"}
    origin.on("HEAD", path, lambda asked: web.Response(headers=headers))
    answer = await proxy.request("HEAD", path)
    assert answer.status == 200
    assert "Content-Length" not in answer.headers  # the links in GET's body are made to fit


async def test_a_part_of_an_attachment_passes_and_is_never_kept(proxy, origin):
    path = "/secure/attachment/10000/picture.png"

    def part(asked):
        assert asked.headers["Range"] == "bytes=2-4"
        return web.Response(status=206, body=b"cde", headers={"Content-Range": "bytes 2-4/10"})

    origin.on("GET", path, part)
    for _ in range(2):
        answer = await proxy.get(path, headers={"Range": "bytes=2-4"})
        assert (answer.status, answer.body, answer.headers["Content-Range"]) == (206, b"cde", "bytes 2-4/10")
    assert origin.calls() == 2


async def test_a_range_of_what_could_be_cached_is_jiras_to_answer(proxy, origin):
    whole = b'{"self":"' + origin.url.encode() + b'/rest/api/2/issue/1"}'
    kind = {"Content-Type": "application/json", "Content-Range": f"bytes 0-4/{len(whole)}"}
    origin.on("GET", ISSUE, lambda asked: web.Response(status=206, body=whole[:5], headers=kind))
    for _ in range(2):
        answer = await proxy.get(ISSUE, headers={"Range": "bytes=0-4"})
        assert (answer.status, answer.body, answer.why) == (206, whole[:5], "range")
    assert origin.calls() == 2


def zipped(body: bytes, asked: web.BaseRequest) -> web.Response:
    if asked.headers.get("Accept-Encoding", "") != "gzip":
        return web.Response(body=body, content_type="application/json", headers={"X-AUSERNAME": "alice"})
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json", "X-AUSERNAME": "alice"}
    return web.Response(body=gzip.compress(body, mtime=1), headers=headers)


@pytest.mark.parametrize("path", [ISSUE, "/rest/api/2/issue/picker", PAGE])
async def test_a_compressed_answer_without_links_passes_byte_for_byte(proxy, origin, raw, path):
    body = json.dumps({"text": "no link here " * 100}).encode()
    origin.on("GET", path, lambda asked: zipped(body, asked))
    for _ in range(2):
        _, headers, received = told(await raw(proxy.url, request(f"GET {path}", "Accept-Encoding: gzip")))
        assert (headers["content-encoding"], received) == ("gzip", gzip.compress(body, mtime=1))


@pytest.mark.parametrize("path", [ISSUE, "/rest/api/2/issue/picker"])
async def test_a_client_that_does_not_take_gzip_gets_none(proxy, origin, raw, path):
    body = json.dumps({"self": f"{origin.url}/rest/api/2/issue/1"}).encode()
    origin.on("GET", path, lambda asked: zipped(body, asked))
    expected = {"self": "http://proxy.example/rest/api/2/issue/1"}
    for accepted in ("gzip", "identity", "gzip;q=0", "br"):
        _, headers, received = told(await raw(proxy.url, request(f"GET {path}", f"Accept-Encoding: {accepted}")))
        packed = accepted == "gzip"
        assert ("content-encoding" in headers) == packed
        assert json.loads(gzip.decompress(received) if packed else received) == expected
        assert headers["content-length"] == str(len(received))


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_a_body_stays_without(proxy, origin, raw, status):
    origin.on("GET", PAGE, lambda asked: web.Response(status=status, headers={"X-Jira": "said so"}))
    answer = await raw(proxy.url, request(f"GET {PAGE}"))
    told_status, headers, body = told(answer)
    assert (told_status, body, headers["x-jira"]) == (status, b"", "said so")
    assert not headers.keys() & {"content-length", "transfer-encoding", "content-type"}


async def test_interim_answers_are_not_taken_for_the_answer(new_proxy, new_bytes_origin, raw):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    url = await new_bytes_origin(speak)
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    status, _, body = told(await raw(proxy.url, request(f"GET {PAGE}")))
    assert (status, body) == (200, b"ok")


async def test_headers_of_an_answer_arrive_as_they_were(new_proxy, new_bytes_origin, raw):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        lines = [
            "HTTP/1.1 200 OK",
            "Connection: close, X-Hop",
            "X-Hop: 1",
            "Keep-Alive: 5",
            "Trailer: x",
            "Content-Length: 2",
            "Set-Cookie: a=1; Path=/",
            "Set-Cookie: b=2; Expires=Thu, 01 Jan 2032 00:00:00 GMT",
            "X-Utf: Müller",
            "X-Empty:",
            "Server: jira",
            "Date: Thu, 01 Jan 2032 00:00:00 GMT",
        ]
        writer.write("\r\n".join(lines).encode() + b"\r\nX-Latin: M\xfcller\r\n\r\nok")

    url = await new_bytes_origin(speak)
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    answer = await raw(proxy.url, request(f"GET {PAGE}", "X-Request-Id: mine"))
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
    assert sorted(lines, key=str.lower) == [
        "Cache-Status: jira-cache; fwd=bypass; fwd-status=200; detail=not-rest",
        "Connection: close",
        "Content-Length: 2",
        "Content-Type: application/octet-stream",
        "Date: Thu, 01 Jan 2032 00:00:00 GMT",
        "Server: jira",
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2; Expires=Thu, 01 Jan 2032 00:00:00 GMT",
        "Via: 1.1 jira-cache",
        "X-Empty: ",
        "X-Latin: Müller",
        "X-Request-Id: mine",
        "X-Utf: Müller",
    ]


@pytest.mark.parametrize("path", [PAGE, ISSUE, "/rest/api/2/issue/picker"])
async def test_nothing_is_made_up_that_jira_did_not_say(new_proxy, new_bytes_origin, raw, path):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    url = await new_bytes_origin(speak)
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    _, headers, body = told(await raw(proxy.url, request(f"GET {path}")))
    assert body == b"ok"
    # A body without a type is of this type anyway (RFC 9110 section 8.3); aiohttp says so.
    assert headers.pop("content-type") == "application/octet-stream"
    assert headers.pop("server") == "jira-cache"
    assert headers.keys() <= {"content-length", "cache-status", "via", "date", "connection", "x-request-id"}


async def test_redirects_are_the_clients_to_follow(proxy, origin):
    location = f"{origin.url}/secure/attachment/1/a%2Fb?x=1"
    origin.on(
        "GET",
        "/rest/api/3/attachment/content/1",
        lambda asked: web.Response(status=303, headers={"Location": location}),
    )
    answer = await proxy.get("/rest/api/3/attachment/content/1")
    assert (answer.status, answer.headers["Location"]) == (303, f"{proxy.url}/secure/attachment/1/a%2Fb?x=1")
    assert origin.calls() == 1


async def test_a_redirect_to_elsewhere_is_left_alone(proxy, origin):
    elsewhere = "https://media.example/signed?token=a%2Fb"
    origin.on("GET", PAGE, lambda asked: web.Response(status=302, headers={"Location": elsewhere}))
    assert (await proxy.get(PAGE)).headers["Location"] == elsewhere


async def test_pages_stream_while_jira_is_still_writing_them(proxy, origin):
    rest = asyncio.Event()

    async def page(asked):
        response = web.StreamResponse(headers={"Content-Type": "text/html"})
        await response.prepare(asked)
        await response.write(b"<html>")
        await rest.wait()
        await response.write(b"</html>")
        return response

    origin.on("GET", PAGE, page)
    async with proxy.session.get(proxy.url + PAGE) as response:
        assert await response.content.readany() == b"<html>"
        rest.set()
        assert await response.content.read() == b"</html>"


# connections ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [PAGE, ISSUE])
async def test_an_old_client_gets_an_answer_that_ends_with_its_connection(proxy, origin, raw, path):
    async def page(asked):
        response = web.StreamResponse(headers={"Content-Type": "application/json", "X-AUSERNAME": "anonymous"})
        await response.prepare(asked)
        await response.write(b'{"a":')
        await response.write(b"1}")
        return response

    origin.on("GET", path, page)
    status, headers, body = told(await raw(proxy.url, f"GET {path} HTTP/1.0\r\n\r\n".encode()))
    assert (status, body) == (200, b'{"a":1}')
    assert "transfer-encoding" not in headers


async def test_pipelined_requests_are_answered_in_order(proxy, origin, raw):
    origin.on("POST", WRITE, lambda asked: web.json_response({"id": "written"}, status=201))
    for key in ("PROJ-1", "PROJ-2"):
        origin.issue(key, key, readers=["anonymous"])
    both = [request(f"GET /rest/api/2/issue/{key}", close=False) for key in ("PROJ-1", "PROJ-2", "PROJ-1")]
    write = request(f"POST {WRITE}", "Content-Length: 5", body=b"hello", close=False)
    answer = await raw(proxy.url, b"".join([both[0], write, *both[1:], request("GET /-/live")]))
    marks = [answer.index(mark) for mark in (b'"summary": "PROJ-1"', b"written", b'"summary": "PROJ-2"', b"live")]
    assert marks == sorted(marks)
    assert answer.count(b"HTTP/1.1 20") == 5
    assert origin.seen[1].body == b"hello"


async def test_connections_to_jira_are_used_again(new_proxy, new_bytes_origin, raw):
    connections = []

    async def speak(reader, writer):
        connections.append(writer)
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    url = await new_bytes_origin(speak)
    proxy = await new_proxy(tenants={"default": {"upstream": url}})
    for path in (PAGE, ISSUE, PAGE, "/rest/api/2/issue/PROJ-2"):
        assert told(await raw(proxy.url, request(f"GET {path}")))[0] == 200
    assert len(connections) == 1


# the outbound proxy --------------------------------------------------------------------------------------------------


@pytest.fixture
async def outbound(new_bytes_origin):
    """A tiny forward proxy that answers itself, and the first lines and credentials it heard."""
    lines: list[str] = []

    async def speak(reader, writer):
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines.append(head.partition("\r\n")[0])
        lines.extend(line for line in head.split("\r\n") if line.lower().startswith("proxy-authorization"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nthrough")

    return await new_bytes_origin(speak), lines


async def test_jira_is_asked_through_the_proxy_that_the_environment_names(new_proxy, origin, raw, outbound):
    url, lines = outbound
    proxy = await new_proxy({"HTTP_PROXY": url})
    body = told(await raw(proxy.url, request("GET /browse/A%2fB//c?x=%41")))[2]
    assert (body, lines) == (b"through", [f"GET {origin.url}/browse/A%2fB//c?x=%41 HTTP/1.1"])


async def test_the_outbound_proxy_gets_its_own_credentials_and_jira_none(new_proxy, raw, outbound):
    url, lines = outbound
    proxy = await new_proxy({"http_proxy": url.replace("://", "://user:pass@")})
    await raw(proxy.url, request(f"GET {PAGE}"))
    assert lines[1:] == ["Proxy-Authorization: Basic dXNlcjpwYXNz"]


@pytest.mark.parametrize("spared", ["127.0.0.1", "*", "example.com, 127.0.0.1", "127.0.0.1:{port}"])
async def test_no_proxy_is_heeded(new_proxy, origin, raw, outbound, heard, spared):
    url, lines = outbound
    spared = spared.format(port=origin.url.rpartition(":")[2])
    proxy = await new_proxy({"HTTP_PROXY": url, "NO_PROXY": spared})
    assert told(await raw(proxy.url, request(f"GET {PAGE}")))[2] == b"passed"
    assert lines == []


async def test_an_outbound_proxy_may_be_named_without_its_protocol(new_proxy, raw, outbound):
    url, _ = outbound
    proxy = await new_proxy({"ALL_PROXY": url.removeprefix("http://")})
    assert told(await raw(proxy.url, request(f"GET {PAGE}")))[2] == b"through"


async def test_an_outbound_proxy_of_another_protocol_stops_the_start(new_proxy):
    with pytest.raises(ConfigError, match=r"\$ALL_PROXY: only http:// and https:// proxies are supported"):
        await new_proxy({"ALL_PROXY": "socks5://127.0.0.1:1"})


async def test_a_trip_says_which_way_the_request_came_but_not_by_which_host(proxy, origin):
    origin.issue("PROJ-1", "asked for through a cache")
    await proxy.get("/rest/api/2/issue/PROJ-1", headers={"X-Forwarded-For": "10.0.0.9", "X-Forwarded-Host": "evil"})
    headers = origin.seen[-1].headers
    assert headers["Via"] == "1.1 jira-cache"
    assert headers["X-Forwarded-For"] == "10.0.0.9, 127.0.0.1"
    assert "X-Forwarded-Host" not in headers
