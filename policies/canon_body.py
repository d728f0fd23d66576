"""The canonical spelling of the JSON body of a POST that only reads."""

import json
from typing import Any

from policies.canon_jql import canonical_jql
from policies.canon_words import is_jiras_own, words

_LONGEST = 256 * 1024  # bytes; reading a megabyte takes a quarter of a second, and nobody else is served meanwhile


def canonical_body(body: bytes, path: tuple[str, ...]) -> str | None:
    """Spell `body` as every equal body sent to `path` (decoded segments) is spelled.

    None where it is not for certain one thing: no JSON object, a name twice, text that is no UTF-8, a number in an
    unusual spelling (whose value may be rounded), nested too deep, or longer than any question is.
    """
    if len(body) > _LONGEST:
        return None
    try:
        question = _DECODER.decode(body.decode())
        if not isinstance(question, dict):
            return None
        if is_jiras_own(path):
            question = {name: _settled(name, value) for name, value in question.items()}
        return json.dumps(question, sort_keys=True, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None


def _settled(name: str, value: Any) -> Any:
    match name, value:
        case "jql", str():
            return canonical_jql(value)
        case "fields" | "expand" | "properties", list():
            return words(value) or value
        case _:
            return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _integer(text: str) -> float:
    return _usual(int(text), text)


def _float(text: str) -> float:
    return _usual(float(text), text)  # NaN and Infinity, which are no JSON, come here too and are refused


def _usual(number: float, text: str) -> float:
    if repr(number) != text:
        raise ValueError(f"a number spelled in an unusual way: {text}")
    return number


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_float)
