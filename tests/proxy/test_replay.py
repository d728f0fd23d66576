import json

import pytest
import yaml
from click.testing import CliRunner

from policies.model import Policy
from proxy.cli import main
from proxy.whatif.figures import Figures, together
from proxy.whatif.replay import Logged, Replay
from proxy.whatif.trace import Trace

KEY = "00000000aaaaaaaa"
OTHER = "ffffffffaaaaaaaa"


def line(time, why="miss", key=KEY, **more) -> str:
    return json.dumps({"time": time, "type": "issue", "key": key, "why": why, **more})


def replayed(lines, webhooks=False, **policy) -> Figures:
    replay = Replay({"issue": Policy(**{"ttl": 60.0} | policy)}, webhooks=webhooks)
    for asked in Trace(lines):
        replay.feed(asked)
    return together(replay.figures.values())


MISS, MISS_AT_50, MISS_AT_100 = line(0, upstream_ms=200), line(50, "expired"), line(100, "expired")


@pytest.mark.parametrize(
    ("lines", "policy", "hits", "calls"),
    [
        ([MISS, MISS_AT_50, MISS_AT_100], {"ttl": 10.0}, 0, 3),
        ([MISS, MISS_AT_50, MISS_AT_100], {"ttl": 51.0}, 1, 2),
        ([MISS, MISS_AT_50, MISS_AT_100], {"ttl": 101.0}, 2, 1),
        # what had changed is old, however long its TTL
        ([MISS, line(50, "invalidated"), line(60, "fresh")], {"ttl": 1000.0}, 1, 2),
        # a hit that is too old now was fetched, and so the next one is younger
        ([MISS, line(50, "fresh"), line(59, "fresh")], {"ttl": 10.0}, 1, 2),
        # what the client or the lease forces is asked for under any policy
        ([MISS, line(1, "refresh"), line(2, "too-old"), line(3, "no-lease")], {"ttl": 1000.0}, 0, 4),
        # what Jira would not have kept stays so
        ([line(0, "status", status=400), line(1, "status", status=400)], {"ttl": 1000.0}, 0, 2),
        ([line(0, "login-failed"), line(1)], {"ttl": 1000.0}, 0, 2),
        # a 404 is believed for as long as policy says
        ([line(0, status=404), line(20, "negative", status=404)], {"negative_ttl": 30.0}, 1, 1),
        ([line(0, status=404), line(20, "negative", status=404)], {"negative_ttl": 10.0}, 0, 2),
        ([line(0, status=404), line(20, "negative", status=404)], {"negative_ttl": 0.0}, 0, 2),
        # a client that has the answer already
        ([line(0, status=304), line(20, "fresh", status=304)], {"ttl": 30.0}, 1, 1),
        # served while a new one is fetched: a hit, and a call for which nobody waits
        ([MISS, MISS_AT_50, line(55)], {"ttl": 10.0, "stale_while_revalidate": 60.0}, 2, 2),
        # when Jira fails an old answer stands in, if it may still be, and it stays as old as it is
        ([MISS, line(50, "stale-error"), line(55, "stale-error")], {"ttl": 10.0, "stale_if_error": 41.0}, 1, 2),
        ([MISS, line(5, "stale-error")], {"ttl": 10.0}, 1, 1),
        ([MISS, line(5, "outage-lease")], {"ttl": 10.0}, 1, 1),
        ([MISS, line(5, "invalidated-error")], {"ttl": 10.0}, 0, 2),
        (
            [MISS, line(5, "invalidated-error")],
            {"ttl": 10.0, "stale_if_error": 60.0, "serve_invalidated_on_error": True},
            1,
            1,
        ),
        # nobody could answer, whatever the policy
        ([line(0, "upstream-unreachable"), line(1, "upstream-timeout"), line(2, "only-if-cached")], {}, 0, 0),
        # two questions, two answers
        ([MISS, line(1, key=OTHER), line(2, tenant="acme")], {"ttl": 1000.0}, 0, 3),
        # an answer from before the log began
        ([line(100, "fresh", age=30), line(120, "fresh", age=50)], {"ttl": 40.0}, 1, 1),
    ],
)
def test_requests_are_replayed_by_the_law(lines, policy, hits, calls):
    figures = replayed(lines, **policy)
    assert (figures.hits, figures.calls) == (hits, calls)


@pytest.mark.parametrize(("webhooks", "hits"), [(True, 1), (False, 0)])
def test_a_longer_ttl_counts_only_where_webhooks_are_taken_to_announce_everything(webhooks, hits):
    assert replayed([MISS, MISS_AT_50], webhooks, ttl=10.0, ttl_with_webhooks=3600.0).hits == hits


def test_what_is_saved_is_what_jira_last_took_for_that_answer():
    lines = [line(0, upstream_ms=200, points=51), line(10, "fresh", age=10), line(20, "fresh", age=20)]
    told = replayed(lines).told()
    assert (told["saved_calls"], told["saved_points"], told["saved_seconds"]) == (2, 102, 0.4)
    assert (told["age_p50"], told["age_p90"], told["age_p99"]) == (10.0, 20.0, 20.0)


