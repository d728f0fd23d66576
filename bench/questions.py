"""What the load asks: the heads of GET requests, as a Python client of Jira writes them."""

from base64 import b64encode
from collections.abc import Iterator
from itertools import cycle, product
from random import Random

URLS, CALLERS, READERS = 1_000, 20, 5  # each URL is asked for by so many of the callers
_FIRST_ISSUE = 1_001  # four digits each, so that all answers are of one length


def path(number: int, suffix: str = "") -> str:
    """Name an issue; `suffix` makes a question of its own of it."""
    return f"/rest/api/2/issue/PROJ-{_FIRST_ISSUE + number % URLS}{suffix}"


def head(target: str, *, caller: int = 0, coding: str = "gzip", dice: Random | None = None) -> bytes:
    """Write a request, its header in an order of chance where there are `dice`."""
    login = b64encode(f"user{caller:02}@example.com:ATATT3xFfGF0{caller:048x}".encode()).decode()
    headers = [
        "Host: jira.acme.local",  # as long as the origin's address, so that rewritten links are too
        "User-Agent: python-requests/2.32.3",
        f"Accept-Encoding: {coding}",
        "Accept: application/json",
        "Accept-Language: en-US",
        "Connection: keep-alive",
        "X-Atlassian-Token: no-check",
        f"Authorization: Basic {login}",
    ]
    if dice is not None:
        dice.shuffle(headers)
    return "\r\n".join([f"GET {target} HTTP/1.1", *headers, "\r\n"]).encode()


def repeats(coding: str) -> Iterator[bytes]:
    """Ask the same, to the byte, for ever."""
    return cycle([head(path(0), coding=coding)])


def everything(coding: str) -> Iterator[bytes]:
    """Ask all that `mix` asks, three times: a miss, a hit, and a hit that may be known again."""
    asked = product(range(3), range(URLS), range(READERS))
    return (head(path(url), caller=_caller(url, reader), coding=coding) for _, url, reader in asked)


def mix(coding: str, dice: Random, times: int) -> list[bytes]:
    """Ask any URL as any of its callers, with the header in an order of its own each time."""
    asked = [(dice.randrange(URLS), dice.randrange(READERS)) for _ in range(times)]
    return [head(path(url), caller=_caller(url, reader), coding=coding, dice=dice) for url, reader in asked]


def _caller(url: int, reader: int) -> int:
    return (url + reader * CALLERS // READERS) % CALLERS


def fresh(start: int = 0) -> Iterator[bytes]:
    """Ask what nobody has asked before, for ever: issues with a property that is new each time."""
    number = start
    while True:
        yield head(path(number, f"?properties=p{number}"))
        number += 1
