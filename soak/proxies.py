"""A proxy under test: how it is started, what is measured of it, and what it must not do."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean

import yaml

from bench.processes import accepts, free_port, running
from soak.load import Clients
from soak.vitals import Vitals, vitals

MEMORY_BOUND = 1.05
"""How much more memory the last third of the load may take than the first."""

SPARE = 4
"""How many descriptors, sockets or tasks more there may be afterwards: pools fill up."""

COUNTED = ("descriptors", "sockets", "clients", "tasks")
"""What must not become more, of the vitals."""


@dataclass(frozen=True)
class Started:
    """A proxy that runs."""

    name: str
    pid: int
    port: int
    admin: str


@dataclass
class Soaked:
    """One proxy, its clients, and what was measured."""

    proxy: Started
    clients: Clients
    before: Vitals | None = None
    after: Vitals | None = None
    under_load: list[Vitals] = field(default_factory=list)

    async def vitals(self) -> Vitals:
        """Measure."""
        return await vitals(self.proxy.pid, self.proxy.port, self.proxy.admin)

    @property
    def memory(self) -> tuple[float, float]:
        """Bytes of memory under load, on average of the first third of the time and of the last."""
        third, memory = len(self.under_load) // 3, [each.memory for each in self.under_load]
        return mean(memory[:third]), mean(memory[-third:])

    def complaints(self) -> Iterator[str]:
        """Say what is not as it should be."""
        yield from (f"{self.proxy.name}: {count} x {fault}" for fault, count in self.clients.faults.items())
        first, last = self.memory
        if last > first * MEMORY_BOUND:
            yield f"{self.proxy.name}: memory grew by {last / first - 1:.1%} under steady load"
        for what in COUNTED:
            was, now = getattr(self.before, what), getattr(self.after, what)
            if now > was + SPARE:
                yield f"{self.proxy.name}: {now} {what}, {was} before"


@contextmanager
def started(name: str, store: dict[str, object], workers: int, tenants: dict[str, object]) -> Iterator[Started]:
    """Start a proxy of so many `workers`."""
    port, admin = free_port(), free_port()
    settings = {
        "secret": "a secret for the soak",
        "listen": f"127.0.0.1:{port}",
        "admin": {"listen": f"127.0.0.1:{admin}"},
        "workers": workers,
        "store": store,
        "tenants": tenants,
        "policies": {"issue": {"ttl": "30s", "stale_while_revalidate": "5s"}},
        "log": {"level": "error"},
    }
    with tempfile.TemporaryDirectory(prefix="jira-cache-soak-") as folder:
        file = Path(folder, "config.yaml")
        file.write_text(yaml.safe_dump(settings))
        command = [sys.executable, "-m", "proxy", "serve", "--config", str(file)]
        with running(command, ready=lambda: accepts(port) and accepts(admin)) as process:
            yield Started(name, process.pid, port, f"http://127.0.0.1:{admin}")
