"""The repair loop without a Jira: whose turn it is, what is shared, what failures lead to, and how answers are read."""

import asyncio
import gzip
import json
from urllib.parse import parse_qsl

import pytest

from policies.channel import Channel, Found, Round, Terms, Told
from policies.model import EVERYTHING, Why
from policies.names import Names
from proxy.errors import NotAsked, StoreError, UpstreamError
from proxy.poll import Failed, Outcome, Poll, Polled
from proxy.repair import Repair
from proxy.stores.memory import MemoryStore
from proxy.watch import LOOKS, Watch
from tests.clocks import Clock

TERMS = Terms(interval=60.0, overlap=120.0)
BEGIN = 1_000_000.0


class Asked:
    """Stands for Jira: answers what the test says, and remembers how far back it was asked."""

    def __init__(self):
        self.answer = Polled(())
        self.minutes = []

    async def ask(self, minutes):
        self.minutes.append(minutes)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


class Changes:
    down = False

    def __init__(self):
        self.recorded = []

    async def record(self, change, source):
        assert source == "repair"
        if self.down:
            raise StoreError("down")
        self.recorded.append(change)


class Process:
    """One of the processes that share a shelf."""

    def __init__(self, shelf, clock):
        self.jira, self.changes, self.names, self.counted = Asked(), Changes(), Names(), []
        self.watch = Watch(shelf, TERMS, clock, lambda _: None)
        self.repair = Repair(
            "acme",
            poll=self.jira,
            watch=self.watch,
            changes=self.changes,
            names=self.names,
            shelf=shelf,
            terms=TERMS,
            clock=clock,
            count=lambda outcome, missed: self.counted.append((outcome, missed)),
        )


@pytest.fixture
def clock():
    return Clock(BEGIN)


@pytest.fixture
def shelf(clock):
    return MemoryStore(max_bytes=10**6, clock=clock)


@pytest.fixture
def new_process(shelf, clock):
    return lambda: Process(shelf, clock)


@pytest.fixture
def process(new_process):
    return new_process()


def found(ago=40.0, number=1, key=None):
    return Found(str(number), key or f"PROJ-{number}", BEGIN - ago)


async def test_a_process_that_does_not_poll_hears_what_the_others_found(new_process, clock):
    polling, other = new_process(), new_process()
    polling.jira.answer = Polled((found(),))
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        if len(slept) > 1:
            raise asyncio.CancelledError
        await polling.repair.look()

    with pytest.raises(asyncio.CancelledError):
        await other.watch.keep_up(sleep)
    assert slept == [TERMS.interval / LOOKS] * 2
    assert other.watch.channel == polling.watch.channel != Channel()
    assert not other.jira.minutes


async def test_one_process_of_a_fleet_polls_an_interval_and_the_others_hear_what_it_found(new_process, clock):
    fleet = [new_process() for _ in range(3)]
    for process in fleet:
        process.jira.answer = Polled((found(),))
    for at in range(5):
        clock.now = BEGIN + 10 * at
        for process in fleet:
            await process.repair.look()
    assert sum(len(process.jira.minutes) for process in fleet) == 1
    assert {process.watch.channel.polled for process in fleet} == {BEGIN}
    clock.now = BEGIN + 61
    for process in fleet:
        await process.repair.look()
    assert [count for process in fleet for count in process.counted] == [(Outcome.OK, 1), (Outcome.OK, 0)]


async def test_a_process_asks_no_more_often_than_agreed_while_the_shelf_lets_everybody(process, clock):
    async def add(*_):
        return True

    process.repair._shelf.add = add
    for at in range(12):
        clock.now = BEGIN + 10 * at
        await process.repair.look()
    assert len(process.jira.minutes) == 2


async def test_what_was_missed_is_old_under_both_names_and_so_are_lists_of_its_project(process):
    process.jira.answer = Polled((found(),))
    await process.repair.poll_once(BEGIN)
    (change,) = process.changes.recorded
    assert change.tags == {"issue:1", "issue:PROJ-1", "project:PROJ:issues", "issues"}
    assert (change.projects, change.everything) == ({"PROJ"}, False)
    assert process.names.key_of("issue:1") == "issue:PROJ-1"


