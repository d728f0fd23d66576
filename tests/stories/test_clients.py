"""Real clients get the same from the proxy as from Jira, twice, and stay on the proxy when they follow links."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

import jira
import pytest
from atlassian import Jira as AtlassianJira

LOGIN = ("admin", "admin")
PATIENCE = 20.0


@pytest.fixture(scope="module")
def emulator():
    """A stateful Jira Data Center in a process of its own, the same issues each time."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {"JIRA820_PORT": str(port), "JIRA820_DATE": "2026-01-15", "PATH": os.environ["PATH"]}
    process = subprocess.Popen([sys.executable, "-m", "jira820"], env=settings, stdout=-3, stderr=-3)
    url = f"http://127.0.0.1:{port}"
    _await_answer(url)
    yield url
    process.terminate()
    process.wait()


def _await_answer(url: str) -> None:
    give_up = time.monotonic() + PATIENCE
    while True:
        try:
            urlopen(f"{url}/rest/api/2/serverInfo").close()
        except URLError:
            assert time.monotonic() < give_up, "the emulator does not start"
            time.sleep(0.05)
        else:
            return


@pytest.fixture
async def both(emulator, new_proxy):
    """The emulator's URL and a proxy's in front of it."""
    proxy = await new_proxy(tenants={"default": {"upstream": emulator}})
    return emulator, proxy.url


PYCONTRIBS = {
    "server info": lambda client: client.server_info()["version"],  # its baseUrl is text, not a link: it stays Jira's
    "myself": lambda client: client.myself(),
    "issue": lambda client: client.issue("JIRA820-1").raw,
    "issue with changelog": lambda client: client.issue("JIRA820-2", expand="changelog").raw,
    "some fields": lambda client: client.issue("JIRA820-3", fields="summary,status").raw,
    "search": lambda client: [i.raw for i in client.search_issues("project = JIRA820 ORDER BY key", maxResults=20)],
    "page two": lambda client: [i.key for i in client.search_issues("project = JIRA820", startAt=10, maxResults=10)],
    "projects": lambda client: [project.raw for project in client.projects()],
    "project": lambda client: client.project("JIRA820").raw,
    "fields": lambda client: client.fields(),
    "statuses": lambda client: [status.raw for status in client.statuses()],
    "priorities": lambda client: [priority.raw for priority in client.priorities()],
    "transitions": lambda client: client.transitions("JIRA820-1"),
    "comments": lambda client: [comment.raw for comment in client.comments("JIRA820-1")],
    "boards": lambda client: [board.raw for board in client.boards()],
}
ATLASSIAN = {
    "issue": lambda client: client.issue("JIRA820-1"),
    "jql": lambda client: client.jql("project = JIRA820 ORDER BY key", limit=15),
    "projects": lambda client: client.projects(),
    "project": lambda client: client.project("JIRA820"),
    "fields": lambda client: client.get_all_fields(),
    "transitions": lambda client: client.get_issue_transitions("JIRA820-1"),
    "comments": lambda client: client.issue_get_comments("JIRA820-1"),
    "user": lambda client: client.user("admin"),
    "missing": lambda client: _refusal(lambda: client.issue("JIRA820-99999")),
}


def _refusal(deed) -> str:
    with pytest.raises(Exception) as refused:
        deed()
    return type(refused.value).__name__


def pycontribs(url):
    return jira.JIRA(url, basic_auth=LOGIN, options={"agile_rest_path": "agile"})


def atlassian(url):
    return AtlassianJira(url=url, username=LOGIN[0], password=LOGIN[1], cloud=False)


CASES = [(pycontribs, name, deed) for name, deed in PYCONTRIBS.items()]
CASES += [(atlassian, name, deed) for name, deed in ATLASSIAN.items()]


def _plain(value, url):
    return json.loads(json.dumps(value).replace(url, "URL"))


@pytest.mark.parametrize(
    ("connect", "deed"), [(c, d) for c, _, d in CASES], ids=[f"{c.__name__}: {n}" for c, n, _ in CASES]
)
async def test_a_client_cannot_tell_the_proxy_from_jira(both, connect, deed):
    direct_url, proxy_url = both
    direct = _plain(await asyncio.to_thread(lambda: deed(connect(direct_url))), direct_url)
    for _ in range(2):
        assert _plain(await asyncio.to_thread(lambda: deed(connect(proxy_url))), proxy_url) == direct


async def test_the_second_time_jira_is_not_asked(both, new_proxy):
    direct_url, _ = both
    proxy = await new_proxy(tenants={"default": {"upstream": direct_url}})
    read = PYCONTRIBS["search"]
    await asyncio.to_thread(lambda: read(pycontribs(proxy.url)))
    metrics = proxy.running.app.metrics.registry
    asked = metrics.get_sample_value("jira_cache_upstream_requests_total", {"tenant": "default", "status": "200"})
    await asyncio.to_thread(lambda: read(pycontribs(proxy.url)))
    again = metrics.get_sample_value("jira_cache_upstream_requests_total", {"tenant": "default", "status": "200"})
    assert again == asked


async def test_a_client_that_writes_reads_what_it_wrote(both):
    _, url = both

    def work() -> list[str]:
        client = pycontribs(url)
        issue = client.create_issue(project="JIRA820", summary="made", issuetype={"name": "Task"})
        seen = [client.issue(issue.key).fields.summary]
        issue.update(summary="changed")  # follows `self`
        seen.append(client.issue(issue.key).fields.summary)
        client.add_comment(issue.key, "a word")
        seen.append(client.comments(issue.key)[-1].body)
        client.transition_issue(issue.key, client.transitions(issue.key)[-1]["id"])
        seen += [i.fields.summary for i in client.search_issues(f"key = {issue.key}")]
        assert issue.self.startswith(url)
        issue.delete()
        return seen

    assert await asyncio.to_thread(work) == ["made", "changed", "a word", "changed"]
