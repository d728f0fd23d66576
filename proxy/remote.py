"""The admin API of a proxy that runs, for the commands that ask something of it."""

import http.client
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

import orjson

from proxy.addresses import Address, site
from proxy.config import read
from proxy.errors import ConfigError

_TIMEOUT = 10.0
_OK, _UNAUTHORIZED = 200, 401
_HARMLESS = "/api/stats"
_HEADERS: dict[str, str | bytes] = {"Content-Type": "application/json", "Accept": "application/json"}
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
# Whoever listens on all addresses is found on this machine's own.
_OWN = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - nobody listens here


class Remote:
    """The admin listener at `url`. Every failure is a ConfigError of one line."""

    def __init__(self, url: str, token: str | None) -> None:
        self._url = url
        self._token = token

    @classmethod
    def find(cls, url: str | None, token: str | None, path: Path | None, environ: Mapping[str, str]) -> "Remote":
        """Find the admin listener: at `url`, else where the configuration that a start here would use has it.

        Only a listener of that configuration is sent its token.
        """
        if url is not None:
            try:
                return cls(site(url), token)
            except ValueError as error:
                raise ConfigError(f"--admin: {error}") from error
        admin = read(path, environ).admin
        if not admin.listen.port:
            raise ConfigError(f"admin.listen: {admin.listen} is any free port, so say which one: --admin URL")
        where = Address(_OWN.get(admin.listen.host, admin.listen.host), admin.listen.port)
        return cls(f"http://{where}", token or admin.token)

    @property
    def url(self) -> str:
        """Where it is."""
        return self._url

    def get(self, path: str) -> Any:
        """Ask for `path`. Returns the parsed answer."""
        return self._ask("GET", path, None)

    def post(self, path: str, order: Mapping[str, Any]) -> Any:
        """Send an order to `path`. Returns the parsed answer."""
        try:
            return self._ask("POST", path, orjson.dumps(order))
        except orjson.JSONEncodeError as error:  # what a shell can give as an argument, and JSON cannot hold
            raise ConfigError(f"{path}: not all arguments are UTF-8") from error

    def _ask(self, method: str, path: str, body: bytes | None) -> Any:
        self._exchange(
            "GET", _HARMLESS, None, _HEADERS
        )  # at the clients' listener an order is a write, which Jira gets
        status, said = self._exchange(method, path, body, self._headers())
        try:
            told = orjson.loads(said)
        except orjson.JSONDecodeError:
            told = None
        if not isinstance(told, dict):
            raise ConfigError(f"{self._url}: is not the admin listener of a jira-cache (it answers {status})")
        if status == _UNAUTHORIZED:
            given = "is not accepted" if self._token else "is required: --token or $JIRA_CACHE_ADMIN__TOKEN"
            raise ConfigError(f"{self._url}: the admin token {given}")
        if status != _OK:
            raise ConfigError(f"{self._url}: {told.get('error', f'answers {status}')}")
        return told

    def _exchange(
        self, method: str, path: str, body: bytes | None, headers: Mapping[str, str | bytes]
    ) -> tuple[int, bytes]:
        # No library that would go by a proxy of the environment, or follow a redirect, with the token.
        target: SplitResult = urlsplit(self._url)
        connection = _CONNECTIONS[target.scheme](target.netloc, timeout=_TIMEOUT)
        try:
            connection.request(method, target.path + path, body, headers)
            response = connection.getresponse()
            if response.getheader("Cache-Status", "").startswith("jira-cache"):
                raise ConfigError(
                    f"{self._url}: is where Jira's clients connect; the admin listener is another (admin.listen)"
                )
            return response.status, response.read()
        except http.client.HTTPException as error:
            raise ConfigError(f"{self._url}: does not speak HTTP") from error
        except OSError as error:
            raise ConfigError(f"{self._url}: cannot be reached ({error.strerror or error})") from error
        except ValueError as error:  # whose message shows the token
            raise ConfigError(f"{self._url}: the token cannot be sent") from error
        finally:
            connection.close()

    def _headers(self) -> dict[str, str | bytes]:
        return _HEADERS | ({"Authorization": f"Bearer {self._token}".encode()} if self._token else {})
