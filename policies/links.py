"""Links that name Jira's own origin, made to name the proxy's, so that a client that follows them stays on the proxy.

Rewritten are JSON strings that begin with the upstream's address followed by "/rest/", Location headers and the paths
of cookies. Text that merely mentions Jira is never touched.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

_DEFAULT_PORTS = {"http": "80", "https": "443"}
_ADDRESS = re.compile(r"https?://[^\s/\"\\<>?#@]+(?:/[^\s\"\\<>?#]*)?", re.IGNORECASE)
# Browsers skip them inside URLs, and line breaks would begin a header of their own.
_CONTROLS = dict.fromkeys([*range(0x20), 0x7F])
_OPENING_QUOTE = re.compile(rb'(?<!\\)"')
_ESCAPED_SLASH = "\\/"


@dataclass(frozen=True, slots=True)
class Site:
    """Where a tenant's Jira is, and where its clients find it: origin and base path, without a slash at the end.

    For example "https://jira.corp/jira" and "http://proxy:8080/acme". Made by `site`.
    """

    upstream: str
    public: str


@lru_cache(maxsize=256)
def site(upstream: str, public: str) -> Site:
    """Make a Site of two addresses, configured or told by a request; ValueError where one is no plain http address."""
    return Site(_normal(upstream), _normal(public))


def rewrite(body: bytes, site: Site) -> bytes:
    """Let every JSON string that begins with the upstream's address and "/rest/" begin with the public address."""
    body = _replace(body, _needles(site.upstream).plain, site, "/")
    if b"\\" not in body:
        return body
    return _replace(body, _needles(site.upstream).escaped, site, _ESCAPED_SLASH)


def restored(body: bytes, site: Site) -> bytes:
    """Undo `rewrite`, in a body whose own text names the public address nowhere and the upstream's in one way only.

    Of others it may make something else: whoever needs to know tries, and compares.
    """
    for slash in ("/", _ESCAPED_SLASH) if b"\\" in body else ("/",):
        public, upstream = (
            f'"{address}/rest/'.replace("/", slash).encode() for address in (site.public, site.upstream)
        )
        body = body.replace(public, upstream)
    return body


class Rewriter:
    """`rewrite` for a body that arrives in chunks, cut anywhere. Holds back less than one needle's length."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._window = _needles(site.upstream).longest - 1
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take the next chunk; return what can be said of the body so far."""
        seen = self._held + chunk
        cut = self._decided(seen)
        self._held = seen[cut:]
        return rewrite(seen[:cut], self._site)

    def flush(self) -> bytes:
        """Return the rest, after the last chunk."""
        rest, self._held = self._held, b""
        return rewrite(rest, self._site)

    def _decided(self, seen: bytes) -> int:
        """Tell up to where no later byte can change the result: to the first quote that may yet open a link."""
        quote = _OPENING_QUOTE.search(seen, max(0, len(seen) - self._window))
        if quote:
            return quote.start()
        # A backslash at the end may be what keeps the next chunk's first quote from being an opening one.
        return len(seen) - seen.endswith(b"\\")


def location(value: str, site: Site) -> str:
    """Map a Location or Content-Location from the upstream's address to the public one; others stay as they are."""
    value = value.translate(_CONTROLS)
    inside = _inside(site.upstream).match(value)
    if inside:
        return site.public + value[inside.end() :]
    if not value.startswith("/") or value.startswith("//"):
        return value
    return _absolute_path(value, site)


def cookie(value: str, site: Site) -> str:
    """Map the Path of a Set-Cookie value to the public base path and drop its Domain; the rest stays as it is."""
    pair, *attributes = value.translate(_CONTROLS).split(";")
    return ";".join([pair, *_attributes(attributes, site)])


def _normal(address: str) -> str:
    if not _ADDRESS.fullmatch(address):
        raise ValueError(f"not an http(s) address with a host and perhaps a path: {address!r}")
    scheme, host, path = _split(address)
    scheme = scheme.lower()
    return f"{scheme}://{host.lower().removesuffix(f':{_DEFAULT_PORTS[scheme]}')}{path.rstrip('/')}"


