"""What a process tells of itself each second, and what becomes of it over an hour."""

import random
from bisect import bisect_left, bisect_right
from collections import Counter

import orjson
import pytest

from policies.model import Entry, Why
from policies.tags import Tags
from proxy.busiest import MOST, Busiest
from proxy.gauges import EVERYBODY, Gauge, read
from proxy.history import COLUMNS, HOUR, KEPT_CHANGES, SILENT, STEP, History, savings
from proxy.report import BOUNDS, NAMED, OUTCOMES, Part, Report, Seen, merged, parsed, quantile, spread
from proxy.stores.failopen import State
from proxy.stores.memory import MemoryStore
from proxy.tally import Tally
from tests.clocks import Clock

NOON = 1_800_000_000.0
ENTRY = Entry(200, (), b"{}", "identity", '"e"', Tags(), stored=0.0, ttl=60.0, keep=60.0)


LIMITS = {"state": "ok", "breaker": "closed", "held": {}, "in_flight": 1, "queued": 2}


def gauges(state="ok", **told):
    figures = {"state": state, "entries": 0, "bytes": 0, "room": 0, "evictions": 0, "types": {}}
    return {"tenants": {"default": figures | {"channel": {}, "limits": LIMITS} | told}, "redis": None}


def new_tally(clock, process="1", **told):
    return Tally(process, lambda: gauges(**told), clock)


def ask(
    tally,
    why="fresh",
    *,
    tenant="default",
    type_="issue",
    route="/issue/{issue}",
    seconds=0.001,
    caller=None,
    waited=None,
):
    waits = () if waited is None else (waited,)
    tally.requests(tenant, type_, why, route=route, seconds=(seconds,), caller=caller, waited=waits)


# one report -----------------------------------------------------------------------------------------------------------


def test_a_report_tells_what_happened_since_the_last_one():
    clock = Clock(NOON)
    tally = new_tally(clock)
    ask(tally, caller="aa")
    ask(tally, "miss", seconds=0.3, waited=0.25)
    tally.upstream("default", "200", [0.25])
    tally.points("default", "issue", 2)
    clock.now += 1
    part = tally.take().parts["default"]
    assert part.requests == {"issue fresh": 1, "issue miss": 1}
    assert (sum(part.hits), sum(part.misses)) == (1, 1)
    assert part.upstream == {"200": 1}
    assert part.callers.counts == {"aa": 1}
    assert part.spent() == {"issue": {"calls": 1, "seconds": 0.25, "points": 2, "saved": 1}}
    assert tally.take().parts == {}


def test_a_report_says_of_which_time_it_is():
    clock = Clock(NOON)
    tally = new_tally(clock)
    clock.now += 1.5
    report = tally.take()
    assert (report.time, report.seconds) == (NOON + 1.5, 1.5)
    clock.now -= 60  # a clock that is set back
    assert tally.take().seconds == 0


@pytest.mark.parametrize(
    ("why", "outcome"),
    [
        (Why.FRESH, "hit"),
        (Why.STALE_ERROR, "hit"),
        (Why.MISS, "miss"),
        (Why.INVALIDATED, "miss"),
        (Why.NO_LEASE, "miss"),
        (Why.UNKNOWN_ROUTE, "passed"),
        (Why.WRITE, "write"),
        (Why.TIMEOUT, "refused"),
        (Why.OWN, "own"),
    ],
)
def test_each_why_is_one_of_a_few_outcomes(why, outcome):
    assert OUTCOMES[why.word] == outcome


def test_no_why_is_without_an_outcome():
    assert set(OUTCOMES) == {why.word for why in Why}


@pytest.mark.parametrize(
    ("why", "waited", "saved"),
    [
        ("fresh", None, True),
        ("negative", None, True),
        ("miss", None, True),  # on a trip that another one made
        ("miss", 0.2, False),
        ("stale-revalidate", None, False),  # Jira is asked all the same
        ("stale-error", None, False),
        ("unknown-route", None, False),
        ("write", None, False),
    ],
)
def test_a_call_is_saved_where_the_answer_was_there(why, waited, saved):
    tally = new_tally(Clock(NOON))
    ask(tally, why, waited=waited)
    assert bool(tally.take().parts["default"].spent().get("issue", {}).get("saved")) == saved