async def test_an_issue_that_moved_makes_lists_of_both_projects_old(process):
    process.names.learn([("issue:1", "issue:OLD-9")])
    process.jira.answer = Polled((found(),))
    await process.repair.poll_once(BEGIN)
    (change,) = process.changes.recorded
    assert {"issue:OLD-9", "issue:PROJ-1", "project:OLD:issues"} < change.tags
    assert change.projects == {"OLD", "PROJ"}


async def test_a_project_that_jira_shows_is_known_by_all_its_names(process):
    project = {"id": "7", "key": "PROJ", "name": "The Project"}
    process.names.learn([("issue:2", "issue:OLD-2")])
    process.jira.answer = Polled((found(), found(number=2)), {"PROJ": project})
    await process.repair.poll_once(BEGIN)
    (change,) = process.changes.recorded
    assert [(each.before, each.after.fields) for each in change.issues] == [(None, {"project": project})]
    assert change.projects == {"OLD"}


async def test_more_than_can_be_named_makes_everything_old(process):
    process.jira.answer = Polled(tuple(found(number=number) for number in range(1000)))
    await process.repair.poll_once(BEGIN)
    assert [(change.tags, change.everything) for change in process.changes.recorded] == [({EVERYTHING}, True)]
    assert process.counted == [(Outcome.OK, 1000)]


async def test_more_than_is_looked_through_makes_everything_old(process):
    process.jira.answer = Polled((found(),), whole=False)
    await process.repair.poll_once(BEGIN)
    assert [(change.tags, change.everything) for change in process.changes.recorded] == [({EVERYTHING}, True)]
    assert process.counted == [(Outcome.FLOODED, 0)]
    assert process.watch.channel.polled == BEGIN


async def test_what_the_store_could_not_record_is_found_again(process):
    process.jira.answer = Polled((found(),))
    process.changes.down = True
    await process.repair.poll_once(BEGIN)
    process.changes.down = False
    await process.repair.poll_once(BEGIN + 60)
    assert process.counted == [(Outcome.NOT_RECORDED, 0), (Outcome.OK, 1)]
    assert len(process.changes.recorded) == 1


async def test_a_restarted_process_goes_on_where_the_former_one_ended(new_process, clock):
    first = new_process()
    first.jira.answer = Polled((found(), found(ago=10.0, number=2)))
    await first.repair.look()
    clock.now += 600
    second = new_process()
    await second.repair.look()
    assert second.jira.minutes == [12]
    assert second.counted == [(Outcome.OK, 1)]  # the one that was waited for


@pytest.mark.parametrize(
    ("failure", "looks"),
    [
        (Failed(Outcome.UNREACHABLE), 3),
        (Failed(Outcome.THROTTLED, 5.0), 3),
        (Failed(Outcome.THROTTLED, 130.0), 1),
        (Failed(Outcome.REFUSED), 1),
    ],
)
async def test_after_a_failure_jira_is_left_alone_by_the_whole_fleet(new_process, clock, failure, looks):
    fleet = [new_process(), new_process()]
    for process in fleet:
        process.jira.answer = failure
    for at in range(13):
        clock.now = BEGIN + 10.1 * at
        for process in fleet:
            await process.repair.look()
    assert sum(len(process.jira.minutes) for process in fleet) == looks


async def test_a_failure_is_logged_once_and_its_end_lets_it_be_logged_again(process, caplog):
    ok, refused = Polled(()), Failed(Outcome.REFUSED)
    for at, answer in enumerate([refused, refused, ok, refused]):
        process.jira.answer = answer
        await process.repair.poll_once(BEGIN + 60 * at)
    assert [record.getMessage() for record in caplog.records] == 2 * [
        "repair polls of Jira: the credential is not accepted (repair.credential)"
    ]
    assert process.watch.report()["poll"] == "refused"


