"""Asking a flag: is this on, for this application, for this mail? And the switches that this process goes by.

They are the process's, as its metrics are: `flags/watch` puts all of them in place at once, and whoever asks looks into
a dictionary: 100 to 200 ns, where an application has a switch of its own 180 to 340, for a share, which hashes an id,
800 to 1,500 (two runs on two busy cores of an Intel Xeon, Python 3.11).

What is asked before anything was read gets the default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from hashlib import blake2b
from typing import Final
from uuid import UUID

from core.logs import get_logger

_log = get_logger(__name__)

OFF: Final = 0
ON: Final = 100
_WHOLE: Final = (OFF, ON)
_NOBODY: Final = UUID(int=0)


class By(StrEnum):
    """What a share is a share of."""

    MAIL = "mail"
    APPLICATION = "application"
    POOL = "pool"


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag, as it is declared."""

    name: str
    meaning: str
    """What it does while it is on, in a sentence."""
    off: str
    """What is different while it is off, in a sentence or two."""
    owner: str
    """The package whose people know whether it can go."""
    default: bool
    by: By
    introduced: date
    until: date
    """By then it should be gone from the code; the day after, a test fails."""

    @property
    def declared(self) -> int:
        """The share it is on for without any switch."""
        return ON if self.default else OFF

    def on(self, application_id: UUID | None, key: UUID | None = None) -> bool:
        """Whether it holds. `key`: of what a share is taken (the mail, the pool); by default the application."""
        switch = _held.switches.get(self.name)
        if switch is None:
            return self.default
        percent = switch.percent
        if switch.applications and application_id is not None:
            percent = switch.applications.get(application_id, percent)
        if percent is None:
            return self.default
        if percent in _WHOLE:
            return percent == ON
        return place_of(self.name, key or application_id or _NOBODY) < percent


@dataclass(frozen=True, slots=True)
class Switch:
    """How a flag is switched: for which share it is on, from 0 (off) to 100 (on). None: nobody has switched it."""

    percent: int | None = None
    applications: Mapping[UUID, int] = field(default_factory=dict)
    """Those with a switch of their own, which goes before."""


Switches = Mapping[str, Switch]
"""By the flag's name. What is not there is as declared."""


@dataclass(slots=True)
class _Held:
    switches: Switches = field(default_factory=dict)
    as_of: datetime | None = None


_held: Final = _Held()


def place_of(name: str, key: UUID) -> int:
    """From 0 to 99, the same in every process: who is in at 10 % is in at 20 %. Each flag draws anew."""
    drawn = blake2b(name.encode() + key.bytes, digest_size=8).digest()
    return int.from_bytes(drawn) * 100 >> 64


def hold(switches: Switches, as_of: datetime | None) -> None:
    """Go by these from now on."""
    for name in sorted({*switches, *_held.switches}):
        if switches.get(name) != _held.switches.get(name):
            switch = switches.get(name, Switch())
            _log.info("flag_switched", flag=name, percent=switch.percent, applications=len(switch.applications))
    _held.switches, _held.as_of = switches, as_of


def as_of() -> datetime | None:
    """When this process read its switches last, by the database's clock. None: not yet, so every flag is as
    declared."""
    return _held.as_of
