"""Where a Redis is, as its URL says: one server, the servers that Sentinels watch, or a Cluster.

    redis://[LOGIN@]HOST[:6379][/DB]                              rediss://... with TLS
    redis+sentinel://[LOGIN@]HOST[:26379],HOST.../SERVICE[/DB]    rediss+sentinel://...
    redis+cluster://[LOGIN@]HOST[:6379],HOST...                   rediss+cluster://...
    unix://[LOGIN@]/PATH[?db=DB]

LOGIN is `:PASSWORD` or `USER:PASSWORD`, percent-encoded. What follows `?` are redis-py's options of a connection, such
as `ssl_ca_certs=FILE`; for Sentinels also `sentinel_username` and `sentinel_password`, where they have a login of their
own. Nothing here touches the network, and no message repeats what may be a password.
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel", "redis+cluster", "rediss+cluster")

_HOST = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:(?P<port>[0-9]{1,5}))?")
_HIGHEST_PORT = 65535
_SENTINEL_LOGIN = "sentinel_"

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Server:
    """One server, at a URL as redis-py reads it."""

    url: str


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Sentinels at `places`, which tell where the master of `service` is.

    `url` is what is common to its servers, as of one on localhost; `login` the Sentinels' own username and password.
    """

    places: tuple[Place, ...]
    service: str
    url: str
    login: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Cluster, some of whose servers are at `places`. `url` is what is common to them, as of one on localhost."""

    places: tuple[Place, ...]
    url: str


Topology = Server | Sentinels | Cluster


def topology(url: str) -> Topology:
    """Read a URL. Raises ValueError, which says what is wrong."""
    scheme, found, rest = url.partition("://")
    if not found or scheme not in SCHEMES:
        raise ValueError(f"'{scheme if found else ''}' is not a kind of Redis (known: {', '.join(_spelled())})")
    plain, _, kind = scheme.partition("+")
    match kind:
        case "sentinel":
            return _sentinels(plain, rest)
        case "cluster":
            return _cluster(plain, rest)
        case _:
            return _server(url)


def _server(url: str) -> Server:
    try:
        _ = urlsplit(url).port
    except ValueError:
        raise ValueError("is not a URL (try redis://localhost:6379/0; a password has to be percent-encoded)") from None
    return Server(url)


def _sentinels(plain: str, rest: str) -> Sentinels:
    login, places, path, query = _parts(rest, port=26379)
    service, _, database = path.partition("/")
    if not service or not re.fullmatch(r"[0-9]*", database):
        raise ValueError("names no service (try redis+sentinel://host:26379,other:26379/mymaster/0)")
    options = parse_qsl(query, keep_blank_values=True)
    own = [(name.removeprefix(_SENTINEL_LOGIN), value) for name, value in options if name.startswith(_SENTINEL_LOGIN)]
    if {name for name, _ in own} - {"username", "password"}:
        raise ValueError("knows of Sentinels only sentinel_username and sentinel_password")
    common = urlencode([pair for pair in options if not pair[0].startswith(_SENTINEL_LOGIN)])
    return Sentinels(places, service, _one(plain, login, database or "0", common), tuple(own))


def _cluster(plain: str, rest: str) -> Cluster:
    login, places, path, query = _parts(rest, port=6379)
    if path not in ("", "0"):
        raise ValueError("names a database, and a Cluster has none but 0 (try redis+cluster://host:6379,other:6379)")
    return Cluster(places, _one(plain, login, "0", query))


def _one(plain: str, login: str, database: str, query: str) -> str:
    return f"{plain}://{login}localhost/{database}{'?' if query else ''}{query}"


def _parts(rest: str, port: int) -> tuple[str, tuple[Place, ...], str, str]:
    """Part what follows the scheme: login with its @, places, path without slashes around it, query."""
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    login, at, hosts = netloc.rpartition("@")
    places = tuple(_place(each, port) for each in hosts.split(","))
    return login + at, places, path.strip("/"), query


def _place(text: str, default: int) -> Place:
    found = _HOST.fullmatch(text)
    port = int(found["port"] or default) if found else 0
    if found is None or not 0 < port <= _HIGHEST_PORT:
        raise ValueError("has a host that is none (try host:26379,other:26379; a password has to be percent-encoded)")
    return found["host"].strip("[]"), port


def _spelled() -> list[str]:
    return [f"{scheme}://" for scheme in SCHEMES]
