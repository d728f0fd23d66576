"""Which of several answers a request selects (RFC 9111 section 4.1)."""

import re
from collections.abc import Mapping
from hashlib import blake2b

from policies.model import Origin

_DIGEST_BYTES = 16
_COMMA = re.compile(r"\s*,\s*")
# The coding is ours to choose: Jira is always asked for gzip, and who does not take it gets the plain body.
_NEVER_SELECTS = frozenset({"accept-encoding"})


def selection(names: tuple[str, ...], headers: Mapping[str, str], secret: bytes) -> str:
    """Name what a request says in the headers called `names`, in a word that tells nothing without `secret`."""
    said = [f"{name}={_COMMA.sub(',', headers[name].strip())}" if name in headers else name for name in names]
    framed = "".join(f"{len(one)}:{one}" for one in said)
    return blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=secret).hexdigest()


def selects(origin: Origin | None, headers: Mapping[str, str], secret: bytes) -> bool:
    """Tell whether a request with these headers may be answered by what was kept under these terms."""
    return origin is None or not origin.vary or origin.selected == selection(origin.vary, headers, secret)


def selecting(vary: tuple[str, ...]) -> tuple[str, ...]:
    """Keep of the names in a Vary those that select: in order, so that two orders of the same names are one."""
    return tuple(sorted({*vary} - _NEVER_SELECTS))
