"""docs/configuration.md, made of proxy.schema: each key with its variable, its default, and what it accepts.

`make docs` writes it; a test compares the two, so a key cannot change without its page.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BeforeValidator
from pydantic.fields import FieldInfo

from proxy import addresses
from proxy.layers import PREFIX
from proxy.schema import POLICIES, Config, PolicyRow, Section, Tenant, duration_or_none, size_or_none
from proxy.units import duration, size, spell, spell_size

PAGE = Path(__file__).parents[1] / "docs" / "configuration.md"

_OPENING = f"""<!-- Made of proxy/schema.py by `make docs`: change the text there. -->
# Configuration

Every key, with its default. [config.yaml](../config.yaml) shows them as a file;
[the README](../README.md#configuration) tells what is read and when.

A key's variable goes over the file. It is `{PREFIX}`, then the sections and the key with two underscores between them.
`NAME` and `TYPE` are names to choose; a tenant's hyphens are underscores in its variables.

- A *duration* has a unit: `250ms`, `30s`, `5m`, `1h`, `7d`. So has a *size*: `512KiB`, `8MiB`, `1GiB`. Only 0 stands
  alone.
- `null`, or a variable that is empty, is "none", where a key accepts it.
- A list in a variable is written `a, b`.
- An unknown key, or a value that cannot be, stops the start with one line that names the place, and exit code 2.
"""

_MEANINGS: Mapping[object, str] = {
    addresses.address: "HOST:PORT",
    addresses.site: "URL",
    addresses.path: "path",
    addresses.store: "URL",
    addresses.host: "list of host names",
}
"""What a checked text is, by what checks it."""

_BOUNDS: Mapping[str, str] = {"gt": "more than", "ge": "at least", "le": "at most"}
"""A bound, by the attribute that pydantic's note of it has."""

_CHOSEN: Mapping[type[Section], str] = {Tenant: ".NAME", PolicyRow: ".TYPE"}
"""What stands under a name that is to be chosen."""

_PLAIN: Mapping[Any, str] = {bool: "true, false", int: "number", float: "number"}


def reference() -> str:
    """Write the page."""
    return "\n".join([_OPENING, *_section("", Config), *_types()])


def _section(path: str, model: type[Section]) -> Iterator[str]:
    """Write one section's table, and after it those of the sections within."""
    inner = {name: found for name, field in model.model_fields.items() if (found := _within(name, field))}
    yield from (f"## `{path}`" if path else "## At the top", "", " ".join((model.__doc__ or "").split()), "")
    yield from ("| Key | Accepts | Default | Meaning | Variable |", "|---|---|---|---|---|")
    for name, field in model.model_fields.items():
        if name not in inner:
            yield _row(f"{path}.{name}".lstrip("."), field)
    yield ""
    for below, section in inner.values():
        yield from _section(f"{path}.{below}".lstrip("."), section)


def _within(name: str, field: FieldInfo) -> tuple[str, type[Section]] | None:
    """Name the section that a key holds, with the name that is to be chosen in it if there is one."""
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, Section):
            return f"{name}{_CHOSEN.get(kind, '')}", kind
    return None


def _row(path: str, field: FieldInfo) -> str:
    default = "*by type, below*" if field.is_required() else f"`{_shown(field.default, field)}`"
    variable = f"`{PREFIX}{path.replace('.', '__').upper()}`"
    return f"| `{path.rpartition('.')[2]}` | {_accepts(field)} | {default} | {field.description} | {variable} |"


def _accepts(field: FieldInfo) -> str:
    """Say what a key takes: its kind, its bounds, and whether it may be none."""
    none = ["or null"] if type(None) in get_args(field.annotation) else []
    return ", ".join([_kind(field), *_bounds(field), *none])


def _kind(field: FieldInfo) -> str:
    if _is_duration(field):
        return "list of durations" if get_origin(field.annotation) is tuple else "duration"
    if _is_size(field):
        return "size"
    known = [_MEANINGS[check] for check in _checks(field) if check in _MEANINGS]
    return known[0] if known else _plain(field.annotation)


def _plain(kind: Any) -> str:
    """Name a kind that needs no check of ours."""
    if get_origin(kind) is Literal:
        return _either(get_args(kind))
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return _either([each.value for each in kind])
    if get_origin(kind) is tuple:
        return "list of rows"
    within = [each for each in get_args(kind) if each is not type(None)]
    return _plain(within[0]) if within else _PLAIN.get(kind, "text")


def _either(words: Any) -> str:
    return ", ".join(f"`{word}`" for word in words)


def _bounds(field: FieldInfo) -> Iterator[str]:
    for note in _notes(field):
        for attribute, word in _BOUNDS.items():
            if hasattr(note, attribute):
                yield f"{word} {_shown(getattr(note, attribute), field)}"
        if hasattr(note, "min_length"):
            yield f"{note.min_length} characters or more"


def _shown(value: Any, field: FieldInfo) -> str:
    """Spell a value as the configuration does."""
    if isinstance(value, tuple) and not isinstance(value, addresses.Address):
        return f"[{', '.join(_shown(each, field) for each in value)}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if _is_duration(field):
        return spell(value)
    if _is_size(field):
        return spell_size(value)
    return str(value) or '""'


def _is_duration(field: FieldInfo) -> bool:
    return not {duration, duration_or_none}.isdisjoint(_checks(field))


def _is_size(field: FieldInfo) -> bool:
    return not {size, size_or_none}.isdisjoint(_checks(field))


def _checks(field: FieldInfo) -> Iterator[object]:
    """Find what checks a key's value, or those of the list that it is."""
    for note in _notes(field):
        if isinstance(note, AfterValidator | BeforeValidator):
            yield note.func


def _notes(field: FieldInfo) -> Iterator[object]:
    yield from field.metadata
    yield from _deep(field.annotation)


def _deep(kind: Any) -> Iterator[object]:
    yield from getattr(kind, "__metadata__", ())
    for within in get_args(kind):
        yield from _deep(within)


def _types() -> Iterator[str]:
    """Write the table of what each type's policy has besides the defaults."""
    yield from ("## Types", "", "The types there are, and where their policies differ from the defaults above.", "")
    yield from ("| Type | Policy |", "|---|---|")
    for name, row in POLICIES.items():
        keys = ", ".join(f"{key}: {_listed(value)}" for key, value in row.items())
        yield f"| `{name}` | `{keys}` |"
    yield ""


def _listed(value: object) -> str:
    return f"[{', '.join(value)}]" if isinstance(value, list) else f"{value}"


if __name__ == "__main__":
    PAGE.write_text(reference(), "utf-8")
