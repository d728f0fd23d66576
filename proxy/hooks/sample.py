"""A delivery like one of Jira's, to see whether the proxy at its public address takes it and refuses a forged one."""

import asyncio
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from proxy.errors import ConfigError, UpstreamError
from proxy.upstream import Upstream

_LARGEST = 64 * 1024
_TOTAL = 20.0  # as long as Jira waits
_UNAUTHORIZED = 401


@dataclass(frozen=True, slots=True)
class Tested:
    """How it went: the proxy's word, milliseconds until it came, and whether an unsigned delivery is refused."""

    outcome: str
    ms: float
    unsigned_refused: bool


async def test(proxy: Upstream, url: str, secret: str | None) -> Tested:
    """Deliver a sample to `url`. ConfigError, in one line, unless it was applied and, repeated, known as a duplicate.

    It announces a filter that is not there, so that no answer but lists of filters is asked for anew.
    """
    body = orjson.dumps({"timestamp": int(time.time() * 1000), "webhookEvent": "filter_created", "filter": {"id": "0"}})
    signed = _headers(uuid4().hex) | _signature(secret, body)
    began = time.perf_counter()
    status, outcome = await _deliver(proxy, url, signed, body)
    seconds = time.perf_counter() - began
    if outcome != "applied":
        raise ConfigError(f"{url}: {_HINTS.get(outcome, f'is not a jira-cache (it answers {status})')}")
    _, again = await _deliver(proxy, url, signed, body)
    if again != "duplicate":
        raise ConfigError(f"{url}: a delivery that comes twice is not known again ({again}); is the store down?")
    unsigned, _ = await _deliver(proxy, url, _headers(uuid4().hex), body)
    return Tested(outcome, round(seconds * 1000, 1), unsigned == _UNAUTHORIZED)


_HINTS = {
    "bad-signature": "refuses the signature: it has another webhook_secret than this configuration",
    "unknown-tenant": "has no tenant of this name",
    "not-recorded": "cannot record changes now: its store is down",
    "not-posted": "got something else than a POST: is there a redirect in between?",
}


async def _deliver(proxy: Upstream, url: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(_TOTAL):
            reply = await proxy.send("POST", parts.path, headers.items(), body)
            try:
                said, _ = await reply.read(_LARGEST)
            finally:
                reply.close()
    except (UpstreamError, TimeoutError) as error:
        timeout = isinstance(error, TimeoutError) or error.timeout
        raise ConfigError(f"{url}: {'does not answer in time' if timeout else 'cannot be reached'}") from error
    return reply.status, _word(said)


def _word(said: bytes) -> str:
    try:
        told: Any = orjson.loads(said)
    except orjson.JSONDecodeError:
        return ""
    return str(told.get("status", "")) if isinstance(told, dict) else ""


def _headers(identifier: str) -> dict[str, str]:
    return {"Content-Type": "application/json", "X-Atlassian-Webhook-Identifier": identifier}


def _signature(secret: str | None, body: bytes) -> dict[str, str]:
    if secret is None:
        return {}
    return {"X-Hub-Signature": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"}