@pytest.mark.parametrize(("closed", "bucket_of"), [(False, bisect_right), (True, bisect_left)])
def test_times_are_counted_by_bucket_as_if_one_by_one(closed, bucket_of):
    edges = [*BOUNDS[:3], BOUNDS[-1]]
    times = [*edges, *edges, 0.0, 1e9, *(random.lognormvariate(-9, 3) for _ in range(200))]
    assert spread(times, BOUNDS, closed=closed) == Counter(bucket_of(BOUNDS, time) for time in times)
    assert spread([], BOUNDS, closed=closed) == {}


def test_of_those_who_shared_a_trip_one_had_jira_asked_and_the_others_saved_a_call():
    tally = new_tally(Clock(NOON))
    tally.requests(
        "default", "issue", "miss", route="/issue/{issue}", caller=None, seconds=[0.3, 0.2, 0.1], waited=[0.25]
    )
    spent = tally.take().parts["default"].spent()["issue"]
    assert (spent["calls"], spent["seconds"], spent["saved"]) == (1, 0.25, 2)


def test_who_counts_late_is_asked_to_before_a_report_is_taken():
    tally = new_tally(Clock(NOON))
    tally.keep(lambda: ask(tally))
    assert tally.take().parts["default"].requests == {"issue fresh": 1}


def test_a_change_is_told_with_what_it_made_old_the_issues_first():
    tally = new_tally(Clock(NOON))
    tally.change("default", "webhook", {"search:ab", "issues", "project:PROJ", "issue:PROJ-1"})
    assert tally.take().parts["default"].changes == [
        Seen(NOON, "webhook", ["issue:PROJ-1", "project:PROJ", "issues", "search:ab"])
    ]


def test_of_very_much_that_changes_some_is_told_and_all_is_counted():
    tally = new_tally(Clock(NOON))
    tally.change("default", "write", {f"issue:P-{number}" for number in range(NAMED + 7)})
    for _ in range(NAMED + 5):
        tally.change("default", "write", {"issue:P-1"})
    part = tally.take().parts["default"]
    assert (len(part.changes), part.sums["changes"]) == (NAMED, NAMED + 6)
    assert (len(part.changes[0].tags), part.changes[0].more) == (NAMED, 7)


def test_a_report_fits_through_a_pipe():
    clock = Clock(NOON)
    tally = new_tally(clock, types={"issue": 3})
    ask(tally, caller="aa")
    ask(tally, "miss", waited=0.25)
    tally.upstream("default", "none", [0.25])
    tally.change("default", "write", {"issue:P-1"})
    clock.now += 1
    report = tally.take()
    line = orjson.dumps(report)
    assert b"\n" not in line
    assert parsed(orjson.loads(line)) == report
    assert orjson.dumps(parsed(orjson.loads(line))) == line


def test_a_report_does_not_grow_with_the_traffic():
    tally = new_tally(Clock(NOON))
    for number in range(5000):
        ask(tally, caller=f"{number % 2500:08x}")
        ask(tally, caller=f"{number % 50:08x}")
    part = tally.take().parts["default"]
    assert len(part.callers.counts) == 50
    assert part.callers.short == 2
    assert part.requests == {"issue fresh": 10_000}
    assert len(orjson.dumps(Report(parts={"default": part}))) < 5000


async def test_a_report_is_handed_over_each_second():
    clock, reports = Clock(NOON), []

    class Enough(Exception):  # noqa: N818 - it is no error
        pass

    async def sleep(seconds):
        if len(reports) == 3:
            raise Enough
        clock.now += seconds

    with pytest.raises(Enough):
        await new_tally(clock).report(reports.append, sleep)
    assert [(report.time, report.seconds) for report in reports] == [(NOON + 1 + n, 1.0) for n in range(3)]


# times ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.00002, 0.001, 0.25, 3.0, 59.0])
def test_a_quantile_is_right_to_a_fifth(seconds):
    times = [0] * (len(BOUNDS) + 1)
    times[bisect_right(BOUNDS, seconds)] = 10
    assert quantile(times, 0.99) == pytest.approx(max(seconds, BOUNDS[0]), rel=0.2)


