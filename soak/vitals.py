"""How a proxy does, as the kernel and the proxy itself tell: memory, descriptors, sockets, tasks."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import aiohttp

_TASKS = re.compile(r"^jira_cache_tasks (\S+)$", re.MULTILINE)
_SOCKET = re.compile(r"socket:\[(\d+)\]")
_LISTENING = "0A"


@dataclass(frozen=True)
class Vitals:
    """Of all processes of a proxy together. `sockets` are connections, `clients` those that came to the listener."""

    memory: int
    descriptors: int
    sockets: int
    clients: int
    tasks: int


async def vitals(pid: int, port: int, admin: str) -> Vitals:
    """Take them of a proxy that listens on `port`."""
    async with aiohttp.ClientSession() as session, session.get(f"{admin}/metrics") as response:
        told = _TASKS.search(await response.text())
    descriptors, memory, sockets = 0, 0, []
    for each in family(pid):
        opened = [str(link) for link in _links(each)]
        descriptors += len(opened)
        sockets += _connections(each, opened)
        memory += _resident(each)
    clients = sum(local == port for local in sockets)
    return Vitals(memory, descriptors, len(sockets), clients, int(float(told[1])) if told else -1)


def family(pid: int) -> Iterator[int]:
    """List a process and all its children."""
    found = [pid]
    while found:
        yield (one := found.pop())
        with suppress(OSError):
            found += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())


def _links(pid: int) -> Iterator[Path]:
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            yield descriptor.readlink()


def _connections(pid: int, opened: list[str]) -> Iterator[int]:
    """List the local port of each connection."""
    inodes = {found[1] for link in opened if (found := _SOCKET.fullmatch(link))}
    rows = (line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:])
    return (int(row[1].partition(":")[2], 16) for row in rows if row[9] in inodes and row[3] != _LISTENING)


def _resident(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))
