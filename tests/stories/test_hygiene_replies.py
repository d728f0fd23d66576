"""What Jira says is read in one way only, or not at all; and what follows it is nobody's answer."""

import asyncio

import pytest

from proxy.replies import LARGEST_HEAD, MOST_INTERIM

ISSUE, PAGE = "/rest/api/2/issue/PROJ-1", "/browse/PROJ-1"
OK = b"HTTP/1.1 200 OK\r\nX-AUSERNAME: alice\r\nContent-Type: application/json\r\n"
BODY = b'{"a": 1}'
LENGTH = b"Content-Length: 8\r\n"
IN_CHUNKS = b"8\r\n" + BODY + b"\r\n0\r\n\r\n"
GOOD = OK + LENGTH + b"\r\n" + BODY
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def coded(*codings: bytes, version: bytes = b"1.1") -> bytes:
    lines = b"".join(b"Transfer-Encoding: " + coding + b"\r\n" for coding in codings)
    return OK.replace(b"1.1", version) + lines + b"\r\n" + IN_CHUNKS


def with_line(line: bytes) -> bytes:
    return OK + line + b"\r\n" + LENGTH + b"\r\n" + BODY


BAD = {
    "a length and chunks": OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS,
    "one length twice": OK + LENGTH + LENGTH + b"\r\n" + BODY,
    "two lengths": OK + LENGTH + b"Content-Length: 5\r\n\r\n" + BODY,
    "a list of lengths": OK + b"Content-Length: 8, 8\r\n\r\n" + BODY,
    "a signed length": OK + b"Content-Length: +8\r\n\r\n" + BODY,
    "an unknown coding": coded(b"junk"),
    "almost chunked": coded(b"xchunked"),
    "a coding of no name": coded(b""),
    "chunked behind a control character": coded(b"\x0bchunked"),
    "chunked, and then something": coded(b"chunked, identity"),
    "a coding that was not asked for": coded(b"gzip, chunked"),
    "chunked twice": coded(b"chunked", b"chunked"),
    "chunks of an old server": coded(b"chunked", version=b"1.0"),
    "a folded line": with_line(b"X-A: b\r\n c"),
    "bare line feeds": GOOD.replace(b"\r\n", b"\n"),
    "one bare line feed": with_line(b"X-A: b\nX-B: c"),
    "a bare carriage return": with_line(b"X-A: b\rX-B: c"),
    "a null byte": with_line(b"X-A: b\x00"),
    "a control character": with_line(b"X-A: b\x01"),
    "a control character in the reason": GOOD.replace(b"OK", b"\x01"),
    "a space before the colon": with_line(b"X-A : b"),
    "a line without a colon": with_line(b"X-A"),
    "a name that is none": with_line(b"X A: b"),
    "another protocol": b"SSH-2.0-OpenSSH\r\n",
    "a version that nobody asked for": GOOD.replace(b"HTTP/1.1", b"HTTP/2.0"),
    "a status that is none": GOOD.replace(b"200", b"099"),
    "a status beyond all": GOOD.replace(b"200", b"600"),
    "a status of four digits": GOOD.replace(b"200", b"2000"),
    "a switch of protocols": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "announcements for ever": INTERIM * (MOST_INTERIM + 1) + GOOD,
    "a head beyond all measure": with_line(b"X-A: " + b"b" * LARGEST_HEAD),
    "a chunk of no size": OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "more than its length": GOOD + b"!",
}


@pytest.fixture
def speaking(new_bytes_origin, new_proxy):
    """Start a proxy of an origin that answers each request with the same bytes, and never hangs up."""

    async def start(said: bytes):
        requests: list[bytes] = []

        async def speak(reader, writer):
            requests.append(b"a connection")
            while True:
                requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(said)

        url = await new_bytes_origin(speak)
        proxy = await new_proxy(tenants={"default": {"upstream": url, "governor": {"retries": 0}}})
        return proxy, requests

    return start


@pytest.mark.parametrize("path", [ISSUE, PAGE])
@pytest.mark.parametrize("said", BAD.values(), ids=BAD)
async def test_what_can_be_read_in_two_ways_is_no_answer_and_its_connection_is_not_used_again(
    speaking, is_jiras_error, said, path
):
    proxy, requests = await speaking(said)
    for _ in range(2):
        async with asyncio.timeout(5):
            assert is_jiras_error(await proxy.get(path), 502, "upstream-unreachable")
    assert requests.count(b"a connection") == 2
    assert len(requests) == 4


@pytest.mark.parametrize("said", [GOOD, INTERIM * MOST_INTERIM + GOOD, coded(b"Chunked")], ids=["plain", "1xx", "TE"])
async def test_what_is_as_it_should_be_is_kept(speaking, said):
    proxy, requests = await speaking(said)
    answers = [await proxy.get(ISSUE) for _ in range(2)]
    assert [(answer.status, answer.body, answer.why) for answer in answers] == [
        (200, BODY, "miss"),
        (200, BODY, "fresh"),
    ]
    assert "Link" not in answers[0].headers
    assert len(requests) == 2


@pytest.mark.parametrize("path", [ISSUE, PAGE])
async def test_an_answer_may_come_byte_by_byte(new_bytes_origin, new_proxy, path):
    async def speak(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for byte in INTERIM + coded(b"chunked"):
            writer.write(bytes([byte]))
            await writer.drain()

    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    assert (await proxy.get(path)).body == BODY


async def test_a_trailer_of_an_answer_is_no_header_of_it_nor_of_the_next(speaking):
    said = OK + b"Transfer-Encoding: chunked\r\n\r\n" + IN_CHUNKS[:-2] + b"X-AUSERNAME: bob\r\nSet-Cookie: a=b\r\n\r\n"
    proxy, _ = await speaking(said)
    for path in (PAGE, PAGE, ISSUE):
        answer = await proxy.get(path)
        assert (answer.body, answer.headers.getall("X-AUSERNAME")) == (BODY, ["alice"])
        assert "Set-Cookie" not in answer.headers


async def test_a_second_answer_is_not_the_answer_to_the_next_question(speaking):
    proxy, requests = await speaking(GOOD + GOOD.replace(b"1}", b"2}"))
    for _ in range(3):
        answer = await proxy.get(PAGE)
        assert answer.status == 502 or answer.body == BODY
    assert requests.count(b"a connection") == 3


async def test_what_jira_says_unasked_is_not_the_answer_to_the_next_question(new_bytes_origin, new_proxy):
    connections, hung_up = 0, asyncio.Event()

    async def speak(reader, writer):
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(GOOD)
            await asked_again.wait()
            if connections == 1:
                writer.write(GOOD.replace(b"1}", b"2}"))
                await reader.read()
                hung_up.set()

    asked_again = asyncio.Event()
    proxy = await new_proxy(tenants={"default": {"upstream": await new_bytes_origin(speak)}})
    assert (await proxy.get(PAGE)).body == BODY
    asked_again.set()
    async with asyncio.timeout(5):
        await hung_up.wait()
    assert (await proxy.get(PAGE)).body == BODY
    assert connections == 2
