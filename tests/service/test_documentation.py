"""Every example of docs/library.md, with Redis and without."""

import re
from pathlib import Path

import pytest

from proxy.service import CacheService, close_redis_client

PAGE = Path(__file__).resolve().parents[2] / "docs" / "library.md"
BLOCK = re.compile(r"^```python( redis)?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def examples():
    text = PAGE.read_text("utf-8")
    for block in BLOCK.finditer(text):
        heading = re.findall(r"^#+ (.*)$", text[: block.start()], re.MULTILINE)[-1]
        yield heading, bool(block[1]), block[2]


EXAMPLES = list(examples())


def test_the_page_has_all_it_promises():
    headings = PAGE.read_text("utf-8").lower()
    assert len(EXAMPLES) >= 12
    for topic in ("quick start", "batches", "pipelines", "counters", "ttls", "tags", "tenants", "errors"):
        assert re.search(rf"^##+ .*{topic}", headings, re.MULTILINE), topic


@pytest.mark.parametrize("where", ["memory", "redis"])
@pytest.mark.parametrize(("needs_redis", "code"), [one[1:] for one in EXAMPLES], ids=[one[0] for one in EXAMPLES])
def test_an_example_does_what_it_says(request, monkeypatch, tenant, where, needs_redis, code):
    if needs_redis and where == "memory":
        pytest.skip("this example is about Redis itself")
    monkeypatch.setenv("REDIS_URL", "memory://" if where == "memory" else request.getfixturevalue("redis_url"))
    exec(compile(code.replace("tenant:acme", f"tenant:{tenant}"), str(PAGE), "exec"), {"__name__": "example"})
    CacheService(namespace=f"tenant:{tenant}").clear_namespace()
    close_redis_client()
