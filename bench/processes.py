"""Servers as processes of their own: started, found ready, weighed by the kernel's own counts, and ended.

CPU time comes from /proc/PID/task/*/schedstat (nanoseconds on a core, all threads and children), memory from
/proc/PID/status, so that nothing of the measuring is in the figures. Linux only.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile

STARTS_WITHIN, ENDS_WITHIN = 60.0, 10.0
_LOOK_EVERY = 0.02


class Process:
    """A running server and its children. With a `nice` above 0 others come first on the cores that it shares."""

    def __init__(
        self, command: Sequence[str], *, core: int | None, environ: Mapping[str, str] | None = None, nice: int = 0
    ) -> None:
        self._said = TemporaryFile()  # noqa: SIM115 - lives as long as the process
        self._running = subprocess.Popen(  # noqa: S603 - commands of our own
            command, env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self._said
        )
        pin(self.pid, core)
        os.setpriority(os.PRIO_PROCESS, self.pid, os.getpriority(os.PRIO_PROCESS, 0) + nice)

    @property
    def pid(self) -> int:
        """The process that was started."""
        return self._running.pid

    def cpu(self) -> float:
        """Seconds of CPU that all threads of all processes have used so far."""
        nanoseconds = 0
        for pid in self._family():
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):  # a thread may end while we read
                    nanoseconds += int((thread / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def memory(self) -> int:
        """Bytes of memory that the processes hold (resident)."""
        lines = (line for pid in self._family() for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Return when `ready` says so; RuntimeError if the process ends, or it takes longer than STARTS_WITHIN."""
        until = time.monotonic() + STARTS_WITHIN
        while not ready():
            if self._running.poll() is not None or time.monotonic() > until:
                self._said.seek(0)
                raise RuntimeError(f"{self._running.args!r} did not start: {self._said.read().decode()[-500:]}")
            time.sleep(_LOOK_EVERY)

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        self._running.terminate()
        try:
            self._running.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._said.close()

    def _family(self) -> Iterator[int]:
        found = [self.pid]
        while found:
            yield (pid := found.pop())
            with suppress(OSError):
                found += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())


@contextmanager
def running(
    command: Sequence[str],
    *,
    ready: Callable[[], bool],
    core: int | None = None,
    environ: Mapping[str, str] | None = None,
    nice: int = 0,
) -> Iterator[Process]:
    """Run a server for as long as the context lasts, on one core if that is given."""
    process = Process(command, core=core, environ=environ, nice=nice)
    try:
        process.wait_until(ready)
        yield process
    finally:
        process.stop()


def pin(pid: int, core: int | None) -> None:
    """Keep a process (0: this one) to one core, as far as there are so many; None: to any."""
    cores = range(os.cpu_count() or 1)
    os.sched_setaffinity(pid, cores if core is None else {core % len(cores)})


def free_port() -> int:
    """Find a free port of five digits: where a server listens then never changes the length of what it says."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port >= 10_000:  # noqa: PLR2004 - five digits
            return port


def accepts(port: int) -> bool:
    """Tell whether somebody listens there."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