def test_quantiles_are_of_all_requests():
    times = Part().hits
    for seconds, count in ((0.001, 90), (0.1, 9), (2.0, 1)):
        times[bisect_right(BOUNDS, seconds)] += count
    shares = [quantile(times, share) for share in (0.5, 0.9, 0.95, 0.99, 1.0)]
    assert shares == pytest.approx([0.001, 0.001, 0.1, 0.1, 2.0], rel=0.2)


def test_nothing_has_no_quantile():
    assert quantile(Part().hits, 0.5) is None


# the busiest ----------------------------------------------------------------------------------------------------------


def test_few_are_counted_exactly():
    busiest = Busiest({"a": 2, "b": 1})
    busiest.add(Busiest({"b": 5}))
    assert (busiest.first(5), busiest.short) == ([("b", 6), ("a", 2)], 0)


def test_of_many_the_busiest_are_listed_and_no_count_is_off_by_more_than_it_says():
    chance = random.Random(7)
    whole, truth = Busiest(), Counter()
    for _ in range(200):
        counted = Counter(f"one of {chance.randrange(20_000)}" for _ in range(3 * MOST))
        counted.update({f"often {number}": 60 - number for number in range(20)})
        truth.update(counted)
        second = Busiest(counted)
        second.cut()
        whole.add(second)
    whole.cut()
    assert [name for name, _ in whole.first(10)] == [f"often {number}" for number in range(10)]
    assert len(whole.counts) <= MOST
    for name, count in whole.counts.items():
        assert truth[name] - whole.short <= count <= truth[name]
    assert all(name in whole.counts for name, count in truth.items() if count > whole.short)


# put together ---------------------------------------------------------------------------------------------------------


def reports(seconds, processes=1, each=10, start=NOON):
    """Make what several processes that answer `each` requests a second report."""
    clock = Clock(start)
    tallies = [new_tally(clock, str(number), entries=7) for number in range(processes)]
    for _ in range(seconds):
        clock.now += 1
        for tally in tallies:
            for _ in range(each):
                ask(tally, caller="aa", route="/search")
            ask(tally, "miss", seconds=0.3, waited=0.25)
            tally.upstream("default", "200", [0.25])
            yield tally.take()


def told(column, row):
    return row[COLUMNS.index(column)]


def test_reports_add_up_in_whatever_order():
    given = list(reports(5, processes=3))
    one, other = merged(given), merged(reversed(given))
    assert one == other
    assert one.parts["default"].requests == {"issue fresh": 150, "issue miss": 15}
    assert set(one.gauges) == {"0", "1", "2"}


@pytest.mark.parametrize("processes", [1, 3])
def test_rates_are_those_of_all_processes_together(processes):
    history = History()
    for report in reports(STEP * 4, processes):
        history.add(report)
    for row in history.past(EVERYBODY)["rows"][1:]:
        assert told("hit", row) == pytest.approx(10 * processes)
        assert told("miss", row) == told("calls", row) == pytest.approx(processes)
        assert told("saved", row) == pytest.approx(10 * processes)
        assert told("hit_p99", row) == pytest.approx(0.001, rel=0.2)
        assert told("miss_p50", row) == pytest.approx(0.3, rel=0.2)
    row = history.present("default")["row"]
    assert told("hit", row) == pytest.approx(10 * processes)


def test_an_hour_is_kept_and_no_more():
    history = History()
    for report in reports(HOUR + 600):
        history.add(report)
    rows = history.past("default")["rows"]
    assert len(rows) == HOUR // STEP
    assert [row[0] for row in rows] == sorted({row[0] for row in rows})
    assert rows[-1][0] - rows[0][0] == HOUR - STEP
    hour = history.present("default")["hour"]
    assert HOUR - 60 <= hour["outcomes"]["miss"] <= HOUR
    assert hour["outcomes"]["hit"] == 10 * hour["outcomes"]["miss"]
    assert hour["types"]["issue"]["fresh"] == hour["outcomes"]["hit"]
    assert hour["routes"][0] == ("/search", hour["outcomes"]["hit"])
    assert hour["callers"] == [("aa", hour["outcomes"]["hit"])]


