"""The guided tour: what a client of Jira sees through the proxy, step by step, each step checked."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean
from typing import Any
from urllib.parse import urlsplit

import click
from jira import JIRA, Issue, JIRAError

KEY = "JIRA820-1"
QUERY = "project = JIRA820 ORDER BY key"
PAGE = 5
WIDTH = 48


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request of the client's, with how long it took (seconds) and what Cache-Status said."""

    method: str
    path: str
    seconds: float
    status: str

    @property
    def hit(self) -> bool:
        """Whether Jira was not asked."""
        return self.status.startswith("hit")


class Tour:
    """Walks a real client through the proxy, and tells what happens."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._exchanges: list[Exchange] = []
        self._disappointments: list[str] = []

    def walk(self) -> bool:
        """Take every step and sum up; tell whether each went as promised."""
        try:
            self._walk(self._connect())
            self._sum_up()
        except (JIRAError, OSError) as error:  # requests' errors are OSErrors
            self._expect(kept=False, promise=" ".join(str(error).split()))
        return not self._disappointments

    def _walk(self, client: JIRA) -> None:
        summary = f"Edited at {time.strftime('%H:%M:%S')}"
        issue = self._step("The first read of an issue asks Jira", lambda: client.issue(KEY), hit=False)
        self._step("The second is answered from cache", lambda: client.issue(KEY), hit=True)
        self._step(
            "A search asks Jira too (the client first reads the names of fields)", lambda: _search(client), hit=False
        )
        self._step("Asked again, it is answered from cache", lambda: _search(client), hit=True)
        self._step("A write goes to Jira; the client reads back at once", lambda: _edit(issue, summary), hit=False)
        found = self._step("The write made the search old: it asks Jira again", lambda: _search(client), hit=False)
        again = self._step("The new issue is in the cache already", lambda: client.issue(KEY), hit=True)
        self._expect(found[KEY] == summary, "the search shows the new summary")
        self._expect(again.fields.summary == summary, "the issue shows the new summary")

    def _connect(self) -> JIRA:
        client = JIRA(self._url, basic_auth=("me", "secret"), get_server_info=False, max_retries=0)
        session = client._session  # noqa: SLF001 - the client offers no other way to watch its requests
        session.trust_env = False  # it is on this machine, whatever proxy the environment names
        session.hooks["response"].append(self._note)
        return client

    def _note(self, response: Any, **_options: Any) -> None:
        url = urlsplit(response.url)
        path = f"{url.path}?{url.query}" if url.query else url.path
        status = response.headers.get("Cache-Status", "no Cache-Status").removeprefix("jira-cache; ")
        exchange = Exchange(response.request.method, path, response.elapsed.total_seconds(), status)
        self._exchanges.append(exchange)
        self._expect(response.url.startswith(f"{self._url}/"), "the client stays on the proxy")
        click.echo(_line(exchange))

    def _step(self, title: str, act: Callable[[], Any], *, hit: bool) -> Any:
        click.secho(title, bold=True)
        result = act()
        self._expect(self._exchanges[-1].hit is hit, f"{title}: {'a hit' if hit else 'no hit'}")
        return result

    def _expect(self, kept: bool, promise: str) -> None:
        if not kept:
            self._disappointments.append(promise)
            click.secho(f"  not as promised: {promise}", fg="red")

    def _sum_up(self) -> None:
        hits = [exchange.seconds for exchange in self._exchanges if exchange.hit]
        asked = [exchange.seconds for exchange in self._exchanges if not exchange.hit and exchange.method == "GET"]
        saved = len(hits) * mean(asked) - sum(hits)
        click.echo()
        click.secho(
            f"{len(self._exchanges)} requests, {len(hits)} of them answered without Jira: "
            f"{len(hits)} calls and {saved * 1000:.0f} ms saved.",
            bold=True,
        )


def _search(client: JIRA) -> dict[str, str]:
    """Key -> summary of the first page of issues."""
    found = client.search_issues(QUERY, maxResults=PAGE, fields="summary")
    return {issue.key: issue.fields.summary for issue in found}


def _edit(issue: Issue, summary: str) -> None:
    issue.update(fields={"summary": summary})


def _line(exchange: Exchange) -> str:
    path = exchange.path if len(exchange.path) <= WIDTH else f"{exchange.path[: WIDTH - 3]}..."
    colour = "green" if exchange.hit else "yellow"
    took = f"{exchange.seconds * 1000:5.0f} ms"
    return f"  {exchange.method:5}{path:{WIDTH}} {click.style(took, fg=colour)}  {exchange.status}"
