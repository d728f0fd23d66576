"""`python -m soak [SECONDS]`: two proxies under load, one with the memory store, one with Redis and two workers.

Each is warmed up, left in peace for a moment, measured, loaded for the rest of the time, left in peace, and measured
again. What has grown in between by more than it may, and every request that the proxy itself failed, ends this with
exit code 1. A whole run that ends well writes its figures to docs/reliability.md.
"""

import asyncio
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import machine
from bench.tables import Table
from soak.jira import Jira
from soak.load import Clients
from soak.proxies import COUNTED, Soaked, started
from soak.trouble import restarting

WHOLE = 420.0
"""Seconds of a whole run: a fast machine fills what is bounded for two minutes and more, and that is no leak."""

PAGE = Path(__file__).parent.parent / "docs" / "reliability.md"
PLACE = re.compile(r"(?<=<!-- written by make soak -->\n).*?(?=<!-- end -->)", re.DOTALL)

_CLIENTS, _WARM, _CALM, _SAMPLES, _LAG = 12, 0.3, 4.0, 2.0, 1.5


@dataclass(frozen=True)
class Soak:
    """Both proxies, and what befell them."""

    soaked: list[Soaked]
    restarts: int
    claims: int
    calls: int

    def complaints(self) -> Iterator[str]:
        """Say what is not as it should be."""
        for each in self.soaked:
            yield from each.complaints()
        if self.claims:
            yield f"Redis: {self.claims} claims on trips that nobody gave up"


async def soak(seconds: float) -> Soak:
    """Do it all."""
    jira, draw = Jira(random.Random(1)), random.Random(2)
    async with AsyncExitStack() as stack:
        stack.push_async_callback((await jira.listen()).cleanup)
        store = stack.enter_context(restarting())
        tenants = {"default": {"upstream": jira.url}}
        shared = {"url": store.url, "max_bytes": "8MiB", "max_connections": 6}
        proxies = (
            (started("memory", {"url": "memory://", "max_bytes": "8MiB"}, 1, tenants), 0.0),
            (started("Redis, 2 workers", shared, 2, tenants), _LAG),
        )
        soaked = []
        for context, lag in proxies:
            proxy = stack.enter_context(context)
            soaked.append(Soaked(proxy, Clients(f"http://127.0.0.1:{proxy.port}", jira, draw, lag)))
        await _load(soaked, seconds * _WARM, searches=60)
        for each in soaked:
            each.before = await each.vitals()
        trouble = asyncio.create_task(store.trouble())
        await _load(soaked, seconds * (1 - _WARM), watched=True)
        trouble.cancel()
        for each in soaked:
            each.after = await each.vitals()
        return Soak(soaked, store.restarts, store.claims(), jira.calls)
    raise AssertionError("unreachable: the stack never swallows an exception")


async def _load(soaked: list[Soaked], seconds: float, *, searches: int = 6, watched: bool = False) -> None:
    """Load all proxies at once, and leave them in peace for the last seconds."""
    loading = [asyncio.create_task(each.clients.keep_asking(seconds - _CALM, _CLIENTS, searches)) for each in soaked]
    while watched and not any(task.done() for task in loading):
        await asyncio.wait(loading, timeout=_SAMPLES)
        for each in soaked:
            each.under_load.append(await each.vitals())
    await asyncio.gather(*loading)
    await asyncio.sleep(_CALM)


def table(soak: Soak, seconds: float) -> Table:
    """Show what was measured."""
    soaked = soak.soaked
    rows = [
        ("deeds of clients", *(f"{sum(each.clients.done.values()):,}" for each in soaked)),
        ("of them writes and webhooks", *(f"{_some(each, 'write', 'announce'):,}" for each in soaked)),
        ("of them clients that left", *(f"{_some(each, 'leave', 'leave in the middle'):,}" for each in soaked)),
        ("hits", *(f"{each.clients.hits:,}" for each in soaked)),
        ("failed by the proxy, or untrue", *(f"{sum(each.clients.faults.values())}" for each in soaked)),
        ("memory under load, MiB, first third / last", *(_mebibytes(each) for each in soaked)),
    ]
    for what in COUNTED:
        pairs = ((getattr(each.before, what), getattr(each.after, what)) for each in soaked)
        rows.append((f"{what}, before and after", *(f"{was} / {now}" for was, now in pairs)))
    troubles = f"Redis was killed {soak.restarts} times; afterwards it held {soak.claims} claims on trips."
    notes = [troubles, f"Jira was asked {soak.calls:,} times."]
    return Table(f"A soak of {seconds:.0f} s", ("", *(each.proxy.name for each in soaked)), rows, notes)


def _some(each: Soaked, *deeds: str) -> int:
    return sum(each.clients.done[deed] for deed in deeds)


def _mebibytes(each: Soaked) -> str:
    return " / ".join(f"{memory / 1024**2:.1f}" for memory in each.memory)


def main() -> int:
    """Run it. Returns the exit code."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else WHOLE
    about = machine.described()
    print(*about, sep="\n")
    began = time.monotonic()
    soaked = asyncio.run(soak(seconds))
    figures = table(soaked, time.monotonic() - began)
    complaints = list(soaked.complaints())
    print(figures.text(), *complaints, sep="\n")
    if len(sys.argv) == 1 and not complaints:
        note(about, figures)
    return 1 if complaints else 0


def note(about: list[str], figures: Table) -> None:
    """Write the figures to their place in docs/reliability.md."""
    told = "\n".join([f"#{figures.markdown()}", *(f"- {line}" for line in about[:2]), "", ""])
    PAGE.write_text(PLACE.sub(lambda _: told, PAGE.read_text()))


if __name__ == "__main__":
    sys.exit(main())
