"""Where the microseconds of a hit go, by py-spy's samples of a server that is busy with hits and nothing else.

A sample counts for the innermost frame that is a system call or a line of Python; what C does for a line of Python
counts for that line's file.
"""

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import cycle
from pathlib import Path
from random import Random

from bench import peers, questions
from bench.client import Client
from bench.peers import Server
from bench.tables import Table

SECONDS, RATE, SHOWN, WARM = 2, 499, 14, 0.5  # the rate does not beat with what is done each quarter of a second
CALLS = ("read", "write", "recv", "send", "sendmsg", "writev", "epoll_wait", "epoll_pwait", "clock_gettime")
_PYTHON = re.compile(r".*\((.+\.py):\d+\)")
_C = re.compile(r"(\S+) \(([^:)]+)")


def measure() -> Iterator[Table]:
    """Profile requests that repeat to the byte, and a mix."""
    with ExitStack() as stack:
        folder, jira = stack.enter_context(peers.tmpfs()), stack.enter_context(peers.origin())
        server = stack.enter_context(peers.jira_cache(folder, jira))
        client = stack.enter_context(closing(Client(server.port, connections=16)))
        client.run(questions.everything("gzip"))
        mixed = cycle(questions.mix("gzip", Random(2), 200_000))
        yield _profile("the same to the byte", server, client, questions.repeats("gzip"), folder)
        yield _profile("a mix of URLs, callers and orders of headers", server, client, mixed, folder)


def _profile(what: str, server: Server, client: Client, asked: Iterator[bytes], folder: Path) -> Table:
    client.run(asked, WARM)
    began = server.process.cpu()
    ran = client.run(asked, WARM)
    cost = (server.process.cpu() - began) / ran.requests
    counted = _sampled(server, client, asked, folder / "samples")
    total = sum(counted.values())
    rows = [_row(name, samples / total, cost) for name, samples in counted.most_common(SHOWN)]
    rest = total - sum(samples for _, samples in counted.most_common(SHOWN))
    rows.append(_row("all else", rest / total, cost))
    kernel = cost * sum(counted[f"{call}()"] for call in CALLS) / total * 1e6
    note = f"{kernel:.1f} µs are the kernel's, to send these bytes; the other {cost * 1e6 - kernel:.1f} are ours."
    return Table(f"Where a hit's CPU goes: {what}", ("", "share", "µs"), [*rows, _row("together", 1, cost)], [note])


def _row(name: str, share: float, cost: float) -> tuple[str, ...]:
    return name, f"{share:.0%}", f"{share * cost * 1e6:.1f}"


def _sampled(server: Server, client: Client, asked: Iterator[bytes], file: Path) -> Counter[str]:
    """Count samples by where they fell. RuntimeError where py-spy is missing or may not look."""
    spy = Path(sys.executable).with_name("py-spy")
    if not spy.exists():
        raise RuntimeError("py-spy is not installed")
    options = ["--duration", str(SECONDS), "--rate", str(RATE), "--format", "raw", "--native", "--output", str(file)]
    sampling = subprocess.Popen(  # noqa: S603 - a program of our own environment
        [str(spy), "record", "--pid", str(server.process.pid), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while sampling.poll() is None:
        client.run(asked, WARM)
    if sampling.returncode:
        raise RuntimeError("py-spy could not look into the process; it needs the right to trace it")
    counted: Counter[str] = Counter()
    for line in file.read_text().splitlines():
        stack, _, samples = line.rpartition(" ")
        counted[_place(stack.split(";"))] += int(samples)
    return counted


def _place(stack: list[str]) -> str:
    """Name where a sample fell, innermost frame last."""
    innermost = _C.match(stack[-1])
    if innermost and innermost[1] in CALLS:
        return f"{innermost[1]}()"
    for frame in reversed(stack):
        if found := _PYTHON.match(frame):
            return found[1]
    return innermost[2] if innermost else "unknown"
