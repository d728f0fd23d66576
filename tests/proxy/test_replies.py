"""What came whole is read as aiohttp would read it, and only where it is plain where it ends."""

import asyncio
import random

import pytest
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpResponseParser

from proxy.replies import LARGEST_HEAD, Complete, checked, completed

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nX-AUSERNAME: alice\r\nContent-Length: 2\r\n\r\n{}"
NAMES = ["Set-Cookie", "set-cookie", "X-AREQUESTID", "Content-Type", "Vary", "ETag", "Keep-Alive", "X~!#$%&'*+-.^_`|9"]
VALUES = [
    b"",
    b"a",
    b"a b\tc",
    b"a:b: c",
    b'W/"1"',
    b"J\xc3\xbcrgen",
    b"J\xfcrgen",
    b"601x1x1",
    b"a=b; Path=/; HttpOnly",
]
AROUND = [b"", b" ", b"\t", b" \t ", b"  "]


async def as_aiohttp_reads(said: bytes) -> Complete:
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(
        ResponseHandler(loop),
        loop,
        2**16,
        read_until_eof=True,
        auto_decompress=False,
        max_line_size=LARGEST_HEAD,
        max_field_size=LARGEST_HEAD,
        max_headers=LARGEST_HEAD,
    )
    [(message, payload)], _, rest = parser.feed_data(said)
    assert not rest
    assert not message.should_close
    assert payload.is_eof()
    return Complete(message.code, list(message.headers.items()), payload.read_nowait())


def alike(one: Complete | None, other: Complete) -> bool:
    """Tell whether they are one answer: names, which aiohttp writes its own way, may be in other cases."""
    said = [[(name.lower(), value) for name, value in whole.pairs] for whole in (one, other)]
    return one == other._replace(pairs=one.pairs) and said[0] == said[1]


def test_a_plain_answer_is_read_as_it_stands():
    pairs = [("Content-Type", "application/json"), ("X-AUSERNAME", "alice"), ("Content-Length", "2")]
    assert completed(PLAIN) == Complete(200, pairs, b"{}")


async def test_whatever_is_said_is_read_as_aiohttp_reads_it():
    dice = random.Random(7)
    for _ in range(2_000):
        body = dice.randbytes(dice.randrange(0, 40))
        length = (dice.choice(["Content-Length", "content-length", "CONTENT-LENGTH"]), b"%d" % len(body))
        said = [*((dice.choice(NAMES), dice.choice(VALUES)) for _ in range(dice.randrange(8))), length]
        dice.shuffle(said)
        lines = b"".join(
            name.encode() + b":" + dice.choice(AROUND) + value + dice.choice(AROUND) + b"\r\n" for name, value in said
        )
        status, reason = dice.choice([200, 404, 429, 599]), dice.choice([b"", b"OK"])
        answer = b"HTTP/1.1 %d %b\r\n%b\r\n%b" % (status, reason, lines, body)
        assert checked(answer[: len(answer) - len(body)])
        assert alike(completed(answer), await as_aiohttp_reads(answer)), answer


@pytest.mark.parametrize(
    ("plain", "instead"),
    [
        (b"Content-Length: 2", b"Content-Length: 1"),
        (b"Content-Length: 2", b"Content-Length: 3"),
        (b"Content-Length: 2", b"Content-Length: +2"),
        (b"Content-Length: 2", b"Content-Length: 2, 2"),
        (b"Content-Length: 2", b"Content-Length: 0x2"),
        (b"Content-Length: 2", b"Content-Length: "),
        (b"Content-Length: 2", b"Content-Length: " + b"0" * 20 + b"2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\ncontent-length: 2"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nContent-Length: 1"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nTransfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Transfer-Encoding: chunked"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nConnection: close"),
        (b"Content-Length: 2", b"Content-Length: 2\r\nproxy-connection: close"),
        (b"Content-Length: 2", b"X-Length: 2"),
        (b"HTTP/1.1", b"HTTP/1.0"),
        (b"200 OK", b"204 No Content"),
        (b"200 OK", b"304 Not Modified"),
        (b"{}", b"{}HTTP/1.1 200 OK\r\n"),
    ],
)
def test_what_may_end_elsewhere_is_left_to_aiohttp(plain, instead):
    assert completed(PLAIN.replace(plain, instead)) is None
