"""What the benchmarks rest on measures what it says, so that a figure can be believed."""

import sys
from contextlib import closing
from itertools import islice
from random import Random

import pytest

from bench import peers, questions
from bench.client import Client
from bench.issues import ISSUE_SIZE
from bench.tables import Table, ratio

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc, so they need Linux")


@pytest.fixture
def jira(request):
    with peers.origin(getattr(request, "param", 0.0)) as server:
        yield server


@pytest.fixture
def cached(tmp_path, jira):
    with peers.jira_cache(tmp_path, jira) as server:
        yield server


@LINUX
def test_hits_are_hits_and_their_cpu_is_the_servers(jira, cached):
    with closing(Client(cached.port, connections=4)) as client:
        client.run(islice(questions.repeats("gzip"), 4))
        calls, began = peers.calls(jira), cached.process.cpu()
        ran = client.run(islice(questions.repeats("gzip"), 200))
        assert (ran.requests, peers.calls(jira)) == (200, calls)
        assert cached.process.cpu() > began
        assert len(client.body(next(questions.repeats("identity")))) == ISSUE_SIZE
    assert cached.process.memory() > 10_000_000


@LINUX
@pytest.mark.parametrize("jira", [0.5], indirect=True)
def test_a_herd_is_asked_at_once_and_costs_one_call(jira, cached):
    with closing(Client(cached.port, connections=10)) as client:
        client.herd(questions.head(questions.path(0)))
        before = peers.calls(jira)
        waits = client.herd(questions.head(questions.path(1)))
        assert (len(waits), peers.calls(jira) - before) == (10, 1)


@LINUX
def test_a_server_that_does_not_start_is_told_with_its_words(tmp_path, jira):
    server = peers.jira_cache(tmp_path, jira, store={"coherence": "none"})
    with pytest.raises(RuntimeError, match=r"store\.coherence"), server:
        pass


def test_the_mix_asks_nothing_that_was_not_asked_before_and_in_ever_new_orders():
    def normal(request):
        line, *headers = request.decode().strip().split("\r\n")
        return line, *sorted(headers)

    known = {normal(request) for request in questions.everything("gzip")}
    mixed = questions.mix("gzip", Random(1), 2_000)
    assert len(known) == questions.URLS * questions.READERS
    assert {normal(request) for request in mixed} <= known
    assert len(set(mixed)) > 1_950


def test_ratios_are_of_the_same_rounds():
    assert ratio([1.0, 10.0, 3.0], [2.0, 20.0, 3.0]) == "0.50"
    assert ratio([1.0], []) == "-"


def test_a_table_is_the_same_on_a_terminal_and_on_the_page():
    table = Table("Title", ("", "µs"), [("a", "1"), ("longer", "12.5")], ["A note."])
    lines = ["Title", "            µs", "  a          1", "  longer  12.5", "  (A note.)"]
    assert table.text().splitlines() == ["", *lines]
    assert table.markdown() == "## Title\n\n|  | µs |\n| --- | --: |\n| a | 1 |\n| longer | 12.5 |\n\nA note.\n"
