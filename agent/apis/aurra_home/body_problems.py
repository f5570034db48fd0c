"""What is wrong with a body of AURRA Home, in words: which field, and what to send there. Pure.

Must never quote what was sent: it may be a secret.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

OBJECT = "send one JSON object"

_MISSING = re.compile(r"missing required field `(?P<field>[^`]+)`")
_PLACE = re.compile(r" - at `\$\.?(?P<place>[^`]*)`$")
_STEP = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")
_TIME_PATTERN = "[0-5][0-9]$"

_NOUNS = {
    "integer": ("a whole number", "minimum", "maximum", ""),
    "number": ("a number", "minimum", "maximum", ""),
    "string": ("a text", "minLength", "maxLength", " characters"),
    "array": ("a list", "minItems", "maxItems", " items"),
}
"""Each with the members of a JSON schema that bound it, and their unit."""

_SIMPLE = {"boolean": "true or false", "object": "an object", "null": "null"}


def explain(error: msgspec.ValidationError, kind: type) -> str:
    """Return what to send in place of a body.

    Args:
        error: Why it does not fit.
        kind: The struct of the body.
    """
    text = str(error)
    found = _PLACE.search(text)
    place = found["place"] if found else ""
    if missing := _MISSING.search(text):
        place = ".".join(filter(None, (place, missing["field"])))
    if not place:
        return OBJECT
    wanted = _describe(_field(msgspec.json.schema(kind), place))
    return f"send {place} as {wanted}: " + ("it is missing" if missing else "it is something else")


def _field(schema: Mapping[str, Any], place: str) -> Mapping[str, Any]:
    """Return the schema of a field, such as "blocks[0].start"; an empty one where it is not found."""
    here: Mapping[str, Any] = _resolve(schema, schema)
    for step in _STEP.finditer(place):
        here = here.get("properties", {}).get(step[2], {}) if step[2] else here.get("items", {})
        here = _resolve(schema, here)
    return here


def _resolve(schema: Mapping[str, Any], part: Mapping[str, Any]) -> Mapping[str, Any]:
    if "anyOf" in part:
        part = next(each for each in part["anyOf"] if each.get("type") != "null")
    if name := part.get("$ref", "").rpartition("/")[2]:
        resolved: Mapping[str, Any] = schema["$defs"][name]
        return resolved
    return part


def _describe(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return f"one of {', '.join(map(str, field['enum']))}"
    if field.get("pattern", "").endswith(_TIME_PATTERN):
        return "a time of day, HH:MM"
    name = str(field.get("type"))
    noun, least, most, unit = _NOUNS.get(name, ("", "", "", ""))
    return f"{noun}{_range(field, least, most, unit)}" if noun else _SIMPLE.get(name, "the contract says")


def _range(field: Mapping[str, Any], least: str, most: str, unit: str) -> str:
    if most not in field:
        return ""
    if least not in field:
        return f" of at most {field[most]:g}{unit}"
    return f" {'of' if unit else 'from'} {field[least]:g} to {field[most]:g}{unit}"
