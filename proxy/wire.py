"""The head of an answer as bytes, for answers that are given again and again."""

from policies.validation import NOT_MODIFIED
from proxy.answers import Whole
from proxy.responses import headers_of, status_line


def template(answer: Whole, request_id: str | None, ttl: int) -> bytes | None:
    """Write the head of an answer as aiohttp would, with places (`%`) for its age, its TTL and the date.

    `ttl` is what its Cache-Status says now. None for an answer whose head is not plain enough to be written here.
    """
    headers = headers_of(answer, request_id)
    if "Content-Type" not in headers or "Date" in headers:
        return None
    if answer.status != NOT_MODIFIED:
        headers["Content-Length"] = str(len(answer.body))
    lines = [status_line(answer.status)]
    lines += [f"{name}: {_with_places(name, value, ttl)}" for name, value in headers.items()]
    text = "\r\n".join([*lines, "Date: %s", "", ""])
    return text.encode() if text.isascii() else None


def _with_places(name: str, value: str, ttl: int) -> str:
    match name:
        case "Age":
            return "%d"
        case "Cache-Status":
            return value.replace(f"; ttl={ttl};", "; ttl=%d;")
        case _:
            return value.replace("%", "%%")
