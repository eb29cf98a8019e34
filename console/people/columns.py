"""What somebody says about the columns of a list, in a form: for each what it is taken as, or that it is not. Pure."""

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from audience.importing.columns import PROPERTY
from audience.importing.looking import Column
from audience.properties import Definitions, PropertyType
from console import choosing
from core.refusal import invalid

NOT_TAKEN: Final = "-"
NEW: Final = "new."
_FIELDS: Final = (
    ("email", "Address"), ("first_name", "First name"), ("last_name", "Last name"), ("name", "Whole name"),
    ("language", "Language"), ("time_zone", "Time zone"), ("unsubscribed", "Whether they left"),
    ("state", "State in the other system"),
)  # fmt: skip
_NEW: Final = (
    (NEW + PropertyType.STRING, "New property: text"), (NEW + PropertyType.NUMBER, "New property: number"),
    (NEW + PropertyType.BOOLEAN, "New property: yes or no"), (NEW + PropertyType.DATE, "New property: date"),
)  # fmt: skip
_ROOM: Final = 400
"""Options of all columns of a page together: about 16 KB."""
_FEWEST: Final = 8


def options(known: Definitions) -> Sequence[tuple[str, str]]:
    """What a column can be taken as."""
    own = [(PROPERTY + key, f"Property {key}") for key in known]
    return [(NOT_TAKEN, "Not taken"), *_FIELDS, *own, *_NEW]


def on_page(columns: Sequence[Column], choices: int) -> Sequence[Column]:
    """As many as a page has room for. The others are taken as they were guessed."""
    return columns[: max(_FEWEST, _ROOM // min(choices, choosing.MOST))]


def chosen(column: Column, said: Callable[[str], str]) -> str:
    """What a column is taken as, by what somebody said, else as it was guessed."""
    return said(f"c{column.number}") or column.taken or NOT_TAKEN


def mapped(columns: Sequence[Column], known: Definitions, said: Callable[[str], str]) -> Mapping[str, Any]:
    """What `asking.columns_of` reads; empty: nobody said anything. Raises Refused, naming the field."""
    if not any(said(f"c{one.number}") for one in columns):
        return {}
    fields: dict[str, str] = {}
    extra: dict[str, Any] = {}
    for column in columns:
        choice = choosing.picked(options(known), chosen(column, said), f"c{column.number}")
        if choice == NOT_TAKEN:
            continue
        where, name, value = _entry(choice, column)
        if name in (extra if where else fields):
            raise invalid(f"c{column.number}", "another column is taken as that already")
        (extra if where else fields)[name] = value
    if "email" not in fields:
        raise invalid("columns", "say which column holds the addresses")
    for column in columns:
        _let_go(column, fields, extra)
    return {**fields, "properties": extra}


def _entry(choice: str, column: Column) -> tuple[bool, str, Any]:
    if choice.startswith(NEW):
        return True, key_of(column), {"column": column.by, "type": choice.removeprefix(NEW)}
    if choice.startswith(PROPERTY):
        return True, choice.removeprefix(PROPERTY), column.by
    return False, choice, column.by


def _let_go(column: Column, fields: dict[str, str], extra: dict[str, Any]) -> None:
    """What was guessed, and is not wanted."""
    if column.taken.startswith(PROPERTY):
        extra.setdefault(column.taken.removeprefix(PROPERTY), "")
    elif column.taken:
        fields.setdefault(column.taken, "")


def key_of(column: Column) -> str:
    """A new property is called like its column, as far as a key can be."""
    plain = unicodedata.normalize("NFKD", column.name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")[:50] or f"column_{column.number}"
