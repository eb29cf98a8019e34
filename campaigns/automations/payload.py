"""What an event carries: its schema, and the values that fit it. Pure.

A schema names fields and their types. A value is taken as it is when it is of its type, or when its text says one
("12", "true", a date); else the event is refused. Fields that the schema does not name go through as they are.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

import orjson

from core.refusal import invalid

MOST_FIELDS: Final = 100
MOST_BYTES: Final = 64 * 1024
_MOST_NAME: Final = 100


class FieldType(StrEnum):
    """What a field holds. The values are stored, and Resend's."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


def schema(given: object) -> dict[str, str] | None:
    """What somebody gave. Raises Refused."""
    if given is None:
        return None
    if not isinstance(given, Mapping) or len(given) > MOST_FIELDS:
        raise invalid("schema", f"it must be an object with at most {MOST_FIELDS} fields")
    for name, kind in given.items():
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_NAME or not name.isprintable():
            raise invalid("schema", f"names of fields have 1 to {_MOST_NAME} characters")
        if kind not in list(FieldType):
            raise invalid(f"schema.{name}", f"it must be {', '.join(FieldType)}")
    return dict(given)


def fitting(payload: object, known: Mapping[str, str] | None) -> dict[str, Any]:
    """The payload as it is kept. Raises Refused naming the field."""
    types = known or {}
    kept = plain("payload", payload)
    return {name: _value(name, value, types.get(name)) for name, value in kept.items()}


def plain(field: str, given: object) -> dict[str, Any]:
    """An object of JSON that can be stored; None: an empty one. Raises Refused naming the field."""
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise invalid(field, "it must be an object")
    try:
        text = orjson.dumps(given)
    except (orjson.JSONEncodeError, RecursionError):
        raise invalid(field, "it is no JSON") from None
    if len(text) > MOST_BYTES:
        raise invalid(field, f"it has more than {MOST_BYTES} bytes")
    if b"\\u0000" in text:
        raise invalid(field, "it holds a NUL")
    found: dict[str, Any] = orjson.loads(text)
    return found


def _value(name: str, value: object, kind: str | None) -> object:
    if kind is None or value is None:
        return value
    found = _READ[FieldType(kind)](value)
    if found is None:
        raise invalid(f"payload.{name[:_MOST_NAME]}", f"it must be of type {kind}")
    return found


def _string(value: object) -> str | None:
    if isinstance(value, bool):
        return None
    return str(value) if isinstance(value, str | int | float) else None


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    if isinstance(value, int | float):
        return value
    try:
        found = float(value) if len(value) <= 40 else float("nan")
    except ValueError:
        return None
    if found - found != 0:  # neither infinite nor no number
        return None
    return int(found) if found.is_integer() and "." not in value and abs(found) < 2**53 else found


def _boolean(value: object) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def _date(value: object) -> str | None:
    try:
        return value if isinstance(value, str) and datetime.fromisoformat(value) else None
    except ValueError:
        return None


_READ: Final = {
    FieldType.STRING: _string, FieldType.NUMBER: _number, FieldType.BOOLEAN: _boolean, FieldType.DATE: _date,
}  # fmt: skip
