"""Asking whether a kept answer is still the current one: conditions, and what a 304 says (RFC 9111 section 4.3)."""

from collections.abc import Mapping

from policies.headers import Pairs, end_to_end
from policies.model import Entry, Origin

OK, NOT_MODIFIED = 200, 304

# How the kept body is coded, and what it is, follows from the answer that brought it (RFC 9111 section 3.2).
_OF_THE_BODY = frozenset({"content-encoding", "content-length", "content-range", "content-type"})


def validatable(entry: Entry) -> Entry | None:
    """Tell which answer a 304 would stand for: this one, if the origin gave it a validator."""
    origin = entry.origin
    return entry if origin and entry.status == OK and (origin.etag or origin.last_modified) else None


def conditions(held: Entry) -> list[tuple[str, str]]:
    """Write the conditions to ask by: both, for an origin that knows only the older one."""
    origin = held.origin or Origin()
    named = [("If-None-Match", origin.etag), ("If-Modified-Since", origin.last_modified)]
    return [(name, value) for name, value in named if value]


def confirms(held: Entry, told: Mapping[str, str]) -> bool:
    """Tell whether a 304, laid over the answer that was asked about, speaks of that one and not of another."""
    origin = held.origin or Origin()
    return told.get("etag", "").removeprefix("W/") == origin.etag.removeprefix("W/")


def updated(entry: Entry, fresh: Pairs) -> list[tuple[str, str]]:
    """Lay the headers of a 304 over those of the answer that it confirms."""
    told = [(name, value) for name, value in end_to_end(fresh) if name.lower() not in _OF_THE_BODY]
    replaced = {"date", *(name.lower() for name, _ in told)}  # a 304 without a date was made when it came
    return [*(pair for pair in _kept(entry) if pair[0].lower() not in replaced), *told]


def _kept(entry: Entry) -> list[tuple[str, str]]:
    etag = entry.origin.etag if entry.origin else ""
    coding = [] if entry.coding == "identity" else [("Content-Encoding", entry.coding)]
    return [*entry.headers, *([("ETag", etag)] if etag else []), *coding]
