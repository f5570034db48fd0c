"""How a configuration key is declared: on the field of the struct that holds its value, once, with type and default.

`agent.config.tables` declares all of them. Everything else about keys is derived from those declarations: what a file
may hold, the defaults, the example files, and the origin that `climahub config show` names. Reads no file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args, get_origin

import msgspec

from agent.config.types import ValueType, boolean, choice

S = TypeVar("S", bound=msgspec.Struct)

Edit = Literal["live", "restart", "file"]
"""How a key may be changed at a running hub: in force at once, by a restart of the hub within its process, or only in
the file, by whoever administers the machine."""


class KeySpec(msgspec.Struct, frozen=True):
    """What a field's annotation says of its key; see `Key`."""

    reason: str
    type: ValueType | None = None
    example: object = None
    is_chosen: bool = False
    edit: Edit = "restart"


class TableSpec(msgspec.Struct, frozen=True):
    """What a field's annotation says of its table.

    Attributes:
        about: One line for the example file.
        entries: The keys of a table that becomes a mapping and not a struct, by name.
    """

    about: str
    entries: Mapping[str, KeySpec] = MappingProxyType({})


def key(
    reason: str,
    type_: ValueType | None = None,
    *,
    example: object = None,
    is_chosen: bool = False,
    edit: Edit = "restart",
) -> KeySpec:
    """Return the declaration of a key, for the `Annotated` type of a field.

    The field's default is the key's. A field without one is a key that the file must have; a default of `None` is a key
    that may be left out and has no default.

    Args:
        reason: One line: what the key is for, or why the default is what it is.
        type_: What may stand there; may be left out of fields that are `bool` or a `Literal`.
        example: For a key without default: what the example file shows.
        is_chosen: Whoever installs a hub has to think about it: it stands in the short example.
        edit: How it may be changed at a running hub. A path is changed in the file only: what an agent reads and writes
            is decided by whoever administers the machine.
    """
    return KeySpec(reason, type_, example, is_chosen, edit)


def table(about: str, entries: Mapping[str, KeySpec] | None = None) -> TableSpec:
    """Return the declaration of a table, for the `Annotated` type of a field; see `TableSpec`."""
    return TableSpec(about, entries or {})


class Key(msgspec.Struct, frozen=True):
    """One key.

    Attributes:
        path: Dotted, as in the file.
        type: What may stand there.
        default: As TOML would write it; `None` where there is none.
        reason: One line: what it is for, or why the default is what it is.
        is_required: The file must have it.
        example: For a key without default: what the example file shows.
        is_chosen: Whoever installs a hub has to think about it: it stands in the short example.
        edit: How it may be changed at a running hub.
    """

    path: str
    type: ValueType
    default: object
    reason: str
    is_required: bool = False
    example: object = None
    is_chosen: bool = False
    edit: Edit = "restart"

    @property
    def section(self) -> str:
        """The table the key stands in."""
        return self.path.rpartition(".")[0]

    @property
    def name(self) -> str:
        """The key within its table."""
        return self.path.rpartition(".")[2]


def tables_of(root: type[msgspec.Struct], path: str = "") -> Iterator[tuple[str, str]]:
    """Yield the dotted path of each table below ``root`` and what it is about, in the order of the fields."""
    for field in msgspec.structs.fields(root):
        spec, kind = _declared(root, field.name)
        if isinstance(spec, TableSpec):
            here = _join(path, field.name)
            yield here, spec.about
            if not spec.entries:
                yield from tables_of(kind, here)


def keys_of(root: type[msgspec.Struct], path: str = "") -> Iterator[Key]:
    """Yield each key below ``root``, in the order of the fields."""
    for field in msgspec.structs.fields(root):
        spec, kind = _declared(root, field.name)
        here = _join(path, field.name)
        if isinstance(spec, KeySpec):
            default = None if field.required else _as_toml(field.default)
            yield _key(here, spec, kind, default, is_required=field.required)
        elif spec.entries:
            yield from (_key(_join(here, name), entry, str, None) for name, entry in spec.entries.items())
        else:
            yield from keys_of(kind, here)


def build(root: type[S], values: Mapping[str, object], path: str = "") -> S:
    """Return the struct that holds ``values``, given by the dotted paths of their keys.

    A table with `entries` becomes a mapping of those that have a value.
    """
    fields: dict[str, object] = {}
    for field in msgspec.structs.fields(root):
        spec, kind = _declared(root, field.name)
        here = _join(path, field.name)
        if isinstance(spec, KeySpec):
            fields[field.name] = values[here]
        elif spec.entries:
            entries = {name: values[_join(here, name)] for name in spec.entries}
            fields[field.name] = MappingProxyType({name: value for name, value in entries.items() if value is not None})
        else:
            fields[field.name] = build(kind, values, here)
    return root(**fields)


def _declared(root: type[msgspec.Struct], name: str) -> tuple[KeySpec | TableSpec, Any]:
    kind, spec = get_args(root.__annotations__[name])
    return cast("KeySpec | TableSpec", spec), kind


def _key(path: str, spec: KeySpec, kind: Any, default: object, *, is_required: bool = False) -> Key:  # noqa: ANN401
    type_ = spec.type or _type_of(kind)
    edit: Edit = "file" if kind is Path or Path in get_args(kind) else spec.edit
    return Key(path, type_, default, spec.reason, is_required, spec.example, spec.is_chosen, edit)


def _type_of(kind: Any) -> ValueType:  # noqa: ANN401 - any annotation
    if get_origin(kind) is Literal:
        return choice(*get_args(kind))
    if kind is bool:
        return boolean()
    raise TypeError(f"a key of the type {kind} needs its type of values")


def _as_toml(default: object) -> object:
    match default:
        case Path():
            return str(default)
        case tuple():
            return list(default)
        case _:
            return default


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
