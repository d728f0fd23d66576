"""What is written down: one JSON object a line for machines, one readable line for people.

What a record carries in `extra` becomes a field of its own. Credentials never do, whoever passes them.
"""

import logging
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any, TextIO

import click
import orjson
from aiohttp.http_exceptions import HttpProcessingError

from proxy.schema import Log

HIDDEN = "(hidden)"

log = logging.getLogger(__name__)

_SENSITIVE = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-atlassian-token", "password", "token", "secret"}
)
_COLOURS = {logging.WARNING: "yellow", logging.ERROR: "red", logging.CRITICAL: "red"}
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


def start(settings: Log, stream: TextIO | None = None) -> None:
    """Send all records of this process to `stream` (standard error), in the form that the settings ask for."""
    stream = stream or sys.stderr
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Human(coloured(stream)) if for_people(settings, stream) else Json())
    logging.basicConfig(level=settings.level.upper(), handlers=[handler], force=True)
    _quieten_aiohttp()


def for_people(settings: Log, stream: TextIO) -> bool:
    """Tell whether `stream` is to get lines that people read."""
    return settings.format == "human" or (settings.format == "auto" and stream.isatty())


def coloured(stream: TextIO) -> bool:
    """Tell whether somebody watches `stream` who has not asked for no colours (https://no-color.org)."""
    return stream.isatty() and not os.environ.get("NO_COLOR")


def _quieten_aiohttp() -> None:
    """Its access log repeats ours, and its parser's errors quote the bytes they stumbled on: perhaps a credential."""
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    server = logging.getLogger("aiohttp.server")
    if not any(isinstance(known, WithoutQuotes) for known in server.filters):
        server.addFilter(WithoutQuotes())


class WithoutQuotes(logging.Filter):
    """Reduces a request that could not be parsed to the name of the mistake."""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, HttpProcessingError):
            record.msg, record.args = "a request could not be read: %s", (type(error).__name__,)
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True


class Json(logging.Formatter):
    """One JSON object a line: time, level, logger, message, what `extra` held, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **dict(_fields(record)),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return orjson.dumps(line, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


class Human(logging.Formatter):
    """Time, level, message and fields, for a terminal. With `colour`, warnings and errors catch the eye."""

    def __init__(self, colour: bool = False) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        time = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        level = f"{record.levelname.lower():7}"
        if self._colour and record.levelno in _COLOURS:
            level = click.style(level, fg=_COLOURS[record.levelno])
        words = [time, level, record.getMessage()]
        words += [f"{name}={value}" for name, value in _fields(record)]
        if record.exc_info:
            words.append(f"\n{self.formatException(record.exc_info)}")
        return " ".join(words)


def failure(error: BaseException, **about: str) -> None:
    """Tell of an error that nobody foresaw: which and where, but not its message, which may quote a secret."""
    frames = traceback.extract_tb(error.__traceback__)
    where = " > ".join(f"{PurePath(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames)
    log.error("unexpected %s", type(error).__name__, extra={"where": where, **about})


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    for name, value in vars(record).items():
        if name not in _STANDARD:
            yield name, _safe(name, value)


def _safe(name: object, value: Any) -> Any:
    if str(name).lower() in _SENSITIVE:
        return HIDDEN
    if isinstance(value, Mapping):
        return {key: _safe(key, inner) for key, inner in value.items()}
    return value
