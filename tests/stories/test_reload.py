"""SIGHUP: policies and routes are read anew while the proxy runs, and a mistake in them changes nothing."""

import asyncio
import re
import signal

import pytest
import yaml

from proxy import config

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
APP = "/rest/example-app/1.0/things"
PATIENCE = 10.0
LONGER = {"policies": {"issue": {"ttl": "2h"}}, "routes": [{"match": f"GET {APP}", "type": "project"}]}


@pytest.fixture
def reload(tmp_path):
    """Change the file of the one process, tell it, and wait for the line that says what came of it."""
    file = tmp_path / "config0.yaml"

    async def tell(proxy, changed: dict | str) -> str:
        given = yaml.safe_load(file.read_text())
        file.write_text(changed if isinstance(changed, str) else yaml.safe_dump(given | changed))
        proxy.process.send_signal(signal.SIGHUP)
        async with asyncio.timeout(PATIENCE):
            while b"read" not in (line := await proxy.process.stderr.readline()) and b"reloaded" not in line:
                assert line, "the proxy ended"
        return line.decode()

    return tell


def ttl(answer) -> int:
    return int(re.search(r"ttl=(\d+)", answer.headers["Cache-Status"])[1])


async def test_policies_and_routes_are_read_anew_on_sighup(new_process, origin, reload):
    origin.issue("PROJ-1", "first")
    proxy = await new_process()
    assert ttl(await proxy.get(ISSUE)) <= 300
    assert (await proxy.get(APP)).why == "unknown-route"
    assert "policies and routes were read anew" in await reload(proxy, LONGER)
    assert ttl(await proxy.get(ISSUE)) > 300
    assert (await proxy.get(APP)).why != "unknown-route"


@pytest.mark.parametrize(
    ("mistake", "place"),
    [
        ({"policies": {"issue": {"ttl": "5 parsecs"}}}, "policies.issue.ttl"),
        ({"routes": [{"match": "GET things", "type": "project"}]}, "routes[0]"),
        ("policies: [", "config0.yaml"),
    ],
)
async def test_a_bad_file_changes_nothing_and_says_where(new_process, origin, reload, mistake, place):
    origin.issue("PROJ-1", "first")
    proxy = await new_process(**LONGER)
    await proxy.get(ISSUE)
    line = await reload(proxy, mistake)
    assert "nothing was reloaded" in line
    assert place in line
    kept = await proxy.get(ISSUE)
    assert kept.why == "fresh"
    assert ttl(kept) > 300


async def test_keys_that_only_a_restart_takes_over_are_named(new_process, origin, tmp_path):
    proxy = await new_process()
    file = tmp_path / "config0.yaml"
    given = yaml.safe_load(file.read_text())
    given["tenants"] = {"default": {"upstream": "http://127.0.0.1:1", "lease": "9m"}, "more": {"path_prefix": "/more"}}
    file.write_text(yaml.safe_dump(given | LONGER | {"secret": "another that nobody reads", "log": {"level": "debug"}}))
    proxy.process.send_signal(signal.SIGHUP)
    async with asyncio.timeout(PATIENCE):
        while b"restart" not in (line := await proxy.process.stderr.readline()):
            assert line, "the proxy ended"
    _, _, named = line.decode().partition("take it over: ")
    keys = {"secret", "tenants.default.lease", "tenants.default.upstream", "tenants.more", "log.level"}
    assert set(named.partition('"')[0].split(", ")) == keys
    assert "another that nobody reads" not in named


def test_what_the_command_line_gave_does_not_wait_for_a_restart(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("tenants: {default: {upstream: 'http://a'}}")
    flags = {"upstream": "http://b", "listen": "127.0.0.1:9"}
    running = config.read(file, {}, **flags)
    assert running.flags == flags
    assert config.waiting(running, config.read(file, {}, **running.flags)) == []
    assert config.waiting(running, config.read(file, {})) == ["listen", "tenants.default.upstream"]


async def test_changes_are_repeated_by_the_delays_that_were_read_last(new_proxy, origin, monkeypatch):
    origin.issue("PROJ-1", "first")
    proxy = await new_proxy({"JIRA_CACHE_POLICIES__SEARCH__SETTLE": "2s"})
    app = proxy.running.app
    postponed = []

    async def postpone(tags, delays, surveyed=None):
        postponed.append(delays)

    monkeypatch.setattr(app.stores["default"], "postpone", postpone)
    app._environ["JIRA_CACHE_POLICIES__SEARCH__SETTLE"] = "7s"
    await proxy.running.reload()
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "second"}})
    assert postponed == [(7.0,)]
