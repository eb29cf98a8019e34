"""Switching flags, and how each stands. Raises Refused; who switched what and when stands with it.

Every process goes by a change within two seconds of its commit (`flags/watch`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import psycopg

from core.refusal import conflict, invalid, not_found
from flags import repository
from flags.asking import OFF, ON, By, Flag
from flags.declared import FLAGS, flag_named
from flags.repository import Setting
from store.database import Connection

IN_FORCE_SECONDS: Final = 2
"""After the commit of a change every process goes by it."""
LONGEST_REASON: Final = 500
_SAID: Final = 3
"""Applications that a sentence names."""


@dataclass(frozen=True, slots=True)
class State:
    """How a flag stands."""

    flag: Flag
    setting: Setting | None
    """The last for everything, if there was one."""
    own: Sequence[Setting]
    """Of applications with a switch of their own."""

    @property
    def percent(self) -> int:
        """For which share it is on, where no application has its own."""
        if self.setting is None or self.setting.percent is None:
            return self.flag.declared
        return self.setting.percent

    @property
    def as_declared(self) -> bool:
        """It does what it does without any switch."""
        return self.percent == self.flag.declared and not self.own

    @property
    def told(self) -> str:
        """On, off, or for which share."""
        return words_of(self.flag, self.percent)

    @property
    def told_with_own(self) -> str:
        """The same, with those applications that differ."""
        own = [f"{words_of(self.flag, one.percent or OFF)} for {one.application}" for one in self.own[:_SAID]]
        more = [f"{len(self.own) - _SAID} more"] if len(self.own) > _SAID else []
        return f"{self.told} ({', '.join(own + more)})" if own else self.told

    def of(self, application_id: UUID | None) -> int | None:
        """What is set for an application, or for everything; None for nothing."""
        rows = [self.setting] if application_id is None else self.own
        return next((row.percent for row in rows if row is not None and row.application_id == application_id), None)


@dataclass(frozen=True, slots=True)
class Change:
    """What somebody wants: `percent` None is back to what is declared (for an application: to what holds for all)."""

    percent: int | None
    application_id: UUID | None = None
    reason: str = ""


async def states(connection: Connection) -> list[State]:
    """Every flag, in the order of their declaration."""
    rows = await repository.settings(connection)
    return [
        State(
            flag,
            next((row for row in rows if row.name == flag.name and row.application_id is None), None),
            [row for row in rows if row.name == flag.name and row.application_id and row.percent is not None],
        )
        for flag in FLAGS
    ]


async def state(connection: Connection, name: str) -> State:
    """One flag."""
    flag = flag_named(name)
    return next(one for one in await states(connection) if one.flag is flag)


async def switch(connection: Connection, name: str, change: Change, by: str) -> State:
    """Switch a flag; the flag as it stands then."""
    flag = flag_named(name)
    check(flag, change)
    if change.percent is None and (await state(connection, name)).of(change.application_id) is None:
        raise conflict(f"nobody has switched {name}", "It stands as declared.")
    names = {"name": name, "application": change.application_id, "percent": change.percent, "by": by}
    try:
        await repository.put(connection, names | {"reason": change.reason.strip()})
    except psycopg.errors.ForeignKeyViolation:
        raise not_found(f"there is no application {change.application_id}") from None
    return await state(connection, name)


def words_of(flag: Flag, percent: int) -> str:
    """`on`, `off`, `on for 20 % of mail`."""
    if percent in (OFF, ON):
        return "on" if percent == ON else "off"
    return f"on for {percent} % of {'mail' if flag.by is By.MAIL else f'{flag.by}s'}"


def percent_of(text: str) -> int:
    """What somebody typed: `on`, `off`, `20%`. Raises Refused."""
    plain = text.strip().lower().removesuffix("%").strip()
    if plain in ("on", "off"):
        return ON if plain == "on" else OFF
    if not plain.isascii() or not plain.isdigit() or len(plain) > 3:
        raise invalid("percent", "it must be on, off, or a whole number from 0 to 100 with a % behind it")
    return int(plain)


def check(flag: Flag, change: Change) -> None:
    """Raise Refused for what cannot be."""
    percent, reason = change.percent, change.reason
    if percent is not None and not OFF <= percent <= ON:
        raise invalid("percent", "it must be a whole number from 0 (off) to 100 (on)")
    if len(reason) > LONGEST_REASON or not reason.isprintable():
        raise invalid("reason", f"it must have at most {LONGEST_REASON} printable characters")
    if change.application_id is None:
        return
    if flag.by is By.POOL:
        raise invalid("application", f"{flag.name} is about pools: switch it for everything")
    if flag.by is By.APPLICATION and percent not in (None, OFF, ON):
        raise invalid("percent", "of one application it is on or off: it takes a share of applications")
