"""Paths: what one says when Jira must read it as we do, and what it most likely means when Jira might not.

Must live here: everything about spelling. Must not: any knowledge of routes.
"""

import re
from urllib.parse import unquote, unquote_to_bytes

# The whole alphabet of an ordinary path. An empty segment, or one that begins with a dot, takes the long way round.
_PLAIN = re.compile(r"/[A-Za-z0-9_.~!$&'()*+,=:@/-]*[A-Za-z0-9_~!$&'()*+,=:@-]")
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_AMBIGUOUS = re.compile(r"[/\\;\x00-\x1f\x7f-\x9f]")
_RAW_AMBIGUOUS = re.compile(r"[#?\x80-\U0010ffff]")
# Data Center's REST filter cuts these off the last segment and reads them as an Accept header.
_EXTENSIONS = (".json", ".xml")
_ROUNDS = 8  # nobody decodes more often; a bound keeps a hostile path cheap


def segments(path: str) -> tuple[str, ...] | None:
    """Split a percent-encoded path into decoded segments, or return None where Jira might read it differently.

    A trailing slash counts as different: Data Center drops it, what stands before Jira Cloud need not.
    """
    if path == "/":
        return ()
    plain = _PLAIN.fullmatch(path) and "//" not in path and "/." not in path
    parts = tuple(path[1:].split("/")) if plain else _decoded(path)
    if parts is None or ("." in parts[-1] and _has_extension(parts)):
        return None
    return parts


def suspected(path: str) -> tuple[str, ...]:
    """Read an unclean path in the way that names the most: decoded to the end, parameters cut, dots resolved.

    Good for invalidation only, where naming too much costs a miss and naming too little costs the truth.
    """
    resolved: list[str] = []
    for raw in _fully_unquoted(path).replace("\\", "/").split("/"):
        part = _CONTROL.sub("", raw.partition(";")[0])
        if part == "..":
            del resolved[-1:]
        elif part not in ("", "."):
            resolved.append(part)
    if _has_extension(tuple(resolved)):
        resolved[-1] = resolved[-1].rpartition(".")[0]
    return tuple(resolved)


def _decoded(path: str) -> tuple[str, ...] | None:
    if not path.startswith("/") or _RAW_AMBIGUOUS.search(path) or _BROKEN_ESCAPE.search(path):
        return None
    try:
        parts = tuple(unquote_to_bytes(raw).decode() for raw in path[1:].split("/"))
    except UnicodeDecodeError:
        return None
    return parts if all(_is_clear(part) for part in parts) else None


def _is_clear(part: str) -> bool:
    # An escape that is left after decoding was encoded twice: whether it is decoded twice is anybody's guess.
    return part not in ("", ".", "..") and not _AMBIGUOUS.search(part) and not _ESCAPE.search(part)


def _has_extension(parts: tuple[str, ...]) -> bool:
    return len(parts) > 1 and parts[0] == "rest" and parts[-1].lower().endswith(_EXTENSIONS)


def _fully_unquoted(path: str) -> str:
    for _ in range(_ROUNDS):
        decoded = unquote(path, errors="replace")
        if decoded == path:
            break
        path = decoded
    return path
