"""Keys: equal questions to Jira share one, different questions never do.

Wherever it is not certain that Jira answers two spellings alike they keep keys of their own: a wrong merge is a lie, a
missed one only a miss. So GET and POST searches stay apart (Jira may refuse the one and answer the other).
"""

from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import quote

from policies.canon_body import canonical_body
from policies.canon_query import canonical_query
from policies.headers import unfamiliar
from policies.model import Read, Request
from policies.paths import segments

_DIGEST_BYTES = 16
_LONGEST_ENTITY = 100
_JSON = "application/json"
_ANY_JSON = frozenset({"", "*/*", _JSON})  # how most clients say that they want what Jira speaks
# What may stand beside application/json without being preferred to it; pycontribs jira really writes "*.*".
_BESIDE_JSON = frozenset({"*/*", "*.*", "text/plain", "text/javascript", f"{_JSON};charset=utf-8"})


def key(request: Request, read: Read, partition: str, secret: bytes = b"") -> str | None:
    """Name the question `request` as asked by `partition`: "{type}:{entity}:{variant}".

    `secret` (at most 64 bytes) keys the variant, so that it tells nothing of what went in. Deployments that keep their
    answers in one place but have different secrets have no key in common.

    None where the path or the body of a POST cannot be read for certain: such a request is not to be cached.
    """
    parts = segments(request.path)
    if parts is None:
        return None
    body = canonical_body(request.body, parts) if read.body_matters else request.body.decode("latin-1")
    if body is None:
        return None
    asked = (*_answering(request, read), canonical_query(request.query, parts), body, *parts)
    variant = _variant(secret, partition, *asked)
    return f"search:jql:{variant}" if read.type == "search" else f"{read.type}:{_safe(read.entity)}:{variant}"


def _variant(secret: bytes, *parts: str) -> str:
    framed = "".join([f"{len(part)}:{part}" for part in parts])
    return blake2b(framed.encode("utf-8", "surrogatepass"), digest_size=_DIGEST_BYTES, key=secret).hexdigest()


def _answering(request: Request, read: Read) -> tuple[str, ...]:
    """Tell by what, besides address and body, Jira chooses the answer: the method and some headers."""
    headers = request.headers
    return (
        "GET" if request.method == "HEAD" else request.method,
        _accept(headers.get("accept", ""), read),
        _compact(headers, "accept-language"),
        _compact(headers, "x-force-accept-language"),
        _compact(headers, "x-experimentalapi"),
        _content_type(headers) if read.body_matters else "",
        "\0".join(unfamiliar(headers)),
    )


def _accept(accept: str, read: Read) -> str:
    if read.type == "media":
        return accept
    if accept in _ANY_JSON:
        return _JSON
    first, *others = "".join(accept.lower().split()).split(",")
    return _JSON if first == _JSON and all(_yields(other) for other in others) else accept


def _yields(media_range: str) -> bool:
    return media_range in _BESIDE_JSON or media_range.rpartition(";")[2].startswith("q=0")


def _content_type(headers: Mapping[str, str]) -> str:
    return _compact(headers, "content-type").removesuffix(";charset=utf-8")


def _compact(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name)
    return "".join(value.lower().split()) if value else ""


def _safe(entity: str) -> str:
    """Write an entity so that it holds nothing that separates keys or means anything in a pattern."""
    return quote(entity, safe="", errors="replace")[:_LONGEST_ENTITY]
