"""What the columns of a list of contacts mean: guessed from their headers, unless somebody says so. Pure.

Known are the words for address, name, language and time zone in the languages of our pages, and those that Mailchimp,
Brevo, listmonk, MailerLite and Resend write; a column called like a property of the application is that property. What
is left is named, so that whoever imports sees what is lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from audience.properties import Definitions
from core.addresses import AddressError, fold_address
from core.list_rows import MARKS, says_something, split
from core.refusal import Refused, invalid
from suppression import columns as exports
from suppression.columns import ADDRESS, plain

_WORDS: Final[Mapping[str, frozenset[str]]] = {
    "email": ADDRESS,
    "first_name": frozenset(
        {"firstname", "fname", "givenname", "forename", "vorname", "prénom", "prenom", "nombre", "contactfirstname"}
    ),
    "last_name": frozenset(
        {"lastname", "lname", "surname", "familyname", "nachname", "familienname", "nom", "nomdefamille", "apellido",
         "apellidos", "contactlastname"}
    ),
    "name": frozenset({"name", "fullname", "contactname", "subscribername", "nomcomplet", "nombrecompleto"}),
    "language": frozenset({"language", "lang", "locale", "sprache", "langue", "idioma"}),
    "time_zone": frozenset({"timezone", "tz", "zeitzone", "fuseauhoraire", "zonahoraria"}),
    "unsubscribed": frozenset({"unsubscribed", "optedout", "optout", "emailblacklisted", "abgemeldet"}),
    "state": frozenset({"status", "subscriptionstatus", "state", "subscriberstatus"}),
}  # fmt: skip
FIELDS: Final = tuple(_WORDS)
"""What a column may be besides a property."""
PROPERTY: Final = "properties."


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What somebody says about columns: names or numbers from 1, by field; "" takes none."""

    fields: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.fields or self.properties)


@dataclass(frozen=True, slots=True)
class Layout:
    """A list as it is read."""

    start: int
    """Lines in front of the first contact."""
    mark: str
    """The separator; "" for one address a line."""
    header: tuple[str, ...]
    """Empty: the list has none."""
    places: Mapping[str, int]
    """Columns by field, from 0; properties as `properties.KEY`."""
    left: tuple[str, ...]
    """Headers of the columns that nothing is taken from."""


def layout_of(head: Sequence[str], given: ColumnMap, known: Definitions) -> Layout:
    """From the first lines of a list. Raises Refused: no column holds addresses, or what was said cannot be."""
    wanted = given.fields.get("email", "").lower()
    for said in (True, False) if wanted and not wanted.isdigit() else (False,):
        for number, line in enumerate(head):
            for mark in MARKS:
                cells = split(line, mark)
                if any(cell.lower() == wanted if said else plain(cell) in ADDRESS for cell in cells):
                    return _with_header(number + 1, mark, cells, given, known)
    for number, line in enumerate(head):
        for mark in MARKS:
            cells = split(line, mark)
            place = next((n for n, cell in enumerate(cells) if _is_address(cell)), None)
            if place is not None and (len(cells) > 1 or mark == MARKS[-1]):
                places = _taken({"email": place} | _said(given, [""] * len(cells)))
                return Layout(number, mark if len(cells) > 1 else "", (), places, ())
    first = next((line.strip()[:80] for line in head if says_something(line)), "")
    raise invalid("file", f"no column holds addresses; it begins with {first!r}" if first else "the list is empty")


def _with_header(start: int, mark: str, cells: Sequence[str], given: ColumnMap, known: Definitions) -> Layout:
    about = exports.columns_of(cells)
    if about is not None and about.usual is not None:
        raise Refused(
            "invalid", "this list names people who left, bounced or complained, not people to write to", "file",
            "Import it with `postlane suppressions import`.", "not_contacts",
        )  # fmt: skip
    places = _taken(_guessed(cells, known) | _said(given, cells))
    left = tuple(cell for n, cell in enumerate(cells) if n not in places.values() and cell.strip())
    return Layout(start, mark, tuple(cells), places, left)


def _guessed(cells: Sequence[str], known: Definitions) -> dict[str, int]:
    names = [plain(cell) for cell in cells]
    found: dict[str, int] = {}
    keys = {plain(key): key for key in known}
    for place, name in enumerate(names):
        word = next((field for field, words in _WORDS.items() if name in words), None)
        if word is None and name in keys:
            word = PROPERTY + keys[name]
        if word is not None:
            found.setdefault(word, place)
    if {"first_name", "last_name"} & found.keys():
        found.pop("name", None)
    return found


def _said(given: ColumnMap, cells: Sequence[str]) -> dict[str, int]:
    wanted = dict(given.fields) | {PROPERTY + key: column for key, column in given.properties.items()}
    return {name: _place(name, column, cells) for name, column in wanted.items()}


def _taken(places: Mapping[str, int]) -> dict[str, int]:
    return {name: place for name, place in places.items() if place >= 0}


def _place(name: str, column: str, cells: Sequence[str]) -> int:
    if not column:
        return -1
    by_name = [n for n, cell in enumerate(cells) if cell.strip().lower() == column.strip().lower()]
    if by_name:
        return by_name[0]
    if column.isdigit() and 1 <= int(column) <= len(cells):
        return int(column) - 1
    shown = ", ".join(filter(None, cells)) or f"{len(cells)} columns without names"
    raise invalid("column_map", f"there is no column {column[:60]!r} for `{name}`; there are {shown[:300]}")


def _is_address(text: str) -> bool:
    try:
        return bool(fold_address(text))
    except AddressError:
        return False
