import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.request
from contextlib import contextmanager

import orjson
import pytest
from click.testing import CliRunner

from proxy.cli import main


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Where no config.yaml lies about, and with an environment that says nothing."""
    monkeypatch.chdir(tmp_path)
    for name in os.environ:
        if name.startswith(("JIRA", "REDIS", "XDG_STATE_HOME")):
            monkeypatch.delenv(name)


@pytest.fixture
def cli():
    def cli(*arguments, stdin=None):
        return CliRunner().invoke(main, arguments, input=stdin)

    return cli


@contextmanager
def serving(tmp_path, *arguments):
    """`jira-cache serve` as a process of its own."""
    environ = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "NO_PROXY": "*"}
    command = [sys.executable, "-m", "proxy", "serve", *arguments]
    process = subprocess.Popen(
        command, cwd=tmp_path, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    watchdog = threading.Timer(20, process.kill)
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate()


def test_the_version_is_told(cli):
    assert re.fullmatch(r"jira-cache \d+\.\d+\.\d+\n", cli("--version").stdout)


def test_there_are_as_many_commands_as_work(cli):
    assert sorted(main.commands) == [
        "admin-link",
        "check",
        "demo",
        "explain",
        "purge",
        "replay",
        "serve",
        "stats",
        "webhooks",
    ]
    for name in main.commands:
        assert cli(name, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("prge",), "main: No such command 'prge'."),
        (("purge", "--tga", "x"), "main purge: No such option '--tga'."),
        (("explain",), "main explain: Missing argument 'METHOD'."),
        (("webhooks", "list", "--api", "soap"), "main webhooks list: Invalid value for '--api': 'soap' is not one of"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(cli, arguments, line):
    result = cli(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(line.removesuffix("."))
    assert len(result.stderr.splitlines()) == 1


# check ----------------------------------------------------------------------------------------------------------------


def test_check_prints_each_policy_and_where_it_comes_from(cli, tmp_path, monkeypatch):
    (tmp_path / "mine.yaml").write_text("policies: {project: {ttl: 2h}, issue: {ttl: 3m}}")
    monkeypatch.setenv("JIRA_CACHE_POLICIES__ISSUE__TTL", "4m")
    result = cli("check", "--config", "mine.yaml")
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line}
    assert result.exit_code == 0
    issue = ["issue", "4m", "0s", "1h", "30s", "credential", "-", "-", "$JIRA_CACHE_POLICIES__ISSUE__TTL"]
    assert rows["issue"] == issue
    assert rows["project"] == ["project", "2h", "0s", "1h", "30s", "credential", "-", "-", "mine.yaml"]
    assert rows["search"] == ["search", "2m", "0s", "1h", "30s", "credential", "2s,10s,30s", "-", "default"]


def test_check_names_the_rows_whose_freshness_the_origin_decides(cli, tmp_path):
    (tmp_path / "mine.yaml").write_text("routes: [{match: GET /rest/x/**, type: issue, freshness: origin}]")
    assert "origin  decides the freshness of pictures, routes[0]" in cli("check", "--config", "mine.yaml").stdout


def test_check_shows_no_password(cli, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://me:hunter2@cache.example:6379/0")
    result = cli("check")
    assert "redis://cache.example:6379/0" in result.stdout
    assert "hunter2" not in result.output


def test_check_says_when_there_is_no_jira_yet(cli, monkeypatch):
    assert "no Jira yet" in cli("check").stdout
    monkeypatch.setenv("JIRA_URL", "https://jira.example.com")
    assert "tenant  default: https://jira.example.com" in cli("check").stdout


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("listn: x", ["bad.yaml: listn: unknown key (did you mean listen?)"]),
        (
            "policies: {issue: {ttl: 5 parsecs}}\nlisten: 1",
            [
                "bad.yaml: listen: 1 is not an address (try 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080)",
                "bad.yaml: policies.issue.ttl: '5 parsecs' is not a duration (try 30s, 5m, 1h, 24h)",
            ],
        ),
        (
            "routes: [{match: GET /rest/tempo/x, type: tempo}]",
            ["bad.yaml: routes: row routes[0]: column type: there is no policy for 'tempo'"],
        ),
    ],
)
def test_check_tells_each_mistake_in_a_line_and_exits_with_2(cli, tmp_path, text, lines):
    (tmp_path / "bad.yaml").write_text(text)
    result = cli("check", "--config", "bad.yaml")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines() == lines


@pytest.mark.parametrize("command", [("check",), ("serve",), ("explain", "GET", "/")])
def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(cli, command):
    result = cli(*command, "--config", "none.yaml")
    assert (result.exit_code, result.stderr) == (2, "none.yaml: cannot be read: No such file or directory\n")


# explain --------------------------------------------------------------------------------------------------------------


def test_explain_needs_no_jira(cli):
    result = cli("explain", "--json", "GET", "/rest/api/3/issue/PROJ-1")
    assert result.exit_code == 0
    assert orjson.loads(result.stdout)["entity"] == "PROJ-1"


def test_explain_is_readable_without_json(cli):
    assert "  action        cache\n" in cli("explain", "GET", "/rest/api/3/issue/PROJ-1").stdout


def test_explain_reads_the_body_from_a_file(cli, tmp_path):
    (tmp_path / "body.json").write_bytes(b'{"jql": "project = A"}')
    result = cli("explain", "--json", "POST", "/rest/api/2/search", "--body", "body.json")
    assert orjson.loads(result.stdout)["jql"]["projects"] == ["A"]


def test_explain_answers_each_line_and_says_which_it_could_not_read(cli):
    stdin = b"GET /rest/api/3/field\n\ngarbage\nPUT /rest/api/3/issue/A-1\nGET /\xff\n"
    result = cli("explain", "--json", "-", stdin=stdin)
    assert [orjson.loads(line)["why"] for line in result.stdout.splitlines()] == ["cacheable", "write", "not-rest"]
    assert result.stderr == "line 3: 'garbage' is not METHOD PATH\n"
    assert result.exit_code == 2


def test_what_explain_cannot_read_on_the_command_line_is_no_line_of_a_file(cli):
    result = cli("explain", "GET", "rest")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", "'GET rest' is not METHOD PATH\n")


def test_explain_of_good_lines_exits_with_0(cli):
    assert cli("explain", "-", stdin="GET /rest/api/3/field\n").exit_code == 0


@pytest.mark.parametrize("arguments", [("GET",), ("-", "/rest")])
def test_explain_wants_a_method_and_a_path(cli, arguments):
    result = cli("explain", *arguments)
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 1


# serve ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ((), "no Jira to talk to: set tenants.default.upstream or $JIRA_URL"),
        (("--upstream", "nowhere"), "--upstream: 'nowhere' is not an http or https URL (try https://jira.example.com)"),
        (
            ("--upstream", "http://j", "--store", "redis+sentinel://h"),
            "--store: names no service (try redis+sentinel://host:26379,other:26379/mymaster/0)",
        ),
        (
            ("--upstream", "http://j", "--admin", "0.0.0.0:1"),
            "configuration: admin.token: is required, because other machines can reach 0.0.0.0:1",
        ),
    ],
)
def test_serve_does_not_start_with_a_mistake(cli, arguments, line):
    result = cli("serve", *arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", f"{line}\n")


def test_serve_does_not_start_on_a_port_that_is_taken(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        where = f"127.0.0.1:{taken.getsockname()[1]}"
        with serving(
            tmp_path, "--upstream", "http://127.0.0.1:1", "--listen", where, "--admin", "127.0.0.1:0"
        ) as process:
            stdout, stderr = process.communicate()
    assert (process.returncode, stdout) == (2, "")
    assert len(stderr.splitlines()) == 1
    assert where in stderr


def test_serve_starts_without_its_redis_says_so_and_stops_when_asked(tmp_path):
    arguments = ("--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
    with serving(tmp_path, *arguments, "--store", "redis://127.0.0.1:1") as process:
        lines = []
        while not any("cannot be reached" in line["message"] for line in lines):
            lines.append(json.loads(process.stderr.readline()))
        proxy = re.search(r"on (http://\S+)", " ".join(line["message"] for line in lines))[1]
        with urllib.request.urlopen(f"{proxy}/-/live") as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        process.communicate()
    assert process.returncode == 0
