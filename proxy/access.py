"""The access log: a line for each request that was answered, made cheaply, because hits are cheap.

Not by `logging`, whose records cost more than a hit does. Lines wait until the event loop has had its turn, so that one
write serves many.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, TextIO

import click
import orjson

from policies.cachestatus import HITS
from policies.decide import age_of
from policies.model import Why
from proxy.logs import coloured, for_people
from proxy.notes import Answered, Notes
from proxy.schema import Log

LOGGER = "jira_cache.access"

_HASHES = 1 << 32
_TOLD = frozenset({"debug", "info"})
_TROUBLE = 500
_AT_ONCE = 4096  # bytes; POSIX promises 512, Linux gives this, and lines are ASCII
_ORDER = ("tenant", "type", "caller", "age", "upstream_ms", "bytes", "request_id", "trace_id", "event", "outcome")


class Again:
    """An answer that is given again and again: what is told of it each time, but for when, how old and how fast.

    It was `stored` at a time (Unix).
    """

    __slots__ = ("answered", "line", "notes", "stored")

    def __init__(self, answered: Answered, notes: Notes, stored: float) -> None:
        self.answered = answered
        self.notes = notes
        self.stored = stored
        self.line: str | None = None


class AccessLog:
    """Writes the lines to `stream` (standard error), in the form and from the level that `settings` say.

    Of hits it writes `settings.sample_hits`, chosen by their key: those of some answers all, of the others none. So
    what became of an answer over time can be followed, and `jira-cache replay` can reckon with what was left out.
    """

    def __init__(self, settings: Log, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._told = settings.level in _TOLD
        self._sample = settings.sample_hits
        human = for_people(settings, self._stream)
        self._write = _Human(coloured(self._stream)) if human else _json
        self._lines: list[str] = []
        self._second = (0, "")

    def wants(self, why: Why, key: str | None) -> bool:
        """Tell whether a request is to have a line."""
        return self._told and (self._sample >= 1 or why not in HITS or sampled(key, self._sample))

    def tell(self, answered: Answered, notes: Notes, now: float) -> None:
        """Have a line written; `now` is Unix time."""
        if self.wants(answered.why, notes.key):
            self._add(self._write(self._line(answered, notes, now)))

    def repeat(self, again: Again, seconds: float, now: float) -> None:
        """Have a line written of an answer that was given `again` at `now`, in so many seconds."""
        age = age_of(again.stored, now)
        if self._write is not _json:
            self.tell(again.answered._replace(seconds=seconds), replace(again.notes, age=age), now)
            return
        if again.line is None:
            again.line = _template(self._line(again.answered, again.notes, now))
        self._add(again.line % (self._time(now), _milliseconds(seconds), round(age, 3)))

    def _line(self, answered: Answered, notes: Notes, now: float) -> dict[str, Any]:
        method, status, why, size, seconds = answered
        line = {
            "time": self._time(now),
            "level": "info",
            "logger": LOGGER,
            "message": f"{method} {notes.route} {status} {why.word}",
            "method": method,
            "route": notes.route,
            "tenant": notes.tenant,
            "type": notes.type,
            "why": why.word,
            "status": status,
            "ms": _milliseconds(seconds),
            "upstream_ms": None if notes.upstream is None else _milliseconds(notes.upstream),
            "points": notes.points,
            "bytes": size,
            "age": None if notes.age is None else round(notes.age, 3),
            "caller": notes.caller,
            "key": notes.key,
            "request_id": notes.request_id,
            "trace_id": notes.trace_id,
            **notes.extra,
        }
        if self._sample < 1 and notes.key is not None:
            line["sample"] = self._sample
        return line

    def flush(self) -> None:
        """Write what waits. A stream that is gone takes the lines with it, not the requests."""
        lines, self._lines = self._lines, []
        with suppress(OSError, ValueError):
            for piece in _pieces(lines):
                self._stream.write(piece)
                self._stream.flush()

    def _add(self, line: str) -> None:
        self._lines.append(line)
        if len(self._lines) == 1:
            asyncio.get_running_loop().call_soon(self.flush)

    def _time(self, now: float) -> str:
        second = int(now)
        if second != self._second[0]:
            self._second = (second, datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S"))
        return f"{self._second[1]}.{int((now - second) * 1000):03}+00:00"


def sampled(key: str | None, share: float) -> bool:
    """Tell whether the answers under `key`, a hash in hex, belong to a `share` (0 to 1) of all keys."""
    return key is not None and int(key[:8], 16) < share * _HASHES


def _pieces(lines: list[str]) -> Iterator[str]:
    """Join whole lines up to what a pipe takes at once, so that those of several processes do not get mixed."""
    piece = ""
    for line in lines:
        if piece and len(piece) + len(line) > _AT_ONCE:
            yield piece
            piece = ""
        piece += line
    yield piece


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 2)


def _json(line: dict[str, Any]) -> str:
    return orjson.dumps(line).decode() + "\n"


def _template(line: dict[str, Any]) -> str:
    """Write a line as `_json` does, with places (`%`) for its time, its milliseconds and the answer's age."""
    # No header has a control character in it, so none of these is anywhere else in the line.
    marked = _json({**line, "time": "\0time", "ms": "\0ms", "age": "\0age"}).replace("%", "%%")
    for mark, place in (("time", '"%s"'), ("ms", "%s"), ("age", "%s")):
        marked = marked.replace(rf'"\u0000{mark}"', place)
    return marked


class _Human:
    """The line for people; `colour` marks at a glance what came from the cache and what went wrong."""

    def __init__(self, colour: bool) -> None:
        self._paint: Callable[..., str] = click.style if colour else _plain

    def __call__(self, line: dict[str, Any]) -> str:
        time = datetime.fromisoformat(line["time"]).astimezone().strftime("%H:%M:%S")
        shown = " ".join(f"{name}={line[name]}" for name in _ORDER if line.get(name) is not None)
        word = self._paint(f"{line['status']} {line['why']}", fg=_colour(line["status"], line["why"]))
        return f"{time} {line['method']:6} {line['route']} {word} {line['ms']}ms {shown}\n"


_HIT_WORDS = frozenset(why.word for why in HITS)


def _colour(status: int, why: str) -> str | None:
    return "red" if status >= _TROUBLE else "green" if why in _HIT_WORDS else None


def _plain(text: str, **_style: Any) -> str:
    return text
