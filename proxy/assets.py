"""The files of the dashboard, as they lie in proxy/dashboard: no build step, and nothing from anywhere else."""

from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

PREFIX = "/assets/"
PAGE, SIGN_IN = "index.html", "signin.html"

_FOLDER = Path(__file__).with_name("dashboard")
_TYPES: Mapping[str, str] = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
}
_UTF_8 = "utf-8"

# Whatever a page might be made to hold, it runs no script and sends nothing anywhere but from and to this listener.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_SAFE = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Assets:
    """The files, read once."""

    def __init__(self) -> None:
        self._files = {path.name: path.read_bytes() for path in _FOLDER.iterdir() if path.suffix in _TYPES}

    def page(self, name: str, status: int = 200) -> web.Response:
        """Answer with a page. It is not kept by browsers, because it is for who is signed in."""
        return self._answer(name, status, "no-store")

    def file(self, name: str) -> web.Response | None:
        """Answer with what a page needs; None if there is no such file. It tells nothing but which version runs."""
        return self._answer(name, 200, "no-cache") if name in self._files else None

    def _answer(self, name: str, status: int, keep: str) -> web.Response:
        return web.Response(
            status=status,
            body=self._files[name],
            content_type=_TYPES[Path(name).suffix],
            charset=_UTF_8,
            headers={**_SAFE, "Cache-Control": keep},
        )
