"""Addresses as people write them: where to listen, where Jira is, where the store is, which path belongs to whom.

Each function returns the one spelling that the rest of the code compares, or raises ValueError that says what is wrong.
None of them ever repeats a value that may hold a password.
"""

import re
from functools import lru_cache
from ipaddress import IPv4Address, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from proxy.stores.topology import SCHEMES, topology
from proxy.units import shown

_LISTEN = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):([0-9]{1,5})")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_LONGEST_HOST = 253 + len(":65535")
_SAID_HOST = re.compile(r"[A-Za-z0-9._~-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")
_PATH = re.compile(r"(/(?!\.{1,2}(/|$))[A-Za-z0-9._~-]+)+")
_LOOPBACK = re.compile(r"127(\.[0-9]+){3}|localhost|::1")
_HIGHEST_PORT = 65535
_DEFAULT_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where to listen. Port 0 asks the system for a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def loopback(self) -> bool:
        """Whether only this machine can reach it."""
        return _LOOPBACK.fullmatch(self.host) is not None


def address(value: object) -> Address:
    """Host and port of `HOST:PORT` or `[IPV6]:PORT`."""
    if isinstance(value, Address):
        return value
    match = _LISTEN.fullmatch(value) if isinstance(value, str) else None
    if match is None or int(match[2]) > _HIGHEST_PORT:
        raise ValueError(f"{shown(value)} is not an address (try 127.0.0.1:8080, 0.0.0.0:8080, [::1]:8080)")
    return Address(match[1].strip("[]"), int(match[2]))


def site(value: str) -> str:
    """Origin and path of a Jira: lower case, no default port, no slash at the end."""
    url = _split(value)
    if url.scheme not in _DEFAULT_PORTS or not url.hostname:
        raise ValueError(f"{shown(value)} is not an http or https URL (try https://jira.example.com)")
    if "?" in value or "#" in value:
        raise ValueError(f"{shown(value)} must not have a query or a fragment")
    where = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    port = f":{url.port}" if url.port not in (None, _DEFAULT_PORTS[url.scheme]) else ""
    return f"{url.scheme}://{where}{port}{path(url.path.rstrip('/'))}"


def store(value: str) -> str:
    """URL of a store. Redis URLs hold passwords: only the scheme is ever repeated."""
    scheme, found, _ = value.partition("://")
    if scheme == "memory" and found:
        return value
    if not found or scheme not in SCHEMES:
        known = ", ".join(f"{each}://" for each in ("memory", *SCHEMES))
        raise ValueError(f"{shown(scheme if found else '')} is not a kind of store (known: {known})")
    topology(value)
    return value


def host(value: str) -> str:
    """Name and optional port of a Host header, in lower case."""
    if not _HOST.fullmatch(value.lower()):
        raise ValueError(f"{shown(value)} is not a host (try jira.example.com or jira.example.com:8080)")
    return value.lower()


def is_host(value: str) -> bool:
    """Tell whether what a client calls a host is one as a URL may have it, and no longer than DNS has them."""
    return len(value) <= _LONGEST_HOST and _is_host(value)


@lru_cache(maxsize=256)
def _is_host(value: str) -> bool:
    return _SAID_HOST.fullmatch(value) is not None


def neighbourhood(address: str) -> str:
    """Name the least that one holder of an address has: an IPv4 address, or of IPv6 the /64.

    What is no IP address, such as the peer of a Unix socket, stands for itself.
    """
    try:
        ip = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, IPv4Address):
        return str(ip)
    return str(ip.ipv4_mapped or ip_network((int(ip), 64), strict=False))


def path(value: str) -> str:
    """Path that every reader reads alike, without a slash at the end; or nothing."""
    if value and not _PATH.fullmatch(value):
        raise ValueError(f"{shown(value)} is not a plain path (try /jira)")
    return value


def _split(value: str) -> SplitResult:
    try:
        url = urlsplit(value)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL (try https://jira.example.com)") from None
    if "@" in url.netloc:
        raise ValueError("must not hold a user name or password: each client sends its own")
    if any(character <= " " for character in value):
        raise ValueError("must not hold white space or control characters")
    return url
