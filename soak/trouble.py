"""A Redis that is killed and started again, again and again."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import redis

from bench.peers import program
from bench.processes import free_port

_EVERY, _AWAY = 10.0, 1.0  # seconds


class Redis:
    """The server; what it holds is gone with each restart."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.restarts = 0

    def start(self) -> None:
        """Start it, empty."""
        options = f"--port {self._port} --bind 127.0.0.1 --save '' --appendonly no --dir {self._folder}"
        command = [program("redis-server") or "redis-server", *options.replace("'", "").split(" ")]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)  # noqa: S603 - our own command

    def stop(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()

    async def trouble(self) -> None:
        """Restart it again and again; it is away for a while."""
        while True:
            await asyncio.sleep(_EVERY)
            self.stop()
            await asyncio.sleep(_AWAY)
            self.start()
            self.restarts += 1

    def claims(self) -> int:
        """Count the claims on trips that nobody gave up."""
        with redis.Redis.from_url(self.url) as client:
            return sum(1 for _ in client.scan_iter("*:claim:*", count=1000))


@contextmanager
def restarting() -> Iterator[Redis]:
    """Run one for as long as the context lasts; the trouble has still to be begun."""
    with tempfile.TemporaryDirectory(prefix="jira-cache-soak-") as folder:
        server = Redis(folder)
        server.start()
        try:
            yield server
        finally:
            server.stop()
