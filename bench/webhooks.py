"""How long a webhook takes until it is acknowledged, at 10,000 live searches.

Signed, over a socket of this machine, the memory store; the client's own share is in the figures. The aim is a p99 of
10 ms. The searches are about a hundred projects; each event is an issue of one of them that changes its status.
"""

import asyncio
import hashlib
import hmac
import json
import statistics
import time
from collections.abc import Iterator

import aiohttp

from bench.precision import LABELS, STATUSES
from bench.tables import Table
from policies.model import Live
from proxy import server
from proxy.schema import Config

SEARCHES, PROJECTS, EVENTS = 10_000, 100, 1000
SECRET = "of the benchmark"  # noqa: S105 - signs only what is made up here
HOUR = 3600.0


def settings() -> Config:
    """Configure a proxy that never asks Jira anything."""
    return Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "admin": {"listen": "127.0.0.1:0"},
            "secret": "a secret of the benchmark's own",
            "tenants": {"default": {"upstream": "http://127.0.0.1:9", "webhook_secret": SECRET}},
        }
    )


def query(number: int) -> str:
    """Make up a search of one of the projects."""
    wanted = f"status = '{STATUSES[number % 4]}' AND labels = {LABELS[number % 3]} AND summary ~ word{number}"
    return f"project = P{number % PROJECTS} AND {wanted}"


def event(number: int) -> bytes:
    """Write the webhook of an issue that was started, with as many fields as a real one has."""
    project = {"id": str(number % PROJECTS), "key": f"P{number % PROJECTS}", "name": f"Project {number % PROJECTS}"}
    status = {"id": "1", "name": STATUSES[1]}
    fields = {"project": project, "status": status, "labels": [LABELS[0]], "description": "words " * 200}
    fields |= {f"customfield_{10_000 + at}": None for at in range(80)}
    issue = {"id": str(20_000 + number), "key": f"P{number % PROJECTS}-{number}", "fields": fields}
    started = {"field": "status", "fieldId": "status", "from": "0", "fromString": STATUSES[0], "to": "1"}
    items = [started | {"toString": STATUSES[1]}]
    said = {"webhookEvent": "jira:issue_updated", "issue": issue, "changelog": {"items": items}}
    return json.dumps(said).encode()


async def deliver(client: aiohttp.ClientSession, url: str, number: int) -> float:
    """Deliver one webhook; return the milliseconds until it was acknowledged."""
    body = event(number)
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {"X-Hub-Signature": f"sha256={digest}", "X-Atlassian-Webhook-Identifier": f"delivery-{number}"}
    began = time.perf_counter()
    async with client.post(url, data=body, headers=headers) as answer:
        await answer.read()
        answer.raise_for_status()
    return (time.perf_counter() - began) * 1000


async def deliveries() -> list[float]:
    """Make searches live, then deliver webhooks one after another; tell of each how long it took, in milliseconds."""
    running = await server.start(settings(), {})
    store = running.app.stores["default"]
    for number in range(SEARCHES):
        await store.read(f"search:{number}", Live(f"search:{number}", query(number), HOUR))
    url = f"http://{running.address}/-/webhooks/default"
    async with aiohttp.ClientSession() as client:
        # The first finds all queries live, as if others had asked them; they are read while the next ones come.
        took = [await deliver(client, url, number) for number in (EVENTS, *range(EVENTS))]
    await running.stop()
    return took


def measure() -> Iterator[Table]:
    """Tell the distribution."""
    first, *took = asyncio.run(deliveries())
    percentiles = statistics.quantiles(took, n=100)
    rows = [(f"{EVENTS:,} webhooks", f"{percentiles[49]:.2f}", f"{percentiles[98]:.2f}", f"{first:.1f}")]
    columns = ("", "p50, ms", "p99, ms", "the first, to which all queries are new, ms")
    yield Table(f"Webhooks: until acknowledged, at {SEARCHES:,} live searches", columns, rows)
