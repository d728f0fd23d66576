"""Patterns over keys as Redis reads them: * ? [abc] [a-z] [^a] and a backslash before what is meant as it is."""

import re

_PIECE = re.compile(
    rb"\\(?P<plain>.)|(?P<star>\*+)|(?P<any>\?)|\[(?P<no>\^?)(?P<set>(?:\\.|[^]]-.|[^]])*)(?:\]|$)", re.DOTALL
)
_MEMBER = re.compile(rb"\\(?P<plain>.)|(?P<low>.)-(?P<high>.)|(?P<one>.)", re.DOTALL)
_SPECIAL = re.compile(r"([*?\[\]\\^-])")


def escape(text: str) -> str:
    """Write a pattern that only `text` matches."""
    return _SPECIAL.sub(r"\\\1", text)


def compile_glob(pattern: str) -> re.Pattern[bytes]:
    """Make a regular expression that matches, as a whole, the bytes of the keys that Redis would find for `pattern`."""
    packed, parts, end = pattern.encode(errors="surrogatepass"), [], 0
    for piece in _PIECE.finditer(packed):
        parts += [re.escape(packed[end : piece.start()]), _translate(piece)]
        end = piece.end()
    return re.compile(b"".join([*parts, re.escape(packed[end:])]), re.DOTALL)


def _translate(piece: re.Match[bytes]) -> bytes:
    if piece["plain"] is not None:
        return re.escape(piece["plain"])
    if piece["star"]:
        return b".*"
    return b"." if piece["any"] else _one_of(piece["set"], negated=bool(piece["no"]))


def _one_of(members: bytes, *, negated: bool) -> bytes:
    ranges = b"".join(map(_range, _MEMBER.finditer(members)))
    if not ranges:
        return b"." if negated else b"(?!)"
    return b"[" + b"^" * negated + ranges + b"]"


def _range(member: re.Match[bytes]) -> bytes:
    one = member["plain"] or member["one"]
    ends = (one, one) if one else sorted((member["low"], member["high"]))  # Redis takes a range either way
    return b"-".join(b"\\x%02x" % ord(end) for end in ends)