async def test_a_poll_that_goes_wrong_in_a_way_nobody_thought_of_does_not_end_the_loop(process, clock, caplog):
    naps = []

    async def sleep(seconds):
        naps.append(seconds)
        clock.now += 61
        if len(naps) == 3:
            raise asyncio.CancelledError

    process.jira.answer = RuntimeError("nobody thought of this")
    with pytest.raises(asyncio.CancelledError):
        await process.repair.run(sleep)
    assert len(process.jira.minutes) == 2
    assert "a repair poll failed" in caplog.text
    assert all(7 <= nap <= 13 for nap in naps)


async def test_what_is_shared_comes_back_as_it_was(new_process):
    known = Channel(5.0, 4.0, 3, 2, (Round(1, 0),), {"1": 1.5}, (Found("1", "P-1", 1.5),))
    await new_process().watch.share(known)
    other = new_process()
    await other.watch.learn()
    assert other.watch.channel == known


@pytest.mark.parametrize("lies_there", [b"", b"x", b"[]", b"{}", b'{"rounds": [], "waiting": [], "new": 1}'])
async def test_what_another_version_left_on_the_shelf_counts_as_nothing(process, shelf, lies_there):
    await shelf.put("channel", lies_there, 60)
    await shelf.put("told:issue:1", lies_there, 60)
    await process.watch.learn()
    assert process.watch.channel == Channel()
    assert await process.watch.told([found()]) == {"1": Told()}


async def test_what_comes_late_does_not_hide_what_is_newer(process):
    await process.watch._note({"issue:1": Told(announced=5.0)})
    await process.watch._note({"issue:PROJ-1": Told(announced=9.0, touched=1.0)})
    await process.watch._note({"issue:PROJ-1": Told(announced=7.0, touched=2.0)})
    assert await process.watch.told([found()]) == {"1": Told(announced=9.0, touched=2.0)}


# how Jira is asked, and how its answers are read


class Jira:
    """A governor that gives the answers it is told to, one after the other."""

    def __init__(self, *answers):
        self._answers = list(answers)
        self.asked = []

    async def ask(self, call, outgoing, take):
        assert call.background
        answer = self._answer(*outgoing)
        return await take(answer)

    def _answer(self, method, target, headers, body):
        path, _, query = target.partition("?")
        self.asked.append((method, path, dict(parse_qsl(query)), dict(headers)))
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Reply:
    def __init__(self, status=200, said=None, **headers):
        self.status = status
        self._body = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    async def read(self, limit):
        return self._body, len(self._body) <= limit

    def close(self):
        pass


def issue(number, updated="1970-01-01T00:00:10.000+0000"):
    return {"id": str(number), "key": f"PROJ-{number}", "fields": {"updated": updated}}


async def test_pages_of_data_center_are_followed_by_count():
    jira = Jira(
        Reply(200, {"startAt": 0, "total": 3, "issues": [issue(1), issue(2)]}),
        Reply(200, {"startAt": 2, "total": 3, "issues": [issue(3)]}),
    )
    polled = await Poll(jira, "Basic abc", cloud=False, clock=Clock(BEGIN)).ask(4)
    assert polled == Polled(tuple(Found(str(n), f"PROJ-{n}", 10.0) for n in (1, 2, 3)))
    assert [path for _, path, _, _ in jira.asked] == ["/rest/api/2/search"] * 2
    assert [query.get("startAt") for _, _, query, _ in jira.asked] == [None, "2"]
    assert {query["jql"] for _, _, query, _ in jira.asked} == {"updated >= -4m ORDER BY updated DESC"}
    assert all(headers["Authorization"] == "Basic abc" for _, _, _, headers in jira.asked)


async def test_pages_of_cloud_are_followed_by_token():
    said = json.dumps({"issues": [issue(2)], "isLast": True}).encode()
    jira = Jira(
        Reply(200, {"issues": [issue(1)], "nextPageToken": "t/1"}),
        Reply(200, gzip.compress(said), content_encoding="gzip"),
    )
    polled = await Poll(jira, "Bearer x", cloud=True, clock=Clock(BEGIN)).ask(3)
    assert isinstance(polled, Polled)
    assert [each.id for each in polled.found] == ["1", "2"]
    assert [(path, query.get("nextPageToken")) for _, path, query, _ in jira.asked] == [
        ("/rest/api/3/search/jql", None),
        ("/rest/api/3/search/jql", "t/1"),
    ]


