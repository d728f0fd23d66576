"""The command line: serve, demo, check, explain, replay, webhooks, and of a proxy that runs: purge, stats, admin-link.

A mistake of the user's is one line on standard error and exit code 2, never a traceback.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

import click

from proxy import logs
from proxy.checkup import as_text as overview
from proxy.checkup import report
from proxy.commands.common import MISTAKE, OneLine, tells_mistakes, with_config, with_json
from proxy.commands.replay import replay
from proxy.commands.webhooks import webhooks
from proxy.config import load, read
from proxy.errors import ConfigError
from proxy.explain import MalformedLineError, as_json, as_text, request_of, tell
from proxy.remote import Remote
from proxy.rules import rulebook

TOKEN = "JIRA_CACHE_ADMIN__TOKEN"  # noqa: S105 - the name of a variable, which the configuration gives it
"""Has the admin listener's token, for those who start it and those who ask it."""

_admin = click.option(
    "--admin", "url", metavar="URL", help="The admin listener. Default: where the configuration has it."
)
_token = click.option(
    "--token", envvar=TOKEN, metavar="TOKEN", help=f"The admin listener's token, better given as ${TOKEN}."
)


@click.group(cls=OneLine, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jira-cache-proxy", prog_name="jira-cache", message="%(prog)s %(version)s")
def main() -> None:
    """Run or question a caching reverse proxy for Jira's REST API."""


main.add_command(replay)
main.add_command(webhooks)


@main.command()
@with_config
@click.option("--upstream", metavar="URL", help="Jira's URL, such as https://your-site.atlassian.net.")
@click.option("--store", metavar="URL", help="Where answers are kept: memory:// or redis://HOST:6379/0.")
@click.option("--listen", metavar="HOST:PORT", help="Where Jira's clients connect. Default: 0.0.0.0:8080.")
@click.option("--admin", metavar="HOST:PORT", help="Where the admin listener is. Default: 127.0.0.1:8081.")
@tells_mistakes
def serve(path: Path | None, **overrides: str | None) -> int:
    """Answer Jira's clients, until interrupted."""
    from proxy.server import run  # noqa: PLC0415 - the other commands do without the machinery

    config = load(path, os.environ, **overrides)
    logs.start(config.log)
    return run(config)


@main.command()
@click.option("--once", is_flag=True, help="Exit after the tour.")
@tells_mistakes
def demo(once: bool) -> int:
    """Show it: a sandbox Jira, the proxy before it, and a guided tour."""
    from proxy.demo import run  # noqa: PLC0415 - as above

    return run(once=once)


@main.command()
@with_config
@with_json
@tells_mistakes
def check(path: Path | None, in_json: bool) -> int:
    """Validate the configuration, print the policies that come out, and warn of what may be regretted."""
    told = report(path, os.environ)
    for line in [as_json(told)] if in_json else overview(told):
        click.echo(line)
    return 0


@main.command()
@with_config
@with_json
@click.option("--body", type=click.File("rb"), metavar="FILE", help="The request's JSON body.")
@click.argument("method")
@click.argument("address", metavar="[PATH]", required=False)
@tells_mistakes
def explain(path: Path | None, in_json: bool, body: BinaryIO | None, method: str, address: str | None) -> int:
    """Say what is done with METHOD PATH, and why. A METHOD of "-" reads METHOD PATH lines from standard input."""
    if (method == "-") == (address is not None):
        raise ConfigError('explain: give METHOD and PATH, or "-" to read such lines from standard input')
    config = read(path, os.environ)
    rules = rulebook(config)
    content = body.read() if body else b""
    lines: Iterable[str] = click.open_file("-", errors="replace") if address is None else [f"{method} {address}"]
    code = 0
    for number, line in enumerate(lines, start=1):
        if not line.strip() and address is None:
            continue
        try:
            told = tell(rules, request_of(line, config, content))
            click.echo(as_json(told) if in_json else as_text(told))
        except MalformedLineError as error:
            click.secho(f"line {number}: {error}" if address is None else f"{error}", err=True, fg="red")
            code = MISTAKE
    return code


@main.command()
@_admin
@_token
@with_config
@click.option("--tenant", metavar="NAME", help="Whose answers. Default: the only tenant.")
@click.option("--tag", "tags", multiple=True, metavar="TAG", help="What carries this tag; may be given more than once.")
@click.option("--type", metavar="TYPE", help="All answers of one type, such as search.")
@click.option("--project", metavar="KEY", help="What speaks of a project, and searches that may show its issues.")
@click.option("--pattern", metavar="GLOB", help='Answers by key, such as "issue:PROJ-1*"; looks through all keys.')
@click.option("--all", is_flag=True, help="Everything.")
@with_json
@tells_mistakes
def purge(
    url: str | None, token: str | None, path: Path | None, tenant: str | None, in_json: bool, **kinds: Any
) -> int:
    """Have a running proxy ask Jira anew for some of what it has kept."""
    given = {kind: value for kind, value in kinds.items() if value not in (None, False, ())}
    if len(given) != 1:
        raise ConfigError("purge: give exactly one of --tag, --type, --project, --pattern and --all")
    order = given if tenant is None else given | {"tenant": tenant}
    done = Remote.find(url, token, path, os.environ).post("/api/purge", order)
    [(kind, what)] = given.items()
    named = {"tags": ", ".join(kinds["tags"]), "all": "everything"}.get(kind, f"{kind} {what}")
    forgotten = "" if done["forgotten"] is None else f" ({done['forgotten']} answers)"
    click.echo(as_json(done) if in_json else f"{done['tenant']}: purged {named}{forgotten}")
    return 0


@main.command()
@_admin
@_token
@with_config
@with_json
@tells_mistakes
def stats(url: str | None, token: str | None, path: Path | None, in_json: bool) -> int:
    """Tell what a running proxy has counted since its start."""
    from proxy.stats import as_text as tables  # noqa: PLC0415 - as above

    told = Remote.find(url, token, path, os.environ).get("/api/stats")
    for line in [as_json(told)] if in_json else tables(told):
        click.echo(line)
    return 0


@main.command("admin-link")
@_admin
@_token
@with_config
@with_json
@tells_mistakes
def admin_link(url: str | None, token: str | None, path: Path | None, in_json: bool) -> int:
    """Print a link that signs a browser in at a running proxy: good once, within 15 minutes."""
    remote = Remote.find(url, token, path, os.environ)
    link = f"{remote.url}{remote.post('/api/sign-in-links', {})['path']}"
    click.echo(as_json({"url": link}) if in_json else link)
    return 0