def test_a_tenant_is_told_of_by_itself_and_with_all():
    history, clock = History(), Clock(NOON)
    tally = new_tally(clock)
    ask(tally, tenant="a")
    ask(tally, tenant="b")
    tally.change("a", "write", {"issue:A-1"})
    tally.change("b", "write", {"issue:B-1"})
    history.add(tally.take())
    assert [history.present(name)["hour"]["outcomes"]["hit"] for name in ("a", "b", EVERYBODY)] == [1, 1, 2]
    assert [[change["tags"] for change in history.past(name)["changes"]] for name in ("a", EVERYBODY)] == [
        [["issue:A-1"]],
        [["issue:A-1"], ["issue:B-1"]],
    ]
    assert history.present("quiet")["hour"]["outcomes"] == {}


def test_only_so_many_changes_are_remembered():
    history, clock = History(), Clock(NOON)
    tally = new_tally(clock)
    for number in range(KEPT_CHANGES + 20):
        tally.change("default", "write", {f"issue:A-{number}"})
        history.add(tally.take())
    changes = history.past(EVERYBODY)["changes"]
    assert len(changes) == KEPT_CHANGES
    assert changes[-1]["tags"] == [f"issue:A-{KEPT_CHANGES + 19}"]


def test_what_several_processes_hold_adds_up_and_the_worst_state_counts():
    history, clock = History(), Clock(NOON)
    for process, state in (("1", "ok"), ("2", "owing"), ("3", "open")):
        history.add(new_tally(clock, process, state=state, entries=5, types={"issue": 3, "search": 2}).take())
    shown = history.present("default")["gauges"]
    assert (shown["processes"], shown["state"], shown["entries"]) == (3, "owing", 15)
    assert shown["types"] == {"issue": 9, "search": 6}


def test_a_process_that_is_gone_holds_nothing():
    history, clock = History(), Clock(NOON)
    history.add(new_tally(clock, "1", entries=5).take())
    clock.now += SILENT
    history.add(new_tally(clock, "2", entries=7).take())
    assert history.present(EVERYBODY)["gauges"]["entries"] == 7


def test_of_what_all_see_alike_the_last_word_counts():
    history, clock = History(), Clock(NOON)
    for process, healthy in (("2", False), ("1", True)):
        clock.now += 1
        history.add(new_tally(clock, process, channel={"healthy": healthy}).take())
    assert history.present(EVERYBODY)["gauges"]["channels"] == {"default": {"healthy": True}}


def test_of_governors_the_one_in_trouble_is_told_with_the_calls_of_all():
    history, clock = History(), Clock(NOON)
    held = {"state": "throttled", "held": {"all": 7.0}}
    for process, limits in (("1", LIMITS), ("2", LIMITS | held), ("3", LIMITS | {"state": "near-limit"})):
        history.add(new_tally(clock, process, limits=limits).take())
    shown = history.present("default")["gauges"]["limits"]
    assert shown == {"default": LIMITS | held | {"in_flight": 3, "queued": 6}}


async def test_a_gauge_reads_what_a_store_holds():
    store = MemoryStore(max_bytes=10**6, clock=Clock(NOON))
    fence = (await store.read("issue:A-1:x")).fence
    for key in ("issue:A-1:x", "issue:A-2:x", "search:jql:y"):
        await store.write(key, ENTRY, fence)
    gauge = Gauge(lambda: State.OK, store, 10**6, dict, lambda: LIMITS)
    told = read({"default": gauge}, {"used_memory": 5, "tcp_port": 1})
    figures = told["tenants"]["default"]
    assert (figures["entries"], figures["bytes"], figures["types"]) == (3, store.weight, {"issue": 2, "search": 1})
    assert told["redis"] == {"used_memory": 5}
    await store.forget("issue:*")
    assert gauge.read()["types"] == {"search": 1}


def test_savings_are_reckoned_by_what_calls_of_the_type_took():
    spent = {
        "issue": {"calls": 2, "seconds": 0.5, "points": 4, "saved": 10},
        "search": {"calls": 1, "seconds": 2.5, "points": 51, "saved": 2},
        "field": {"calls": 0, "seconds": 0.0, "points": 0, "saved": 3},  # by what the others took
    }
    saved = savings(spent)
    assert saved["calls"] == 15
    assert saved["seconds"] == pytest.approx(10 * 0.25 + 2 * 2.5 + 3 * 1.0)
    assert saved["points"] == pytest.approx(10 * 2 + 2 * 51 + 3 * 55 / 3)


def test_who_asked_nothing_saved_nothing():
    assert savings({}) == {"calls": 0, "seconds": 0.0, "points": 0.0}