def _split(address: str) -> tuple[str, str, str]:
    """Split an address into scheme, host with port, and path."""
    scheme, _, rest = address.partition("://")
    host, slash, path = rest.partition("/")
    return scheme, host, slash + path


def _base(address: str) -> str:
    return _split(address)[2]


class _Needles(NamedTuple):
    plain: re.Pattern[bytes]
    escaped: re.Pattern[bytes]
    longest: int  # bytes, the opening quote and "/rest/" included


@lru_cache(maxsize=256)
def _needles(upstream: str) -> _Needles:
    written = f'"{upstream}:65535/rest/'.replace("/", _ESCAPED_SLASH)
    return _Needles(_needle(upstream, "/"), _needle(upstream, _ESCAPED_SLASH), len(written.encode()))


def _needle(upstream: str, slash: str) -> re.Pattern[bytes]:
    r"""Match what follows the scheme of a link to Jira, in JSON that writes "/" as `slash`.

    It begins with "://" although the match should begin at the quote: a literal that is rare in JSON lets the search
    run three times as fast, and a look behind finds the quote. An opening quote never follows a backslash.
    """
    scheme, host, path = _split(upstream)
    start = re.escape("://".replace("/", slash))
    opening = rf'(?i:"{scheme}){start}'
    base, rest_api = (re.escape(text.replace("/", slash)) for text in (path, "/rest/"))
    pattern = rf"{start}(?<={opening})(?<!\\{opening})(?i:{_host(scheme, host)}){base}(?={rest_api})"
    return re.compile(pattern.encode())


def _replace(body: bytes, needle: re.Pattern[bytes], site: Site, slash: str) -> bytes:
    *heads, tail = needle.split(body)
    if not heads:
        return body
    scheme = site.upstream.index(":")
    public = site.public.replace("/", slash).encode()
    return public.join([*(head[:-scheme] for head in heads), tail])


@lru_cache(maxsize=256)
def _inside(upstream: str) -> re.Pattern[str]:
    """Match the part of an absolute URL that is the upstream's address, where the URL is below it."""
    scheme, host, path = _split(upstream)
    return re.compile(rf"(?i:{scheme}://{_host(scheme, host)}){re.escape(path)}(?=[/?#]|\Z)", re.ASCII)


def _host(scheme: str, host: str) -> str:
    """Match the host in a URL, with the scheme's port spelled out or not."""
    has_port = re.search(r":\d+\Z", host)
    return re.escape(host) if has_port else rf"{re.escape(host)}(?::{_DEFAULT_PORTS[scheme]})?"


def _absolute_path(value: str, site: Site) -> str:
    base, public = _base(site.upstream), _base(site.public)
    rest = value[len(base) :]
    if not value.startswith(base) or rest[:1] not in {"", "/", "?", "#"}:
        return value
    if rest.startswith(("//", "/\\")):
        # "//host" and "/\host" name another host where nothing stands before them; so the origin is put there.
        return site.public + rest
    return public + rest or "/"


def _attributes(attributes: list[str], site: Site) -> Iterator[str]:
    for attribute in attributes:
        name, equals, value = attribute.partition("=")
        match name.strip().lower():
            case "domain":
                continue
            case "path" if value.strip().startswith("/"):
                yield f"{name}{equals}{_cookie_path(value.strip(), site)}"
            case _:
                yield attribute


def _cookie_path(path: str, site: Site) -> str:
    """Map a cookie's path so that it stays among the tenant's own paths, whatever it was.

    A path above Jira's base ("/" for "/jira") becomes the public base: above that are other tenants' paths.
    """
    base, public = _base(site.upstream), _base(site.public)
    if path == base or path.startswith(f"{base}/"):
        return public + path[len(base) :] or "/"
    if base.startswith(path.rstrip("/") + "/"):
        return public or "/"
    return public + path