def test_what_happened_is_counted_in_the_same_figures():
    lines = [
        line(0, upstream_ms=200),
        line(0, "miss"),  # came with the trip of the first
        line(10, "fresh", age=10.0),
        line(70, "expired", upstream_ms=300),
        line(71, "upstream-unreachable"),
    ]
    logged = Logged()
    for asked in Trace(lines):
        logged.feed(asked)
    told = logged.figures["issue"].told()
    assert (told["requests"], told["hits"], told["upstream_calls"], told["saved_calls"]) == (4, 1, 2, 2)
    assert (told["hit_ratio"], told["age_p99"]) == (0.25, 10.0)


def test_of_sampled_hits_the_keys_of_the_sample_stand_for_all():
    sampled = [line(at, "fresh" if at else "miss", sample=0.25) for at in range(4)]
    figures = replayed([*sampled, line(9, key=OTHER, sample=0.25)])
    assert (figures.requests, figures.hits, figures.calls) == (16, 12, 4)


def test_lines_that_are_not_replayed_are_counted_by_what_they_are():
    trace = Trace(
        [
            "garbage",
            b"\xff\xfe",
            "[1]",
            "",
            '{"time": 1}',
            line(None),
            line("yesterday"),
            line("2026-01-01T00:00:00"),
            line(1, "no such word"),
            line(1, key=7),
            line(1, sample=0),
            line(1, upstream_ms="long"),
            json.dumps({"time": 1, "logger": "proxy.server", "message": "serving"}),
            line(1, "write", key=None),
            line(1, key=OTHER, sample=0.5),
            line("2026-01-01T00:00:00.5+00:00"),
            json.dumps({"time": 1, "type": "issue", "key": "anything"}),
        ]
    )
    assert len(list(trace)) == 2
    assert trace.skipped == {"malformed": 10, "other": 1, "passed": 1, "left_out": 2}


# the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, ttl in {"short.yaml": "10s", "long.yaml": "1h"}.items():
        (tmp_path / name).write_text(yaml.safe_dump({"policies": {"issue": {"ttl": ttl}}}))
    (tmp_path / "log").write_text("\n".join([MISS, MISS_AT_50, "garbage", line(60, "write", key=None), MISS_AT_100]))
    return lambda *arguments, **options: CliRunner().invoke(main, ["replay", *arguments], **options)


def test_policies_are_compared_with_what_happened(cli):
    done = cli("log", "--policy", "short.yaml", "--policy", "long.yaml", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert [(each["policy"], each["total"]["hits"]) for each in told["policies"]] == [
        ("as logged", 0),
        ("short.yaml", 0),
        ("long.yaml", 2),
    ]
    assert told["policies"][2]["types"]["issue"]["ttl"] == 3600.0
    assert told["skipped"] == {"malformed": 1, "passed": 1}
    assert "log: 1 malformed lines were skipped" in done.stderr


def test_the_tables_are_plain_where_nobody_watches(cli):
    done = cli("log", "--policy", "long.yaml")
    lines = [" ".join(each.split()) for each in done.stdout.splitlines()]
    assert "issue 1h 3 2 66.7% 1 2 2 0.4 50.0 100.0 100.0" in lines
    assert "all - 3 2 66.7% 1 2 2 0.4 50.0 100.0 100.0" in lines
    assert "1 requests are the same under any policy: nothing is looked up for them" in lines
    assert "\x1b" not in done.output


def test_a_log_may_come_by_standard_input(cli):
    done = cli("-", "--policy", "long.yaml", "--json", input=f"{MISS}\n{MISS_AT_50}\n")
    assert json.loads(done.stdout)["policies"][1]["total"]["hits"] == 1


def test_types_without_a_policy_are_left_out_and_named(cli):
    strange = json.dumps({"time": 1, "type": "tempo", "key": "a"})
    done = cli("-", "--policy", "long.yaml", "--json", input=f"{MISS}\n{strange}\n")
    assert json.loads(done.stdout)["left_out"] == {"long.yaml": ["tempo"]}
    assert "long.yaml: has no TTL for tempo" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said", "line"),
    [
        (("log", "--policy", "none.yaml"), "", "none.yaml: cannot be read: No such file or directory"),
        (
            ("log", "--policy", "bad.yaml"),
            "",
            "bad.yaml: policies.issue.ttl: '5 parsecs' is not a duration (try 30s, 5m,",
        ),
        (
            ("none", "--policy", "long.yaml"),
            "",
            "none: cannot be read: No such file or directory",
        ),
        (("log",), "", "main replay: Missing option '--policy'"),
        (
            ("-", "--policy", "long.yaml"),
            "garbage\n[]\n",
            "-: has no line of an access log with a key (2 malformed)",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(cli, tmp_path, arguments, said, line):
    (tmp_path / "bad.yaml").write_text("policies: {issue: {ttl: 5 parsecs}}")
    done = cli(*arguments, input=said)
    assert (done.exit_code, done.stdout) == (2, "")
    [told] = done.stderr.splitlines()
    assert told.startswith(line)
