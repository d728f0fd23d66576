"""What a client says is read in one way only, or not at all."""

import asyncio

import pytest
from aiohttp import web

HOST = b"Host: proxy.example\r\n"
ISSUE = "/rest/api/2/issue/PROJ-1"
ALICE = b"Authorization: Basic YWxpY2U6c2VzYW1l\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\n" + HOST + b"\r\n"


def get(*lines: bytes, target: bytes = b"/page", version: bytes = b"HTTP/1.1", host: bytes = HOST) -> bytes:
    return b"GET " + target + b" " + version + b"\r\n" + host + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


def post(*lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1") -> bytes:
    return b"POST /page " + version + b"\r\n" + HOST + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


@pytest.fixture
def jira(origin):
    """An origin that answers everything plainly."""
    origin._jira = lambda asked, *_: web.Response(text="passed")
    return origin


async def hears_nothing(proxy, origin, raw, said: bytes) -> bytes:
    """Say bytes that must not reach Jira in any form, nor what follows them. Returns all that was answered."""
    heard = await raw(proxy.url, said + SMUGGLED)
    assert origin.seen == []
    return heard


TWO_LENGTHS = {
    "a length and chunks": post(b"Content-Length: 5", CHUNKED[:-2], body=b"0\r\n\r\n"),
    "chunks and a length": post(CHUNKED[:-2], b"Content-Length: 5", body=b"0\r\n\r\n"),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 5"),
    "one length twice": post(b"Content-Length: 0", b"Content-Length: 0"),
    "a list of lengths": post(b"Content-Length: 0, 0"),
    "a signed length": post(b"Content-Length: +0"),
    "a hexadecimal length": post(b"Content-Length: 0x0"),
    "a length of two words": post(b"Content-Length: 0 0"),
    "an empty length": post(b"Content-Length:"),
    "a length beyond all numbers": post(b"Content-Length: 99999999999999999999"),
    "a coding of no name": post(b"Transfer-Encoding:", b"Content-Length: 0"),
    "an unknown coding": post(b"Transfer-Encoding: junk", body=b"0\r\n\r\n"),
    "almost chunked": post(b"Transfer-Encoding: xchunked", body=b"0\r\n\r\n"),
    "quoted chunked": post(b'Transfer-Encoding: "chunked"', body=b"0\r\n\r\n"),
    "chunked behind a control character": post(b"Transfer-Encoding: \x0bchunked", body=b"0\r\n\r\n"),
    "chunked, and then something": post(b"Transfer-Encoding: chunked, identity", body=b"0\r\n\r\n"),
    "something, and then chunked": post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
    "chunked twice": post(CHUNKED[:-2], CHUNKED[:-2], body=b"0\r\n\r\n"),
    "chunks of an old client": post(CHUNKED[:-2], b"Connection: keep-alive", body=b"0\r\n\r\n", version=b"HTTP/1.0"),
    "a folded line": get(b"X-A: b", b" Content-Length: 5"),
    "a folded first line": b"GET /page HTTP/1.1\r\n X-A: b\r\n" + HOST + b"\r\n",
    "bare line feeds": b"GET /page HTTP/1.1\nHost: proxy.example\n\n",
    "one bare line feed": get(b"X-A: b\nX-B: c"),
    "a bare carriage return": get(b"X-A: b\rX-B: c"),
    "a null byte": get(b"X-A: b\x00c"),
    "a control character": get(b"X-A: b\x01c"),
    "a space before the colon": post(b"Content-Length : 0"),
    "a line without a colon": get(b"X-A"),
    "a chunk of no size": post(CHUNKED[:-2], body=b"zz\r\n\r\n0\r\n\r\n"),
    "a chunk of a negative size": post(CHUNKED[:-2], body=b"-1\r\n\r\n0\r\n\r\n"),
    "a chunk beyond all sizes": post(CHUNKED[:-2], body=b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "a chunk longer than it says": post(CHUNKED[:-2], body=b"5\r\nhello!\r\n0\r\n\r\n"),
    "a chunk that ends with a line feed": post(CHUNKED[:-2], body=b"5\nhello\n0\n\n"),
    "a line feed in a chunk's extension": post(CHUNKED[:-2], body=b"5;a\nb\r\nhello\r\n0\r\n\r\n"),
}


@pytest.mark.parametrize("said", TWO_LENGTHS.values(), ids=TWO_LENGTHS)
async def test_what_could_end_in_two_places_is_refused_and_nothing_is_read_behind_it(
    proxy, jira, raw, ask, is_jiras_error, said
):
    heard = await hears_nothing(proxy, jira, raw, said)
    assert heard.count(b"HTTP/1.") == 1
    assert is_jiras_error(await ask(proxy.url, said), 400, "bad-request")


BROKEN_CHUNKS = pytest.mark.parametrize(
    "broken", [b"zz\r\n\r\n", b"5\r\nhello!\r\n0\r\n\r\n", b"0\r\nno trailer\r\n\r\n"]
)


@BROKEN_CHUNKS
@pytest.mark.parametrize("kind", [b"application/json", b"text/plain"])
@pytest.mark.parametrize("path", [b"/page", b"/rest/api/2/search", b"/rest/api/2/issue/PROJ-1/comment"])
async def test_a_body_that_goes_wrong_on_its_way_is_answered_and_not_waited_for(proxy, jira, stack, path, kind, broken):
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + CHUNKED + b"Expect: 100-continue\r\nContent-Type: " + kind
    writer.write(head + b"\r\n\r\n")
    async with asyncio.timeout(5):
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"  # it is being read
        writer.write(b"2\r\n{}\r\n" + broken + SMUGGLED)
        heard = await reader.read()
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert heard.count(b"HTTP/1.") == 1
    assert b"detail=bad-request" in heard
    assert jira.seen == []


# trailers ------------------------------------------------------------------------------------------------------------

TRAILED = post(CHUNKED[:-2], body=b"2\r\nhi\r\n0\r\nX-Trailer: yes\r\n" + ALICE + b"\r\n")


async def test_a_trailer_is_no_header(proxy, jira, raw):
    assert b"passed" in await raw(proxy.url, TRAILED)
    assert jira.seen[0].body == b"hi"
    assert not {"X-Trailer", "Authorization"} & jira.seen[0].headers.keys()


@pytest.mark.parametrize("pieces", [1, 2], ids=["at once", "after the answer"])
async def test_a_trailer_does_not_become_a_header_of_the_next_request(proxy, jira, stack, pieces):
    """A proxy in front may send different clients' requests over one connection."""
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    async with asyncio.timeout(5):
        if pieces == 1:
            writer.write(TRAILED + SMUGGLED)
        else:
            writer.write(TRAILED)
            await reader.readuntil(b"passed")
            writer.write(SMUGGLED)
        await reader.read()
    assert [seen.target for seen in jira.seen] == ["/page"]


async def test_chunked_requests_without_trailers_share_a_connection(proxy, jira, stack):
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    async with asyncio.timeout(5):
        for end in (b"0\r\n\r\n", b"0\r", b"\n\r\n"):
            head = post(CHUNKED[:-2], body=b"2\r\nhi\r\n") if end.startswith(b"0") else b""
            writer.write(head + end)
            if end.endswith(b"\r\n\r\n") or not head:
                await reader.readuntil(b"passed")
        writer.write(get())
        await reader.readuntil(b"passed")
    assert [seen.target for seen in jira.seen] == ["/page"] * 3


# versions, upgrades, expectations ------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [b"HTTP/0.9", b"HTTP/2.0"])
async def test_a_version_that_we_do_not_speak_is_refused(proxy, jira, ask, is_jiras_error, version):
    assert is_jiras_error(await ask(proxy.url, get(version=version)), 505, "http-version")
    assert jira.seen == []


WEBSOCKET = [
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
]


async def test_a_websocket_is_refused_with_a_line_that_says_what_to_do(proxy, jira, raw, ask, is_jiras_error):
    answer = await ask(proxy.url, get(*WEBSOCKET))
    assert is_jiras_error(answer, 501, "upgrade-refused")
    assert answer.json()["errorMessages"] == ["WebSocket does not go through this proxy; connect to Jira itself"]
    assert (await hears_nothing(proxy, jira, raw, get(*WEBSOCKET))).count(b"HTTP/1.") == 1


async def test_another_tunnel_is_refused_too(proxy, jira, ask, is_jiras_error):
    assert is_jiras_error(await ask(proxy.url, get(b"Upgrade: tcp", b"Connection: Upgrade")), 501, "upgrade-refused")
    assert jira.seen == []


@pytest.mark.parametrize("upgrade", [b"h2c", b"TLS/1.0", b"websocket2"])
async def test_another_upgrade_is_left_alone_and_the_request_answered(proxy, jira, ask, upgrade):
    offer = [b"Upgrade: " + upgrade, b"HTTP2-Settings: AAMAAABk", b"Connection: Upgrade, HTTP2-Settings, close"]
    answer = await ask(proxy.url, get(*offer))
    assert (answer.status, answer.body) == (200, b"passed")
    assert not {"Upgrade", "HTTP2-Settings", "Connection"} & jira.seen[0].headers.keys()


OFFER = get(b"Upgrade: h2c", b"Connection: Upgrade")


async def test_a_connection_goes_on_after_an_upgrade_that_was_left_alone(proxy, jira, stack):
    host, _, port = proxy.url.partition("://")[2].partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    stack.callback(writer.close)
    async with asyncio.timeout(5):
        for said in (OFFER, OFFER, get()):
            writer.write(said)
            await reader.readuntil(b"passed")
    assert len(jira.seen) == 3


@pytest.mark.parametrize("offer", [OFFER, post(b"Upgrade: h2c", b"Connection: Upgrade", b"Content-Length: 0")])
async def test_what_comes_in_one_piece_with_an_upgrade_is_not_left_waiting(proxy, jira, raw, offer):
    heard = await raw(proxy.url, offer + SMUGGLED)
    assert heard.count(b"HTTP/1.1 200") == 1
    assert [seen.target for seen in jira.seen] == ["/page"]


async def test_a_tunnel_is_refused_and_what_is_said_into_it_not_read(proxy, jira, raw):
    tunnel = b"CONNECT jira.example:443 HTTP/1.1\r\nHost: jira.example:443\r\n\r\n"
    assert (await hears_nothing(proxy, jira, raw, tunnel)).count(b"HTTP/1.") == 1


async def test_an_expectation_that_we_cannot_meet_is_refused(proxy, jira, ask, is_jiras_error):
    said = post(b"Expect: 200-ok", b"Content-Length: 0")
    assert is_jiras_error(await ask(proxy.url, said), 417, "expectation-failed")
    assert jira.seen == []


async def test_an_old_client_is_not_told_to_go_on(proxy, jira, raw):
    said = post(b"Expect: 100-continue", b"Content-Length: 2", body=b"hi", version=b"HTTP/1.0")
    assert (await raw(proxy.url, said)).startswith(b"HTTP/1.0 200")
    assert jira.seen[0].body == b"hi"


# hosts, and whose Jira is asked --------------------------------------------------------------------------------------


@pytest.fixture
async def houses(new_proxy, new_origin):
    """A proxy of three Jiras: one by host, one by path, one for the rest. Each answers with its name."""
    tenants, origins = {}, {}
    for name, chosen in (("acme", {"hosts": ["acme.example"]}), ("beta", {"path_prefix": "/beta"}), ("rest", {})):
        origins[name] = await new_origin()
        origins[name]._jira = lambda asked, *_, name=name: web.Response(text=f"{name} {asked.raw_path}")
        tenants[name] = {"upstream": origins[name].url} | chosen
    return await new_proxy(tenants=tenants)


@pytest.mark.parametrize(
    ("target", "host", "answered"),
    [
        ("/page", "acme.example", "acme /page"),
        ("/page", "ACME.example:8080", "acme /page"),
        ("/page", "acme.example.", "acme /page"),
        ("/page", "acme.example.:80", "acme /page"),
        ("/beta/page", "acme.example", "acme /beta/page"),
        ("/beta/page", "elsewhere.example", "beta /page"),
        ("/beta", "elsewhere.example", "beta /"),
        ("/betamax", "elsewhere.example", "rest /betamax"),
        ("/BETA/page", "elsewhere.example", "rest /BETA/page"),
        ("/%62eta/page", "elsewhere.example", "rest /%62eta/page"),
        ("//beta/page", "elsewhere.example", "rest //beta/page"),
        ("/page", "", "rest /page"),
        ("http://acme.example/page", "elsewhere.example", "acme /page"),
        ("http://elsewhere.example/page", "acme.example", "rest /page"),
        ("http://elsewhere.example/beta/page", "acme.example", "beta /page"),
    ],
)
async def test_the_same_jira_is_chosen_however_it_is_asked_for(houses, ask, target, host, answered):
    said = get(b"Connection: close", target=target.encode(), host=f"Host: {host}\r\n".encode())
    answer = await ask(houses.url, said)
    assert (answer.status, answer.body.decode()) == (200, answered)


@pytest.mark.parametrize("name", ["X-Forwarded-Host", "Forwarded", "X-Host", "X-Original-URL", "X-Rewrite-URL"])
async def test_no_other_header_chooses_a_jira(houses, ask, name):
    said = get(b"Connection: close", f"{name}: acme.example".encode(), host=b"Host: elsewhere.example\r\n")
    assert (await ask(houses.url, said)).body == b"rest /page"


@pytest.mark.parametrize(
    "said",
    [
        get(host=b"Host: acme.example\r\nHost: elsewhere.example\r\n"),
        get(host=b"Host: acme.example\r\nhost: acme.example\r\n"),
        get(host=b""),
        get(host=b"Host: acme.example, elsewhere.example\r\n"),
        get(host=b"Host: acme.example elsewhere.example\r\n"),
        get(host=b"Host: user@acme.example\r\n"),
        get(host=b"Host: acme.example/page\r\n"),
        get(host=b"Host: acme.example#\r\n"),
        get(host=b"Host: acme.example:8080:80\r\n"),
        get(host=b"Host: acme.example:port\r\n"),
        get(host=b"Host: \xe9\r\n"),
        get(host=b"Host: [::1\r\n"),
        get(host=b"Host: " + b"a" * 300 + b"\r\n"),
        get(target=b"http://user@acme.example/page"),
        get(target=b"http://acme.example,elsewhere.example/page"),
        get(target=b"http:///page"),
        get(target=b"acme.example/page"),
        get(target=b"/page#fragment"),
        get(target=b"/p\xc3\xa9"),
    ],
)
async def test_a_name_that_is_none_or_two_chooses_nobody(houses, ask, is_jiras_error, said):
    end = b"Connection: close\r\n\r\n"
    assert is_jiras_error(await ask(houses.url, said[:-2] + end), 400, "bad-request")
