import asyncio
import io
import json

import pytest

from policies.model import Why
from proxy.access import AccessLog, sampled
from proxy.notes import Answered, Notes
from proxy.schema import Log

KEY = "issue:PROJ-1:80000000aaaaaaaabbbbbbbbcccccccc"  # in the middle of all keys
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NOW = 1_700_000_000.25


class Terminal(io.StringIO):
    def isatty(self):
        return True


class Gone(io.StringIO):
    def write(self, _):
        raise BrokenPipeError


def noted(**known) -> Notes:
    notes = Notes(tenant="acme", type="issue", route="/rest/api/{v}/issue/{issue}", **known)
    notes.asked_for(KEY)
    return notes


@pytest.fixture
def log():
    """Make an access log, tell it of one request or more, and read what it wrote."""

    async def log(*whys, stream=None, notes=None, **settings):
        stream = stream or io.StringIO()
        access = AccessLog(Log(**settings), stream)
        for why in whys:
            access.tell(Answered("GET", 200, why, 9, 0.0015), notes or noted(), NOW)
        await asyncio.sleep(0)
        return stream.getvalue()

    return log


async def test_a_line_says_what_was_asked_what_came_of_it_and_why(log):
    notes = noted(upstream=0.2, age=None, request_id="mine", trace_id=TRACE)
    notes.asked_by("0123456789abcdef")
    notes.extra["event"] = "jira:issue_updated"
    assert json.loads(await log(Why.MISS, notes=notes)) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "info",
        "logger": "jira_cache.access",
        "message": "GET /rest/api/{v}/issue/{issue} 200 miss",
        "method": "GET",
        "route": "/rest/api/{v}/issue/{issue}",
        "tenant": "acme",
        "type": "issue",
        "why": "miss",
        "status": 200,
        "ms": 1.5,
        "upstream_ms": 200.0,
        "points": None,
        "bytes": 9,
        "age": None,
        "caller": "01234567",
        "key": "80000000aaaaaaaa",
        "request_id": "mine",
        "trace_id": TRACE,
        "event": "jira:issue_updated",
    }


async def test_all_requests_of_one_turn_of_the_loop_are_one_write(log):
    class Counting(io.StringIO):
        writes = 0

        def write(self, text):
            self.writes += 1
            return super().write(text)

    stream = Counting()
    written = await log(*[Why.FRESH] * 5, stream=stream)
    assert len(written.splitlines()) == 5
    assert stream.writes == 1


async def test_no_write_is_longer_than_a_pipe_takes_at_once(log):
    class Pipe(io.StringIO):
        def write(self, text):
            assert text.endswith("\n")
            assert len(text) <= 4096
            return super().write(text)

    written = await log(*[Why.FRESH] * 50, stream=Pipe())
    assert len([json.loads(line) for line in written.splitlines()]) == 50


async def test_a_stream_that_is_gone_takes_only_the_lines_with_it(log):
    assert await log(Why.FRESH, stream=Gone()) == ""


@pytest.mark.parametrize(("level", "lines"), [("debug", 1), ("info", 1), ("warning", 0), ("error", 0)])
async def test_lines_are_written_from_the_level_info_down(log, level, lines):
    assert (await log(Why.FRESH, level=level)).count("\n") == lines


@pytest.mark.parametrize(("share", "written"), [(1.0, True), (0.51, True), (0.5, False), (0.0, False)])
@pytest.mark.parametrize("why", [Why.FRESH, Why.NEGATIVE, Why.STALE_REVALIDATE, Why.STALE_ERROR, Why.MAX_STALE])
async def test_hits_are_sampled_by_their_key(log, share, written, why):
    line = await log(why, sample_hits=share)
    assert bool(line) is written
    if line:
        assert json.loads(line).get("sample") == (share if share < 1 else None)


@pytest.mark.parametrize("why", [Why.MISS, Why.EXPIRED, Why.INVALIDATED, Why.WRITE, Why.UNREACHABLE, Why.OWN])
async def test_what_is_no_hit_is_always_written_and_tells_of_the_sample(log, why):
    assert json.loads(await log(why, sample_hits=0))["sample"] == 0


def test_a_sample_has_about_its_share_of_the_keys():
    keys = [f"{number * 2_654_435_761 % 2**32:08x}" for number in range(1000)]
    assert 80 < sum(sampled(key, 0.1) for key in keys) < 120
    assert not sampled(None, 0.5)


async def test_a_terminal_gets_a_line_for_people_in_colour(log, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    line = await log(Why.FRESH, stream=Terminal())
    assert "GET    /rest/api/{v}/issue/{issue} \x1b[32m200 fresh\x1b[0m 1.5ms tenant=acme type=issue bytes=9" in line
    assert "trace_id" not in line


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()])
async def test_there_is_no_colour_where_nobody_watches_or_wants_it(log, monkeypatch, stream):
    monkeypatch.setenv("NO_COLOR", "1")
    line = await log(Why.FRESH, stream=stream, format="human")
    assert "200 fresh 1.5ms" in line
    assert "\x1b" not in line


# what a client calls its request --------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", [None, "", "a b", "x" * 129, "line\nbreak", "naïve"])
def test_a_request_without_a_usable_name_gets_one_of_its_own_and_keeps_it(given):
    notes = Notes.of(given, None)
    assert notes.request_id is None
    assert len(notes.named()) == 32
    assert notes.named() == notes.request_id


def test_a_request_is_known_by_the_name_that_its_client_gave():
    assert Notes.of("Root=1-67891233:abc/+=", None).named() == "Root=1-67891233:abc/+="


@pytest.mark.parametrize(
    ("traceparent", "trace"),
    [
        (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
        (f"01-{TRACE}-00f067aa0ba902b7-01-of-later-versions", TRACE),
        (None, None),
        (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
        (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
        ("nonsense", None),
    ],
)
def test_the_trace_is_read_as_w3c_writes_it(traceparent, trace):
    assert Notes.of(None, traceparent).trace_id == trace
