"""How many requests of a trace policies answer from the cache: `jira-cache replay` over the trace of bench.trace."""

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from bench import trace
from bench.tables import Table
from proxy.schema import Config
from proxy.whatif.figures import together
from proxy.whatif.replay import Replay
from proxy.whatif.trace import Trace

_MINUTE = {name: {"ttl": "1m"} for name in ("issue", "search", "board", "field", "metadata", "user")}
_TRUSTED = {name: {"ttl_with_webhooks": "24h"} for name in ("issue", "search", "board")}
POLICIES: Mapping[str, tuple[Mapping[str, Any], bool]] = {
    "as shipped": ({}, False),
    "a minute for everything": (_MINUTE, False),
    "a day while webhooks are proven to announce all": (_TRUSTED, True),
}
"""What is compared: `policies` sections, and whether webhooks announce every change."""


def measure() -> Iterator[Table]:
    """Replay the trace against each."""
    requests = list(Trace(map(orjson.dumps, trace.lines())))
    rows = []
    for name, (policies, webhooks) in POLICIES.items():
        replay = Replay(Config.model_validate({"policies": policies}).law(), webhooks=webhooks)
        for asked in requests:
            replay.feed(asked)
        told = together(replay.figures.values()).told()
        searches = replay.figures["search"].told()
        rows.append(
            (
                name,
                f"{told['hit_ratio']:.1%}",
                f"{replay.figures['issue'].told()['hit_ratio']:.1%}",
                f"{searches['hit_ratio']:.1%}",
                f"{told['upstream_calls']:,}",
                f"{told['saved_points']:,}",
                f"{told['saved_seconds']:,.0f}",
            )
        )
    columns = ("", "hit ratio", "of issues", "of searches", "calls to Jira", "points saved", "seconds saved")
    title = f"Replay: {len(requests):,} requests of {trace.CALLERS} callers in {trace.HOURS} hours, made up"
    yield Table(title, columns, rows)
