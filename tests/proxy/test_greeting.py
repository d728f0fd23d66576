import tracemalloc
from types import SimpleNamespace

import pytest
from multidict import CIMultiDict

from policies.callers import Anonymous, Credentialed
from policies.links import site
from proxy import greeting
from proxy.greeting import Greetings

ALICE, BOB = ("Authorization", "Basic YWxpY2U="), ("Authorization", "Basic Ym9i")
SECRET = b"a secret"


def request(*pairs):
    raw = tuple((name.encode(), value.encode()) for name, value in pairs)
    return SimpleNamespace(raw_headers=raw, headers=CIMultiDict(pairs))


@pytest.fixture
def read():
    greetings = Greetings()
    return lambda *pairs, host="proxy": greetings.read(request(*pairs), host)


def test_headers_that_come_again_to_the_byte_are_read_once(read):
    assert read(ALICE, ("Accept", "*/*")) is read(ALICE, ("Accept", "*/*"))


@pytest.mark.parametrize("other", [[BOB], [ALICE, ALICE], [("authorization", ALICE[1])], [], [ALICE, ("Accept", "")]])
def test_other_headers_are_another_greeting(read, other):
    mine, theirs = read(ALICE), read(*other)
    assert mine is not theirs
    assert (mine.caller(SECRET) == theirs.caller(SECRET)) == (theirs.headers.get("authorization") == ALICE[1])


def test_what_is_said_to_another_host_is_another_greeting(read):
    assert [read(ALICE, host=host).headers["host"] for host in ("one", "two", "one")] == ["one", "two", "one"]


def test_each_tenant_has_a_name_of_its_own_for_a_caller(read):
    greeting = read(ALICE)
    one, two = greeting.caller(SECRET), greeting.caller(b"another")
    assert isinstance(one, Credentialed)
    assert one != two
    assert greeting.caller(SECRET) is one
    assert read().caller(SECRET) == Anonymous()


def test_links_fit_the_tenant_and_the_scheme_that_the_client_came_by(read):
    asked = []

    class Tenant:
        def __init__(self, name):
            self.name = name

        def site(self, scheme, headers):
            asked.append(self.name)
            return site(f"http://{self.name}", f"{scheme}://{headers['host']}")

    greeting = read(ALICE)
    for _ in range(2):
        assert greeting.site(Tenant("acme"), "https").public == "https://proxy"
        assert greeting.site(Tenant("acme"), "http").public == "http://proxy"
        assert greeting.site(Tenant("apex"), "http").upstream == "http://apex"
    assert asked == ["acme", "acme", "apex"]


def test_what_connection_names_decides_nothing_and_travels_no_further(read):
    greeting = read(("Connection", "X-User"), ("X-User", "admin"), ALICE)
    assert greeting.pairs == [ALICE]
    assert greeting.headers == {"authorization": ALICE[1], "host": "proxy"}


def test_no_more_is_remembered_than_there_is_room_for(read):
    first = read(ALICE)
    for number in range(greeting.MAX_BYTES // 1024):
        read(("X-Request-Id", str(number)))
    assert read(ALICE) is not first


def test_headers_of_a_size_that_nobody_repeats_are_not_remembered(read):
    long = ("Cookie", "x" * 9000)
    assert read(long) is not read(long)


def test_headers_that_are_many_and_short_take_no_more_room_than_others(read):
    names = [f"x{number}" for number in range(1500)]
    tracemalloc.start()
    try:
        for number in range(40):
            read(*((name, "") for name in names), ("X-Number", str(number)))
        assert tracemalloc.get_traced_memory()[0] < 2 * greeting.MAX_BYTES
    finally:
        tracemalloc.stop()
