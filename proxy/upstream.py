"""The only place that talks to Jira.

It sends what it is given and hands back Jira's answer as it comes, without following redirects, keeping cookies or
changing a coding. aiohttp's errors become UpstreamError here.
"""

import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined] # documented, but not in typeshed

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from multidict import CIMultiDict
from yarl import URL

from proxy.errors import ConfigError, UpstreamError
from proxy.pool import Answer, Body, Pool
from proxy.refusals import RefusedError
from proxy.replies import Complete, Connector
from proxy.schema import Timeouts
from proxy.tracing import Tracing

Pairs = Iterable[tuple[str, str]]

_CHUNK = 64 * 1024
# Tomcat, and so Data Center, closes idle connections after 20 s; a request that crosses with that is lost.
_IDLE = 15.0
# What such a scheme logs in is the connection, for whoever's request comes over it next.
_BOUND_TO_CONNECTION = frozenset({"ntlm", "negotiate", "kerberos"})


class Reply:
    """Jira's answer, its body still on the way. Whoever has one reads it to the end or closes it.

    `headers` have lower-case names, repeated ones joined as RFC 9110 section 5.3 says.
    """

    def __init__(self, answer: Answer | Complete) -> None:
        self._answer = answer
        self._unread = answer.body if isinstance(answer, Complete) else b""
        self.status = answer.status
        self.pairs = texts(answer.pairs if isinstance(answer, Complete) else answer.headers.items())
        self.headers = joined(self.pairs)

    async def read(self, limit: int) -> tuple[bytes, bool]:
        """Read up to a little past `limit`; tell whether that was the whole body."""
        if isinstance(self._answer, Complete):
            body, self._unread = self._unread, b""
            return body, len(body) <= limit
        taken = bytearray()
        try:
            whole = await self._read_into(taken, limit, self._answer.content)
            return bytes(taken), whole
        finally:
            taken.clear()  # else what came of an answer that broke off lives on with the error (proxy.garbage)

    async def _read_into(self, taken: bytearray, limit: int, content: StreamReader) -> bool:
        with _translated():
            while chunk := await content.read(_CHUNK):
                taken += chunk
                if len(taken) > limit:
                    return False
        return True

    async def chunks(self) -> AsyncIterator[bytes]:
        """Read on, piece by piece; a body that ends before its announced length raises UpstreamError."""
        if isinstance(self._answer, Complete):
            if self._unread:
                yield self._unread
            return
        with _translated():
            async for chunk in self._answer.content.iter_chunked(_CHUNK):
                yield chunk

    def close(self) -> None:
        """Let go of the connection; one that was read to the end is used again."""
        if isinstance(self._answer, Complete):
            return
        if self._answer.content.at_eof():
            self._answer.release()
        else:
            self._answer.close()


class Upstream:
    """One Jira: `base` is its origin and base path, without a trailing slash.

    `pool` shares its connections among all callers; `unshared` uses each for one request only.
    """

    def __init__(
        self,
        base: str,
        pool: Pool,
        unshared: Pool,
        *,
        observe: Callable[[str, float], None],
        tracing: Tracing | None = None,
    ) -> None:
        self.base = base
        self._pool = pool
        self._unshared = unshared
        self._observe = observe
        self._tracing = tracing

    async def send(self, method: str, target: str, headers: Pairs, body: Body = None) -> Reply:
        """Send a request; `target` is the raw path and query below the base, kept to the byte."""
        began = time.perf_counter()
        status = "none"
        try:
            reply = await self._traced(method, target, CIMultiDict(headers), body)
            status = str(reply.status)
        finally:
            self._observe(status, time.perf_counter() - began)
        return reply

    async def _traced(self, method: str, target: str, sent: CIMultiDict[str], body: Body) -> Reply:
        if self._tracing is None:
            return await self._send(method, target, sent, body)
        with self._tracing.asking(method, sent) as answered:
            reply = await self._send(method, target, sent, body)
            answered(reply.status)
            return reply

    async def _send(self, method: str, target: str, sent: CIMultiDict[str], body: Body) -> Reply:
        pool = self._unshared if _logs_connection_in(sent) else self._pool
        with _translated():
            return Reply(await pool.send(method, target, sent, body))

    async def close(self) -> None:
        await self._pool.close()
        await self._unshared.close()


