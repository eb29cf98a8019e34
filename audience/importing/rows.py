"""Reads a list of contacts: each line a person, or a fault with its reason. Pure.

`core/list_files` and `core/list_rows` give the rows, `columns` says what they mean. Never stops at a
bad line. What is no address is told here; all else that speaks against one by `slices`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import chain, islice
from typing import Final, NamedTuple

import orjson

from audience import contact_fields, properties
from audience.importing.columns import PROPERTY, ColumnMap, Layout, layout_of
from audience.properties import Definitions
from core.addresses import AddressError, parse_mailbox, plain_address
from core.list_rows import csv_rows, plain_rows
from core.refusal import Refused
from suppression.columns import gets_mail, reason_of_state

_LOOKED_AT: Final = 20
"""Lines among which the header is looked for."""
_YES: Final = frozenset({"1", "true", "yes", "y", "x", "ja", "oui", "sí", "si"})
_REMEMBERED: Final = 10_000


class Why(StrEnum):
    """Why a line makes no contact. The values are stored and shown."""

    SYNTAX = "syntax"
    VALUE = "value"
    """A field that cannot be taken."""
    LEFT_THERE = "left_there"
    """The other system does not write to them any more."""
    NO_MAIL = "no_mail_server"
    """The domain takes no mail."""
    DISPOSABLE = "disposable"
    ROLE = "role"
    """info@, abuse@: nobody in person."""
    TYPO = "typo"
    DUPLICATE = "duplicate"
    """Named before in this list."""
    SUPPRESSED = "suppressed"
    KNOWN = "known"
    """A contact already, and nothing was to be changed."""


_Fields = tuple[str | None, str | None, str | None, str | None]


class Row(NamedTuple):
    """A person of the list. No value holds a control character."""

    line: int
    address: str
    """Folded."""
    email: str
    fields: _Fields
    """First and last name, language, time zone."""
    properties: str
    """As JSON."""
    unsubscribed: bool = False

    @property
    def domain(self) -> str:
        """Of the address."""
        return self.address.rpartition("@")[2]


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that makes no contact."""

    line: int
    text: str
    """The address as it stands there, at most 200 characters."""
    why: Why
    reason: str


Item = Row | Fault


@dataclass(slots=True)
class ContactReader:
    """Iterates over a list. `line` is the last line that was read."""

    lines: Iterable[str]
    known: Definitions
    given: ColumnMap = field(default_factory=ColumnMap)
    behind: int = 0
    """Items of the lines up to this one are left out."""
    line: int = 0
    layout: Layout | None = None
    """Once the first item was asked for, or `opened`."""
    _rest: Iterator[str] = field(init=False, default_factory=lambda: iter(()))
    _odd: dict[str, str | None] = field(init=False, default_factory=dict)
    _has_properties: bool = field(init=False, default=False)

    def opened(self) -> Layout:
        """What the columns mean. Raises Refused."""
        if self.layout is None:
            lines = iter(self.lines)
            head = list(islice(lines, _LOOKED_AT))
            self.layout = layout_of(head, self.given, self.known)
            self._rest = chain(head[self.layout.start :], lines)
            self._has_properties = any(name.startswith(PROPERTY) for name in self.layout.places)
        return self.layout

    def __iter__(self) -> Iterator[Item]:
        layout = self.opened()
        skipped = max(0, self.behind - layout.start)  # without a look at them
        self.line = start = layout.start + skipped
        lines = islice(self._rest, skipped, None)
        for at, cells in csv_rows(lines, layout.mark) if layout.mark else plain_rows(lines):
            self.line = start + at
            if isinstance(cells, str):
                yield Fault(self.line, "", Why.SYNTAX, cells)
            elif cells:
                yield self._item([*map(str.strip, cells)], layout.places)

    def _item(self, cells: list[str], places: Mapping[str, int]) -> Item:
        said = {name: cells[place] for name, place in places.items() if place < len(cells) and cells[place]}
        text = said.get("email", "")
        name = ""
        try:
            if (plain := plain_address(text)) is None:
                box = parse_mailbox(text)
                plain, name = (box.wire, box.key), box.name
        except AddressError as error:
            return Fault(self.line, text[:200], Why.SYNTAX, error.reason)
        if (state := said.get("state")) and reason_of_state(state) and not gets_mail(state):
            return Fault(self.line, text[:200], Why.LEFT_THERE, f"the list says {state[:60]!r}")
        try:
            fields = self._fields(said, name)
            extra = self._properties(said) if self._has_properties else "{}"
        except Refused as error:
            return Fault(self.line, text[:200], Why.VALUE, str(error))
        left = said.get("unsubscribed", "").lower() in _YES
        return Row(self.line, plain[1], plain[0], fields, extra, left)

    def _fields(self, said: Mapping[str, str], beside: str) -> _Fields:
        first, last = said.get("first_name"), said.get("last_name")
        if not first and not last and (whole := said.get("name") or beside):
            first, _, last = whole.partition(" ")  # a name in one column, or beside the address
        language, zone = said.get("language"), said.get("time_zone")
        return (
            _name("first_name", first),
            _name("last_name", last and last.strip()),
            self._rare("language", language) if language else None,
            self._rare("time_zone", zone) if zone else None,
        )

    def _rare(self, name: str, text: str) -> str | None:
        """Languages and zones are few, and dear to read."""
        key = f"{name} {text[:200]}"
        if key not in self._odd:
            if len(self._odd) >= _REMEMBERED:
                self._odd.clear()
            self._odd[key] = _checked(name, text)
        return self._odd[key]

    def _properties(self, said: Mapping[str, str]) -> str:
        given = {name.removeprefix(PROPERTY): text for name, text in said.items() if name.startswith(PROPERTY)}
        if not given:
            return "{}"
        return orjson.dumps(properties.merged({}, properties.checked(given, self.known))).decode()


def _name(name: str, text: str | None) -> str | None:
    """Nearly all are plain: then there is nothing to be checked."""
    if not text or (text.isprintable() and len(text) <= contact_fields.LONGEST_NAME):
        return text or None
    return _checked(name, text)


def _checked(name: str, text: str) -> str | None:
    found = contact_fields.checked_fields({name: text})[name]
    return str(found) if found else None
