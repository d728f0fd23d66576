"""The command line: serve, demo, check, explain.

A mistake of the user's is one line on standard error and exit code 2, never a traceback.
"""

import os
import sys
from collections.abc import Callable, Iterable
from functools import wraps
from pathlib import Path
from typing import BinaryIO, ParamSpec

import click

from proxy import logs
from proxy.checkup import report
from proxy.config import load, read
from proxy.errors import ConfigError
from proxy.explain import MalformedLineError, as_json, as_text, request_of, tell
from proxy.rules import rulebook

MISTAKE = 2
"""The exit code for whatever the user has to correct."""

_Given = ParamSpec("_Given")

_config = click.option(
    "--config", "path", type=click.Path(path_type=Path), metavar="FILE", help="Default: ./config.yaml, if there is one."
)


def _tells_mistakes(command: Callable[_Given, int]) -> Callable[_Given, None]:
    """Exit with the command's code, or print its ConfigError and exit with 2."""

    @wraps(command)
    def run(*args: _Given.args, **kwargs: _Given.kwargs) -> None:
        try:
            code = command(*args, **kwargs)
        except ConfigError as error:
            click.echo(error, err=True)
            code = MISTAKE
        sys.exit(code)

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="jira-cache-proxy", prog_name="jira-cache", message="%(prog)s %(version)s")
def main() -> None:
    """Run or question a caching reverse proxy for Jira's REST API."""


@main.command()
@_config
@click.option("--upstream", metavar="URL", help="Jira's URL, such as https://your-site.atlassian.net.")
@click.option("--store", metavar="URL", help="Where answers are kept: memory:// or redis://HOST:6379/0.")
@click.option("--listen", metavar="HOST:PORT", help="Where Jira's clients connect. Default: 0.0.0.0:8080.")
@click.option("--admin", metavar="HOST:PORT", help="Where the admin listener is. Default: 127.0.0.1:8081.")
@_tells_mistakes
def serve(path: Path | None, **overrides: str | None) -> int:
    """Answer Jira's clients, until interrupted."""
    from proxy.app import run  # noqa: PLC0415 - the other commands do without the machinery

    config = load(path, os.environ, **overrides)
    logs.start(config.log)
    return run(config)


@main.command()
@click.option("--once", is_flag=True, help="Exit after the tour.")
@_tells_mistakes
def demo(once: bool) -> int:
    """Show it: a sandbox Jira, the proxy before it, and a guided tour."""
    from proxy.demo import run  # noqa: PLC0415 - as above

    return run(once=once)


@main.command()
@_config
@_tells_mistakes
def check(path: Path | None) -> int:
    """Validate the configuration and print the policies that come out."""
    for line in report(path, os.environ):
        click.echo(line)
    return 0


@main.command()
@_config
@click.option("--json", "in_json", is_flag=True, help="One JSON object a line.")
@click.option("--body", type=click.File("rb"), metavar="FILE", help="The request's JSON body.")
@click.argument("method")
@click.argument("address", metavar="[PATH]", required=False)
@_tells_mistakes
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
            click.echo(f"line {number}: {error}", err=True)
            code = MISTAKE
    return code