def _logs_connection_in(headers: CIMultiDict[str]) -> bool:
    said = headers.getall("Authorization", ())
    return any(value.strip().partition(" ")[0].lower() in _BOUND_TO_CONNECTION for value in said)


def connect(
    base: str,
    timeouts: Timeouts,
    *,
    ca_file: str | None,
    environ: Mapping[str, str],
    observe: Callable[[str, float], None],
    tracing: Tracing | None = None,
) -> Upstream:
    """Make the connection pool of one Jira; nothing is sent. Raises ConfigError for a CA file or proxy that is none.

    `observe` is told the status of each request ("none" if no answer came) and the seconds until its answer began.
    """
    proxy = proxy_for(base, environ)
    trust = _trust(ca_file)
    pool = Pool(base, Connector(limit=0, ssl=trust, keepalive_timeout=_IDLE), timeouts, proxy)
    unshared = Pool(base, Connector(limit=0, ssl=trust, force_close=True), timeouts, proxy)
    return Upstream(base, pool, unshared, observe=observe, tracing=tracing)


def proxy_for(base: str, environ: Mapping[str, str]) -> str | None:
    """Find the outbound proxy that the environment (HTTPS_PROXY, NO_PROXY, ...) names for `base`.

    Raises ConfigError for one that speaks another protocol: going around it is not ours to decide.
    """
    url = URL(base)
    lowered = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy")}
    proxies = {name.removesuffix("_proxy"): value for name, value in lowered.items() if value}
    if proxy_bypass_environment(f"{url.raw_host}:{url.port}", proxies):
        return None
    named = next((name for name in (url.scheme, "all") if name in proxies), None)
    return None if named is None else _http_proxy(named, proxies[named])


def _http_proxy(name: str, value: str) -> str:
    value = value if "://" in value else f"http://{value}"
    if not value.lower().startswith(("http://", "https://")):
        raise ConfigError(f"${name.upper()}_PROXY: only http:// and https:// proxies are supported")
    return value


def texts(pairs: Pairs) -> list[tuple[str, str]]:
    """Make text of every header value, so that it can be told on.

    aiohttp reads bytes that are not UTF-8 as lone surrogates, and leaves those out when it writes. In HTTP they mean
    latin-1, if anything (RFC 9110 section 5.5).
    """
    return [(name, value if value.isascii() else _text(value)) for name, value in pairs]


def _text(value: str) -> str:
    said = value.encode("utf-8", "surrogateescape")
    try:
        return said.decode()
    except UnicodeDecodeError:
        return said.decode("latin-1")


def joined(pairs: Pairs) -> dict[str, str]:
    """Join repeated headers into one; names become lower case. Cookie is joined as RFC 9113 section 8.2.3 says."""
    result: dict[str, str] = {}
    for name, value in pairs:
        low = name.lower()
        result[low] = f"{result[low]}{'; ' if low == 'cookie' else ', '}{value}" if low in result else value
    return result


def _trust(ca_file: str | None) -> ssl.SSLContext | bool:
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(f"ca_file: {ca_file} is not a readable PEM file of certificates ({error})") from error


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise UpstreamError("Jira did not accept the connection in time", timeout=True, sent=False) from error
    except TimeoutError as error:
        raise UpstreamError("Jira did not answer in time", timeout=True) from error
    except aiohttp.ClientConnectorCertificateError as error:
        raise UpstreamError("Jira's certificate is not to be trusted (see ca_file)", sent=False) from error
    except aiohttp.ClientConnectorError as error:
        raise UpstreamError("Jira cannot be reached", sent=False) from error
    except (aiohttp.ClientPayloadError, aiohttp.ClientResponseError, HttpProcessingError) as error:
        raise UpstreamError("Jira's answer broke off or is not HTTP") from error
    except (aiohttp.ClientError, OSError) as error:
        if isinstance(error.__cause__, RefusedError):
            raise error.__cause__ from None  # it was the client that broke off, which is no fault of Jira's
        raise UpstreamError("the connection to Jira broke") from error
