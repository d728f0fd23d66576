"""Answers that were kept by other rules are not trusted: they may lack tags that changes hit now."""

import pytest
import yaml

from proxy import server
from proxy.config import read
from proxy.rules import edition

pytestmark = pytest.mark.usefixtures("both_ways")

ISSUE = "/rest/api/2/issue/PROJ-1"
ROW = {"match": "GET /rest/of-an-app/1.0/thing/{thing}", "type": "metadata", "tags": ["thing:{thing}"]}


async def test_a_reload_with_other_rules_makes_everything_old(stack, session, origin, tmp_path):
    file = tmp_path / "config.yaml"
    given = {"secret": "a secret of the tests' own", "listen": "127.0.0.1:0", "admin": {"listen": "127.0.0.1:0"}}
    given["tenants"] = {"default": {"upstream": origin.url}}
    file.write_text(yaml.safe_dump(given))
    config = read(file, {})
    running = await server.start(config, {})
    stack.push_async_callback(running.stop)
    await running.app.adopt(edition(config))
    origin.issue("PROJ-1", "kept by the first rules")

    async def why() -> str:
        async with session.get(f"http://{running.address}{ISSUE}", auth=None, headers=ALICE) as response:
            return response.headers["Cache-Status"].rpartition("detail=")[2]

    assert [await why(), await why()] == ["miss", "fresh"]
    await running.reload()
    assert await why() == "fresh"  # the same rules
    file.write_text(yaml.safe_dump(given | {"routes": [ROW]}))
    await running.reload()
    assert [await why(), await why()] == ["invalidated", "fresh"]


async def test_a_start_by_other_rules_over_the_same_redis_makes_everything_old(new_proxy, origin, redis_url, tenant):
    settings = {"store": {"url": redis_url}, "tenants": {tenant: {"upstream": origin.url}}}
    origin.issue("PROJ-1", "kept by the first rules")
    first = await new_proxy(**settings)
    await first.running.app.adopt(edition(first.running.app.config))
    await first.get(ISSUE)
    same = await new_proxy(**settings)
    await same.running.app.adopt(edition(same.running.app.config))
    assert (await same.get(ISSUE)).why == "fresh"
    other = await new_proxy(**settings, routes=[ROW])
    await other.running.app.adopt(edition(other.running.app.config))
    assert (await other.get(ISSUE)).why == "invalidated"


ALICE = {"Authorization": "Basic YWxpY2U6c2VzYW1l"}
