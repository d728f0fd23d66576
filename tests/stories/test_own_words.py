"""The words of the proxy's own endpoints, which probes, scripts and dashboards rely on."""

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

ISSUE = "/rest/api/2/issue/PROJ-1"
METRICS = {
    "jira_cache_requests_total": {"tenant", "type", "why"},
    "jira_cache_request_seconds_count": {"tenant", "why"},
    "jira_cache_upstream_requests_total": {"tenant", "status"},
    "jira_cache_upstream_seconds_count": {"tenant"},
    "jira_cache_invalidations_total": {"tenant", "source"},
    "jira_cache_entries": {"tenant"},
    "jira_cache_bytes": {"tenant"},
    "jira_cache_evictions_total": {"tenant"},
}


async def scraped(proxy):
    async with proxy.session.get(f"http://{proxy.running.admin}/metrics") as response:
        text = await response.text()
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


async def test_the_metrics_have_the_names_and_labels_that_are_promised(proxy, origin):
    origin.issue("PROJ-1", "old")
    await proxy.get(ISSUE)
    await proxy.request("PUT", ISSUE, json={"fields": {"summary": "new"}})
    labels = {sample.name: set(sample.labels) for sample in await scraped(proxy)}
    assert METRICS.items() <= labels.items()


async def test_what_the_store_failed_is_counted_by_operation(new_proxy, origin, redis_server):
    origin.issue("PROJ-1", "old")
    proxy = await new_proxy(store={"url": redis_server.url})
    redis_server.stop()
    assert (await proxy.get(ISSUE)).status == 200
    failed = [sample for sample in await scraped(proxy) if sample.name == "jira_cache_store_errors_total"]
    assert failed
    assert all(set(sample.labels) == {"operation"} and sample.value for sample in failed)


@pytest.mark.parametrize("prefix", ["/-", "/own"])
async def test_probes_are_answered_below_the_prefix(new_proxy, prefix):
    proxy = await new_proxy(prefix=prefix)
    live, ready = [await proxy.get(f"{prefix}/{probe}", user=None) for probe in ("live", "ready")]
    assert (live.status, live.json()) == (200, {"status": "live"})
    assert ready.status == 200
    assert ready.json() == {"status": "ready", "stores": "ok", "webhooks": "off", "upstreams": "ok"}


async def test_a_proxy_that_is_stopping_lives_and_is_not_ready(proxy):
    proxy.running.app.health.draining = True
    assert (await proxy.get("/-/live", user=None)).status == 200
    ready = await proxy.get("/-/ready", user=None)
    assert (ready.status, ready.json()["status"]) == (503, "draining")
    proxy.running.app.health.draining = False  # it is not, and has yet to be stopped


async def test_a_store_that_is_down_does_not_make_the_proxy_unready(new_proxy, redis_server):
    proxy = await new_proxy(store={"url": redis_server.url})
    redis_server.stop()
    await proxy.get(ISSUE)
    ready = await proxy.get("/-/ready", user=None)
    assert ready.status == 200
    assert ready.json()["stores"] != "ok"
    assert (await proxy.parts())["stores"]["default"]["state"] == ready.json()["stores"]


async def test_whose_parts_are_in_trouble_is_for_those_who_run_the_proxy(new_proxy, origin):
    fragile = {"upstream": origin.url, "governor": {"breaker_failures": 1, "retries": 0}}
    proxy = await new_proxy(tenants={name: fragile | {"path_prefix": f"/{name}"} for name in ("acme", "beta")})
    origin.on("GET", "/rest/api/2/field", lambda _: web.Response(status=503))
    await proxy.get("/acme/rest/api/2/field")
    ready = await proxy.get("/-/ready", user=None)
    assert ready.json() == {"status": "ready", "stores": "ok", "webhooks": "off", "upstreams": "down"}
    upstreams = (await proxy.parts())["upstreams"]
    assert {name: told["state"] for name, told in upstreams.items()} == {"acme": "down", "beta": "ok"}


async def test_there_is_nothing_else_below_the_prefix(proxy, origin):
    assert (await proxy.get("/-/other")).status == 404
    assert origin.calls() == 0
