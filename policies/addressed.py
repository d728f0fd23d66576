"""What an answer to a write says of other addresses: those it makes old too (RFC 9111 section 4.4)."""

from collections.abc import Mapping
from urllib.parse import SplitResult, urljoin, urlsplit

_PORTS = {"http": 80, "https": 443}


def addressed(upstream: str, target: str, headers: Mapping[str, str]) -> list[str]:
    """List the paths below `upstream` (origin and base path) that Location and Content-Location name.

    `target` is what was asked of it. Addresses elsewhere are left out: nobody may make old what is another's.
    """
    base = urlsplit(upstream)
    named = (headers[name] for name in ("location", "content-location") if headers.get(name))
    return [path for value in named if (path := _below(base, upstream + target, value)) is not None]


def _below(base: SplitResult, asked: str, value: str) -> str | None:
    try:
        named = urlsplit(urljoin(asked, value))
        same = _origin(named) == _origin(base)
    except ValueError:  # no address, or one with no port that there is
        return None
    return named.path.removeprefix(base.path) if same and named.path.startswith(f"{base.path}/") else None


def _origin(url: SplitResult) -> tuple[str, str | None, int | None]:
    return url.scheme, url.hostname, url.port or _PORTS.get(url.scheme)
