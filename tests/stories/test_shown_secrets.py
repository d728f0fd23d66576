"""Whatever goes wrong, nothing that the proxy shows tells a secret: no log, metric, explanation or error."""

import logging

import pytest
from aiohttp import web

from proxy import logs

ISSUE = "/rest/api/2/issue/PROJ-1"
WEBHOOK, TOKEN = "the webhooks' own secret", "the admin's own token"
BASIC = "YWxpY2U6c2VzYW1l"  # alice:sesame
TOLD = (
    *("sesame", BASIC, "verysecretsession", "hunter2", "wr0ngpassword"),
    WEBHOOK,
    TOKEN,
    "a secret of the tests' own",
)
TOLD_TO_ADMIN = {"Authorization": f"Bearer {TOKEN}"}


class Ear(logging.Handler):
    """Keeps what the proxy's own log would write of every record of every library."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.Json())
        self.addFilter(logs.WithoutQuotes())
        self.written = []

    def emit(self, record):
        self.written.append(self.format(record))


@pytest.fixture
def ear():
    ear = Ear()
    logging.getLogger().addHandler(ear)
    yield ear
    logging.getLogger().removeHandler(ear)


@pytest.fixture
async def guarded(new_proxy, origin, ear):
    origin.issue("PROJ-1", "one")
    repair = {"credential": "alice:sesame", "interval": "1h"}
    return await new_proxy(
        store={"url": "redis://default:hunter2@127.0.0.1:1/0"},  # nobody answers there
        admin={"listen": "127.0.0.1:0", "token": TOKEN},
        tenants={"default": {"upstream": origin.url, "webhook_secret": WEBHOOK, "repair": repair}},
    )


MALFORMED = (
    f"GET {ISSUE} HTTP/1.1\r\nHost: x\r\nAuthorization Basic {BASIC}\r\n\r\n",
    f"GET {ISSUE} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {BASIC}\x00\r\n\r\n",
    f"GET {ISSUE} HTTP/1.1\r\nHost: x\r\nCookie: JSESSIONID=verysecretsession\r\n folded\r\n\r\n",
    f"GET {ISSUE}?os_password=sesame HTTP/9.9\r\nHost: x\r\n\r\n",
    f"Authorization: Basic {BASIC}\r\n\r\n",
    f"POST {ISSUE} HTTP/1.1\r\nHost: x\r\nAuthorization: Basic {BASIC}\r\nContent-Length: sesame\r\n\r\n",
)


def break_off(asked):
    asked.transport.abort()
    return web.Response()


async def trouble(proxy, origin, raw, session):
    """Have everything go wrong in which a secret has a part; returns the bodies of the answers."""
    said = [(await proxy.get(ISSUE)).body, (await proxy.get(ISSUE, password="wr0ngpassword")).body]
    said.append((await proxy.get(f"{ISSUE}?os_username=alice&os_password=sesame", None)).body)
    said.append((await proxy.get(ISSUE, None, headers={"Cookie": "JSESSIONID=verysecretsession"})).body)
    said += [await raw(proxy.url, line.encode()) for line in MALFORMED]
    signed = {"X-Hub-Signature": f"sha256={WEBHOOK}"}
    said.append((await proxy.request("POST", "/-/webhooks/default", None, data=b"{", headers=signed)).body)
    admin = f"http://{proxy.running.admin}"
    for headers in ({"Authorization": f"Bearer x{TOKEN}"}, {"Cookie": f"jira_cache_session={TOKEN}"}):
        async with session.get(f"{admin}/api/stats", headers=headers) as answer:
            assert answer.status in {401, 503}
            said.append(await answer.read())
    origin.on("GET", ISSUE, break_off)
    said.append((await proxy.get(ISSUE)).body)
    return said


async def shown(proxy, session):
    """All that can be looked at from outside or inside."""
    said = [(await proxy.get("/-/ready", None)).body, repr(proxy.running.app.config).encode()]
    admin = f"http://{proxy.running.admin}"
    for path in ("/metrics", "/api/stats", f"/api/explain?method=GET&path={ISSUE}&caller=anonymous", "/"):
        async with session.get(admin + path, headers=TOLD_TO_ADMIN) as answer:
            assert answer.status == 200, path
            said.append(await answer.read())
    return said


async def test_no_secret_is_shown_anywhere(guarded, origin, raw, session, ear, capfd):
    everything = b"\n".join([*await trouble(guarded, origin, raw, session), *await shown(guarded, session)])
    written = "\n".join(ear.written) + capfd.readouterr().err
    assert [secret for secret in TOLD if secret.encode() in everything] == []
    assert [secret for secret in TOLD if secret in written] == []
    assert "the store failed" in written  # it was listened to
