"""`jira-cache replay`: what other policies would have made of logged requests, before anybody changes them."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import click

from proxy.checkup import aligned
from proxy.commands.common import tells_mistakes, warn, with_json
from proxy.config import read
from proxy.errors import ConfigError
from proxy.explain import as_json
from proxy.units import spell
from proxy.whatif.figures import Figures, together
from proxy.whatif.replay import Logged, Replay
from proxy.whatif.trace import LEFT_OUT, MALFORMED, PASSED, Trace

_AS_LOGGED = "as logged"
_COLUMNS = ("type", "ttl", "requests", "hits", "ratio", "calls", "saved", "points", "seconds", "p50", "p90", "p99")
_Told = dict[str, Any]


@click.command()
@click.argument("log")
@click.option(
    "--policy",
    "files",
    multiple=True,
    required=True,
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A configuration whose `policies` are tried; may be given more than once, to compare.",
)
@click.option("--webhooks-healthy", "webhooks", is_flag=True, help="As if webhooks announced all: ttl_with_webhooks.")
@with_json
@tells_mistakes
def replay(log: str, files: tuple[Path, ...], webhooks: bool, in_json: bool) -> int:
    """Tell what policies would have made of the requests in LOG, an access log ("-": standard input).

    Hit ratio, calls of Jira, what was saved (calls, points of Cloud's quota, seconds of waiting), and how old the
    answers from the cache were, in seconds.
    """
    # Only what the files say: variables of this environment are not what is tried.
    rows = {str(file): read(file, {}) for file in files}
    replays = {name: Replay(config.law(), webhooks=webhooks) for name, config in rows.items()}
    trace, logged = Trace(_lines(log)), Logged()
    for asked in trace:
        logged.feed(asked)
        for each in replays.values():
            each.feed(asked)
    if not logged.figures:
        raise ConfigError(f"{log}: has no line of an access log with a key ({trace.skipped[MALFORMED]} malformed)")
    ttls = {name: {kind: row.ttl for kind, row in config.policies.items()} for name, config in rows.items()}
    sets = [_one(_AS_LOGGED, logged.figures, {})]
    sets += [_one(name, each.figures, ttls[name]) for name, each in replays.items()]
    left_out = {name: sorted(each.left_out) for name, each in replays.items() if each.left_out}
    told = {"log": log, "skipped": dict(trace.skipped), "policies": sets, "left_out": left_out}
    _warn(told)
    for line in [as_json(told)] if in_json else _text(told):
        click.echo(line)
    return 0


def _lines(log: str) -> Iterator[bytes]:
    try:
        with click.open_file(log, "rb") as file:
            yield from _watched(file)
    except OSError as error:
        raise ConfigError(f"{log}: cannot be read: {error.strerror}") from error


def _watched(log: IO[bytes]) -> Iterator[bytes]:
    """Read lines; show how far we are to whoever watches."""
    if not (sys.stderr.isatty() and log.seekable()):
        yield from log
        return
    size = log.seek(0, os.SEEK_END)
    log.seek(0)
    with click.progressbar(length=size, label="reading", file=sys.stderr) as bar:
        for line in log:
            yield line
            bar.update(len(line))


def _one(name: str, figures: Mapping[str, Figures], ttls: Mapping[str, float]) -> _Told:
    types = {kind: {"ttl": ttls.get(kind), **each.told()} for kind, each in sorted(figures.items())}
    return {"policy": name, "types": types, "total": together(figures.values()).told()}


def _warn(told: _Told) -> None:
    skipped = told["skipped"]
    if skipped.get(MALFORMED):
        warn(f"{told['log']}: {skipped[MALFORMED]} malformed lines were skipped")
    if skipped.get(LEFT_OUT):
        warn(f"{told['log']}: hits were sampled (log.sample_hits), so the figures are reckoned up from a share of keys")
    for name, types in told["left_out"].items():
        warn(f"{name}: has no TTL for {', '.join(types)}, so that these are left out")


def _text(told: _Told) -> Iterator[str]:
    yield f"{told['skipped'].get(PASSED, 0)} requests are the same under any policy: nothing is looked up for them"
    for each in told["policies"]:
        yield ""
        yield click.style(each["policy"], bold=True)
        rows = [_row(kind, figures) for kind, figures in each["types"].items()]
        yield from aligned([_COLUMNS, *rows, _row("all", each["total"] | {"ttl": None})])


def _row(kind: str, figures: _Told) -> tuple[str, ...]:
    ttl, ratio = figures["ttl"], figures["hit_ratio"]
    counts = ("upstream_calls", "saved_calls", "saved_points", "saved_seconds", "age_p50", "age_p90", "age_p99")
    return (
        kind,
        "-" if ttl is None else spell(ttl),
        str(figures["requests"]),
        str(figures["hits"]),
        "-" if ratio is None else f"{ratio:.1%}",
        *("-" if figures[name] is None else str(figures[name]) for name in counts),
    )
