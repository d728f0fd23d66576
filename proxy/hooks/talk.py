"""Talks to Jira for a command: JSON there and back. Whatever goes wrong is a ConfigError of one line.

What Jira says when it refuses is shown as Jira says it, whatever shape it gives that.
"""

import asyncio
from collections.abc import Iterator
from typing import Any

import orjson

from proxy.answers import decoded
from proxy.errors import ConfigError, UpstreamError
from proxy.upstream import Reply, Upstream

_LARGEST = 8 * 1024 * 1024
_TOTAL = 60.0
_LONGEST = 300
_GOOD = range(200, 300)
_NO_CONTENT = 204
_MEANING = {401: "the credential is not accepted", 403: "the account may not do this", 404: "there is no such API"}


class RefusedError(ConfigError):
    """Jira answered that it will not. `status` is the answer's."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class Talk:
    """Asks one Jira, as the holder of `credential`: the value of an Authorization header."""

    def __init__(self, upstream: Upstream, credential: str) -> None:
        self._upstream = upstream
        self._headers = [
            ("Authorization", credential),
            ("Accept", "application/json"),
            ("Accept-Encoding", "gzip"),
            ("Content-Type", "application/json"),
            ("User-Agent", "jira-cache"),
            ("X-Atlassian-Token", "no-check"),  # Data Center takes a request without one for a browser's
        ]

    @property
    def base(self) -> str:
        """Where Jira is."""
        return self._upstream.base

    async def ask(self, method: str, path: str, said: Any = None) -> Any:
        """Ask, and return the parsed answer; None for one without a body. Raises RefusedError, else ConfigError."""
        body = None if said is None else orjson.dumps(said)
        try:
            async with asyncio.timeout(_TOTAL):
                reply = await self._upstream.send(method, path, self._headers, body)
                try:
                    raw, whole = await reply.read(_LARGEST)
                finally:
                    reply.close()
        except UpstreamError as error:
            raise ConfigError(f"{self.base}: {error}") from error
        except TimeoutError as error:
            raise ConfigError(f"{self.base}: Jira took too long to answer") from error
        return self._read(reply, raw if whole else b"")

    def _read(self, reply: Reply, raw: bytes) -> Any:
        told = _parsed(reply, raw)
        if reply.status not in _GOOD:
            words = errors_in(told) or _MEANING.get(reply.status, "without a reason")
            raise RefusedError(f"{self.base}: Jira refuses ({reply.status}): {words}", reply.status)
        if told is None and reply.status != _NO_CONTENT and raw:
            raise ConfigError(
                f"{self.base}: Jira's answer is not JSON, as for a login that has ended, or no Jira at all"
            )
        return told


def _parsed(reply: Reply, raw: bytes) -> Any:
    try:
        return orjson.loads(decoded(raw, reply.headers.get("content-encoding", "").lower(), _LARGEST))
    except ValueError:
        return None


def errors_in(told: Any) -> str:
    """Join what an answer says of errors, in one line; "" if nothing."""
    line = "; ".join(dict.fromkeys(" ".join(words.split()) for words in _words(told)))
    return "".join(letter for letter in line if letter.isprintable())[:_LONGEST]


def _words(told: Any) -> Iterator[str]:
    """Find the messages: `errorMessages`, `errors` by field or in a list, `messages` or one `message`."""
    match told:
        case str():
            yield told
        case list():
            for each in told:
                yield from _words(each)
        case dict():
            for name in ("errorMessages", "messages", "message"):
                yield from _words(told.get(name))
            errors = told.get("errors")
            if isinstance(errors, dict):
                yield from (f"{field}: {words}" for field, words in errors.items())
            else:
                yield from _words(errors)
