import importlib.util
import os
import re
import signal
import subprocess
import sys

import orjson
import pytest

from proxy import demo
from proxy.errors import ConfigError
from proxy.tour import Tour

STEP = re.compile(r"  (GET|PUT) +(\S+) +(\d+) ms  (hit|fwd=\S+);")


@pytest.fixture
def environ(tmp_path):
    """What a shell may hold that must not reach the demo."""
    foreign = {
        "JIRA_CACHE_LISTN": "x",
        "JIRA_URL": "nowhere",
        "REDIS_URL": "redis://127.0.0.1:1",
        "HTTP_PROXY": "http://127.0.0.1:1",
    }
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **foreign}


def test_the_tour_shows_a_miss_a_hit_a_write_and_fresh_data(environ, tmp_path):
    command = [sys.executable, "-m", "proxy", "demo", "--once"]
    toured = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert (toured.returncode, toured.stderr) == (0, "")
    steps = [match.groups() for line in toured.stdout.splitlines() if (match := STEP.match(line))]
    assert [(method, status) for method, path, _, status in steps if "field" not in path.partition("?")[0]] == [
        ("GET", "fwd=uri-miss"),
        ("GET", "hit"),
        ("GET", "fwd=uri-miss"),
        ("GET", "hit"),
        ("PUT", "fwd=method"),
        ("GET", "fwd=stale"),
        ("GET", "fwd=stale"),
        ("GET", "hit"),
    ]
    assert all(int(took) >= demo.LATENCY_MS for _, _, took, status in steps if status != "hit")
    assert re.search(r"9 requests, 3 of them answered without Jira: 3 calls and \d+ ms saved\.", toured.stdout)
    assert "\x1b" not in toured.stdout


def test_the_demo_stays_up_until_it_is_ended_and_leaves_nothing_behind(environ, tmp_path):
    environ |= {"TMPDIR": str(tmp_path)}
    command = [sys.executable, "-u", "-m", "proxy", "demo"]
    with subprocess.Popen(command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, text=True) as process:
        try:
            lines = iter(process.stdout.readline, "")
            told = next(line for line in lines if "It stays up until" in line)
            curl = next(line for line in lines if "curl" in line)
            stats = next(line for line in lines if " stats --admin " in line).split()
            asked = subprocess.run([*stats, "--json"], cwd=tmp_path, env=environ, capture_output=True, check=False)
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=20)
        finally:
            process.kill()
    assert told
    assert orjson.loads(asked.stdout)["tenants"]["default"]["requests"]
    assert "/rest/api/2/issue/" in curl
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_without_its_extra_the_demo_says_what_to_install(monkeypatch):
    monkeypatch.setattr(demo, "find_spec", lambda name: None if name == "jira820" else importlib.util.find_spec(name))
    with pytest.raises(ConfigError, match=r"pip install 'jira-cache-proxy\[demo\]'"):
        demo.run(once=True)


def test_a_tour_that_goes_wrong_says_so_and_does_not_break_off(capsys):
    assert Tour("http://127.0.0.1:1").walk() is False
    assert "not as promised: " in capsys.readouterr().out
