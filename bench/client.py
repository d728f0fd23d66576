"""The load: requests made of bytes beforehand, sent over raw sockets, so that asking costs less than answering.

It runs in the benchmark's own process. Nothing of it is in the CPU figures, which are the servers' own.
"""

import re
import select
import socket
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_LARGEST = 64 * 1024  # bytes of an answer, head and body
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_END = b"\r\n\r\n"


@dataclass(frozen=True)
class Ran:
    """How a load went: how many requests were answered, in how many seconds."""

    requests: int
    seconds: float


class _Connection:
    """A connection, and what has come of the answer that is under way."""

    __slots__ = ("heard", "length", "sent", "socket", "view")

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.heard = bytearray(_LARGEST)
        self.view = memoryview(self.heard)
        self.length = 0  # of what has come
        self.sent = 0.0

    def ask(self, request: bytes) -> None:
        """Send a request; the answer to the last one has come."""
        self.length = 0
        self.sent = time.perf_counter()
        self.socket.sendall(request)

    def hear(self) -> None:
        """Read what is there, or wait for something."""
        came = self.socket.recv_into(self.view[self.length :])
        if not came:
            raise RuntimeError("the server closed the connection")
        self.length += came


class Client:
    """So many `connections`, dealt out over `ports`. Raises RuntimeError for an answer that is not 200."""

    def __init__(self, *ports: int, connections: int) -> None:
        self._length_is = b""
        self._poll = select.epoll()
        self._connections: dict[int, _Connection] = {}
        for number in range(connections):
            connection = _Connection(ports[number % len(ports)])
            self._connections[connection.socket.fileno()] = connection
            self._poll.register(connection.socket, select.EPOLLIN)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections.values():
            connection.socket.close()
        self._poll.close()

    def run(self, requests: Iterator[bytes], seconds: float = float("inf")) -> Ran:
        """Keep all connections busy until the time is over or the requests are, and wait for the last answers."""
        began = time.perf_counter()
        until, answered, busy = began + seconds, 0, 0
        for connection, request in zip(self._connections.values(), requests, strict=False):
            connection.ask(request)
            busy += 1
        while busy:
            going_on = time.perf_counter() < until
            for connection in self._answered():
                answered += 1
                if going_on and (request := next(requests, None)):
                    connection.ask(request)
                else:
                    busy -= 1
        return Ran(answered, time.perf_counter() - began)

    def waits(self, requests: Iterable[bytes]) -> list[float]:
        """Ask one after the other on one connection; return the seconds that each took."""
        return [-self._exchange(request).sent + time.perf_counter() for request in requests]

    def body(self, request: bytes) -> bytes:
        """Ask once; return the body as it came."""
        connection = self._exchange(request)
        return bytes(connection.view[: connection.length]).partition(_END)[2]

    def herd(self, request: bytes) -> list[float]:
        """Ask the same on all connections at once; return the seconds that each waited."""
        for connection in self._connections.values():
            connection.ask(request)
        waited: list[float] = []
        while len(waited) < len(self._connections):
            waited += [time.perf_counter() - connection.sent for connection in self._answered()]
        return waited

    def _exchange(self, request: bytes) -> _Connection:
        connection = next(iter(self._connections.values()))
        connection.ask(request)
        while not self._is_whole(connection):
            connection.hear()
        return connection

    def _answered(self) -> Iterator[_Connection]:
        """Read what has come; find the connections whose answer is complete with it."""
        for number, _ in self._poll.poll():
            connection = self._connections[number]
            connection.hear()
            if self._is_whole(connection):
                yield connection

    def _is_whole(self, connection: _Connection) -> bool:
        heard, end = connection.heard, connection.length
        head = heard.find(_END, 0, end)
        if head < 0:
            return False
        if not heard.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(f"the server answered {bytes(heard[:200])!r}")
        at = heard.find(self._length_is or self._spelling(heard)) + len(self._length_is)
        return end - head - len(_END) == int(heard[at : heard.index(b"\r", at)])

    def _spelling(self, heard: bytearray) -> bytes:
        """Learn how this server spells Content-Length: a plain look for that is cheaper than a pattern."""
        found = _LENGTH.search(heard)
        if found is None:
            raise RuntimeError("the server does not tell the length of its answer")
        self._length_is = bytes(found[0][: -len(found[1])])
        return self._length_is