async def test_pages_are_not_turned_without_end():
    jira = Jira(*(Reply(200, {"issues": [issue(n)], "nextPageToken": str(n)}) for n in range(99)))
    polled = await Poll(jira, "Bearer x", cloud=True, clock=Clock(BEGIN)).ask(3)
    assert not polled.whole
    assert len(jira.asked) == 10


@pytest.mark.parametrize(
    ("reply", "failure"),
    [
        (UpstreamError("gone"), Failed(Outcome.UNREACHABLE)),
        (NotAsked("not now", Why.THROTTLED, 8.0), Failed(Outcome.THROTTLED, 8.0)),
        (NotAsked("down", Why.BREAKER_OPEN, 2.0), Failed(Outcome.UNREACHABLE, 2.0)),
        (Reply(401), Failed(Outcome.REFUSED)),
        (Reply(403), Failed(Outcome.REFUSED)),
        (Reply(200, {"issues": []}, x_seraph_loginreason="AUTHENTICATED_FAILED"), Failed(Outcome.REFUSED)),
        (Reply(200, {"issues": []}, x_ausername="anonymous"), Failed(Outcome.REFUSED)),
        (Reply(429, retry_after="7"), Failed(Outcome.THROTTLED, 7.0)),
        (Reply(429), Failed(Outcome.THROTTLED)),
        (Reply(503, retry_after="9"), Failed(Outcome.UNREACHABLE, 9.0)),
        (Reply(302, location="/login"), Failed(Outcome.UNREACHABLE)),
        (Reply(200, b"<html>"), Failed(Outcome.UNREADABLE)),
        (Reply(200, []), Failed(Outcome.UNREADABLE)),
        (Reply(200, {"issues": [{"id": "1", "key": "PROJ-1"}]}), Failed(Outcome.UNREADABLE)),
        (Reply(200, {"issues": [issue(1, "soon")]}), Failed(Outcome.UNREADABLE)),
        (Reply(200, {"issues": []}, content_encoding="br"), Failed(Outcome.UNREADABLE)),
        (Reply(200, b"{" + b" " * 9 * 1024 * 1024), Failed(Outcome.UNREADABLE)),
    ],
)
async def test_an_answer_that_tells_nothing_is_a_failure(reply, failure):
    assert await Poll(Jira(reply), "Basic abc", cloud=False, clock=Clock(BEGIN)).ask(3) == failure


async def test_the_projects_of_what_changed_are_kept(process):
    project = {"id": "7", "key": "PROJ", "name": "The Project"}
    shown = issue(1)
    shown["fields"]["project"] = project
    polled = await Poll(
        Jira(Reply(200, {"issues": [shown, issue(2)]})), "Basic abc", cloud=True, clock=Clock(BEGIN)
    ).ask(3)
    assert polled.projects == {"PROJ": project}


async def test_a_failure_on_a_later_page_is_a_failure_of_the_poll():
    jira = Jira(Reply(200, {"issues": [issue(1)], "nextPageToken": "t"}), Reply(500))
    assert await Poll(jira, "Basic abc", cloud=True, clock=Clock(BEGIN)).ask(3) == Failed(Outcome.UNREACHABLE)


@pytest.mark.parametrize("status", [404, 405, 410])
async def test_a_jira_that_is_of_the_other_kind_is_asked_as_such_the_next_time(status):
    jira = Jira(Reply(status), Reply(200, {"issues": []}))
    poll = Poll(jira, "Basic abc", cloud=False, clock=Clock(BEGIN))
    assert await poll.ask(3) == Failed(Outcome.UNREADABLE)
    assert await poll.ask(3) == Polled(())
    assert [path for _, path, _, _ in jira.asked] == ["/rest/api/2/search", "/rest/api/3/search/jql"]
