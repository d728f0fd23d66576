"""A Redis that is full, set up as deploy/compose.yaml has it."""

from pathlib import Path

import pytest
import redis
import yaml

from proxy.stores.redis import RedisStore, connect

COMPOSE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"


def policy() -> str:
    command = yaml.safe_load(COMPOSE.read_text())["services"]["store"]["command"]
    return command[command.index("--maxmemory-policy") + 1]


@pytest.fixture
async def new_store(redis_server, new_tenant):
    """Make stores of tenants of their own in one Redis."""
    client = connect(redis_server.url, timeout=10)
    yield lambda: RedisStore(client, new_tenant())
    await client.aclose()


async def test_a_redis_that_is_full_forgets_answers_and_never_a_ledger(new_store, redis_server, make_entry):
    quiet, busy = new_store(), new_store()
    before = [(await store.read("issue:PROJ-1:a")).fence for store in (quiet, busy)]
    body = b"x" * 20_000
    with redis.Redis.from_url(redis_server.url) as server:
        server.config_set("maxmemory-policy", policy())
        server.config_set("maxmemory", server.info("memory")["used_memory"] + 2 * 1024**2)
        for number in range(300):
            assert await busy.write(f"issue:PROJ-{number}:a", make_entry(body=body), before[1])
        assert server.info("stats")["evicted_keys"] > 100
    assert [(await store.read("issue:PROJ-1:a")).fence for store in (quiet, busy)] == before
