"""What a proxy logged can be replayed, and comes out as it was."""

import asyncio
import io
import json
from functools import partial

import pytest
import yaml
from click.testing import CliRunner

from proxy.access import AccessLog
from proxy.cli import main
from tests.clocks import Clock

ISSUE = "/rest/api/2/issue/PROJ-1"
BEGAN = 1_800_000_000.0


@pytest.fixture
async def logged(monkeypatch, new_proxy, origin, tmp_path):
    """Have a proxy log an hour: two people read an issue every two minutes, and a write changes it once."""
    stream, clock = io.StringIO(), Clock(BEGAN)
    monkeypatch.setattr("proxy.app.AccessLog", partial(AccessLog, stream=stream))
    origin.issue("PROJ-1", "one")
    proxy = await new_proxy(clock=clock, fast_lane=False, tenants={"default": {"upstream": origin.url, "lease": "1d"}})
    for minute in range(0, 60, 2):
        clock.now = BEGAN + minute * 60
        for user in ("alice", "bob"):
            await proxy.get(ISSUE, user)
        if minute == 30:
            await proxy.request("PUT", ISSUE, json={"fields": {"summary": "two"}})
    await asyncio.sleep(0)
    file = tmp_path / "access.log"
    file.write_text(stream.getvalue())
    return file, origin


async def replay(file, **issue) -> dict:
    policy = file.with_name("policy.yaml")
    policy.write_text(yaml.safe_dump({"policies": {"issue": issue}}))
    words = ["replay", str(file), "--policy", str(policy), "--json"]
    done = await asyncio.to_thread(CliRunner().invoke, main, words)
    return {each["policy"].rpartition("/")[2]: each["total"] for each in json.loads(done.stdout)["policies"]}


async def test_the_policy_that_was_in_force_comes_out_as_it_was(logged):
    file, origin = logged
    told = await replay(file, ttl="5m")
    assert told["policy.yaml"] == told["as logged"] | {"saved_seconds": told["policy.yaml"]["saved_seconds"]}
    assert told["as logged"]["upstream_calls"] == origin.calls()


async def test_a_longer_ttl_asks_once_more_for_each_reader_after_the_change_and_no_more(logged):
    file, _ = logged
    told = await replay(file, ttl="1h")
    assert told["policy.yaml"]["upstream_calls"] == 4
    assert told["policy.yaml"]["age_p99"] == 30 * 60


async def test_without_a_ttl_everything_is_asked_of_jira(logged):
    file, _ = logged
    assert (await replay(file, ttl="0s"))["policy.yaml"]["upstream_calls"] == 60
