"""The allowance of warming IPs: reserved in PostgreSQL before mail is sent, returned when it was not.

The hard promise of warm-up is kept here and nowhere else: what an IP is granted on one track and day is one row of
`warmup_days`, and the only statement that raises `granted` adds to it where the sum stays within `cap`, under a lock on
the row. The day and the hour come from the database's clock in the plan's time zone, so that a worker's clock, a lost
Redis (which plays no part here) or a killed process cannot lead above a cap: a worker that dies with a reservation has
used less than it was granted. If the database's own clock jumps, the day it jumps to has its own row and its own cap.

`warming` says, from a snapshot in memory, whether an IP has caps at a provider at
all; `reserve` asks for a whole batch in one statement; `give_back` returns what was not used. Never decides about
stages: `warmup/duty` does, once a day.

Fail closed: while there is no fresh snapshot `warming` answers that every IP may be warming, so that every batch is
reserved, and a `reserve` that gets no answer raises.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any, Final

from psycopg.rows import dict_row

from core.logs import get_logger
from core.queues import Lane
from core.tasks import end
from store.database import Database, DatabaseUnavailableError
from warmup.plan import REST, Plan, Transactional, parse
from warmup.reserving import GIVE_BACK, RESERVE, SNAPSHOT
from warmup.shares import Used, next_opening

_log = get_logger(__name__)

REFRESH_SECONDS: Final = 2.0
"""Between two readings of the snapshot: how long a worker may not know of a warm-up that was just started."""

STALE_SECONDS: Final = 10.0
"""A snapshot older than this is no longer believed when it says that an IP is free."""

REMEMBER_SECONDS: Final = 2.0
"""How long "nothing left" is answered from memory, at most until the next share opens: a used-up IP should not cost a
statement for every batch."""

_ATTEMPTS: Final = 5
"""A row that somebody else made at the same moment is found by asking again; the second time finds it."""


@dataclass(frozen=True, slots=True)
class Warming:
    """An IP has caps at a provider: ask `reserve` before sending."""

    ip: str
    track: str
    stage: int
    """From 1; 0: not known, see `known`."""
    stages: int
    transactional: Transactional
    known: bool = True
    """False: the snapshot could not be read, the IP may be warming."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """`n` (≥ 1) mails of one lane that want to leave an IP for a provider."""

    ip: str
    provider: str
    n: int
    lane: Lane


@dataclass(frozen=True, slots=True)
class Reserved:
    """The answer to one `Wanted`, in the same place."""

    ip: str
    provider: str
    track: str
    day: date | None
    """The day it counts on; None: nothing was counted (the IP has no cap here, or nothing was granted)."""
    granted: int
    until: datetime | None
    """When not everything was granted: when there can be more (aware UTC); None then means that nobody knows."""
    reason: str
    """Why not everything was granted; "" when it was."""


@dataclass(frozen=True, slots=True)
class Returned:
    """`n` mails of a reservation that were not sent. Return each reservation at most once: what goes back is granted
    again. `day` None (nothing was counted) is passed over."""

    ip: str
    track: str
    day: date | None
    n: int


class Ledger:
    """One per worker process; all methods belong to its event loop."""

    def __init__(self, database: Database, *, remember_seconds: float = REMEMBER_SECONDS) -> None:
        self._database = database
        self._remember = remember_seconds
        self._snapshot: Mapping[str, Mapping[str, Warming | None]] = {}
        self._believed_until = 0.0
        self._closed: dict[tuple[str, str, Lane], tuple[float, Reserved]] = {}
        self._plans: dict[str, tuple[Any, Plan]] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read the snapshot, and keep reading it. A database that is away does not stop the start."""
        await self._try_refresh()
        self._task = asyncio.create_task(self._keep_fresh(), name="warmup-ledger")

    async def stop(self) -> None:
        """Stop reading. What is reserved stays reserved: the caller gives back what he has not used."""
        if self._task is not None:
            await end([self._task])
            self._task = None

    def warming(self, ip: str, provider: str) -> Warming | None:
        """What caps an IP at a provider, from memory; None: it is free of any cap."""
        if time.monotonic() > self._believed_until:
            return Warming(ip, REST, 0, 0, Transactional.SHARE, known=False)
        if not self._snapshot:
            return None
        tracks = self._snapshot.get(ip)
        if tracks is None:
            return None
        return tracks[provider] if provider in tracks else tracks[REST]

    async def refresh(self) -> None:
        """Read the snapshot now. Raises DatabaseUnavailableError."""
        async with self._database.connection() as connection:
            asked = time.monotonic()
            rows = await (await connection.execute(SNAPSHOT)).fetchall()
        found: dict[str, dict[str, Warming | None]] = {}
        for ip, track, stage, stages, active, transactional in rows:
            warming = Warming(ip, track, stage, stages, Transactional(transactional)) if active else None
            found.setdefault(ip, {})[track] = warming
        self._snapshot = {ip: {REST: None, **tracks} for ip, tracks in found.items() if any(tracks.values())}
        self._believed_until = asked + STALE_SECONDS

    async def reserve(self, wanted: Sequence[Wanted]) -> list[Reserved]:
        """Grant what the caps leave, in part if need be: one answer for each, in the same order.

        One statement and one commit for all of them. Raises DatabaseUnavailableError: then nothing may be sent through
        an IP that is warming, and what a lost commit may have granted stays unused.
        """
        now = time.monotonic()
        answers: list[Reserved | None] = [self._remembered(one, now) for one in wanted]
        waiting = [place for place, answer in enumerate(answers) if answer is None]
        for _ in range(_ATTEMPTS):
            if not waiting:
                break
            rows = await self._ask([wanted[place] for place in waiting])
            self._deal(wanted, waiting, rows, answers)
            waiting = [place for place in waiting if answers[place] is None]
        return [answer or _refused(wanted[place]) for place, answer in enumerate(answers)]

    async def give_back(self, unused: Sequence[Returned]) -> None:
        """Return what was reserved and not sent, to the day it was taken from. Raises DatabaseUnavailableError: then it
        stays used up, which is the safe side."""
        sums: dict[tuple[str, str, date], int] = {}
        for one in unused:
            if one.day is not None and one.n > 0:
                key = (one.ip, one.track, one.day)
                sums[key] = sums.get(key, 0) + one.n
        if not sums:
            return
        ips = {ip for ip, _, _ in sums}
        self._closed = {key: value for key, value in self._closed.items() if key[0] not in ips}
        columns = list(zip(*sums, strict=True))
        given = {
            "ips": list(columns[0]),
            "tracks": list(columns[1]),
            "days": list(columns[2]),
            "n": list(sums.values()),
        }
        async with self._database.connection() as connection:
            await connection.execute(GIVE_BACK, given)

    async def _ask(self, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
        """One row for each IP and track. Several wishes for the same are put together first: an UPDATE changes a row
        once."""
        sums: dict[tuple[str, str], list[int]] = {}
        for one in wanted:
            counts = sums.setdefault((one.ip, one.provider), [0, 0])
            counts[one.lane is Lane.MARKETING] += one.n
        given = {
            "ips": [ip for ip, _ in sums],
            "providers": [provider for _, provider in sums],
            "transactional": [counts[0] for counts in sums.values()],
            "marketing": [counts[1] for counts in sums.values()],
        }
        async with self._database.connection() as connection, connection.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(RESERVE, given)
            return await cursor.fetchall()

    def _deal(
        self,
        wanted: Sequence[Wanted],
        places: Iterable[int],
        rows: Sequence[dict[str, Any]],
        answers: list[Reserved | None],
    ) -> None:
        """Divide what each IP and track was granted among those who wanted it, in their order."""
        row_of = {(row["ip"], provider): row for row in rows for provider in row["providers"]}
        for place in places:
            one = wanted[place]
            row = row_of[one.ip, one.provider]
            if row["verdict"] == "again":
                continue
            if row["verdict"] == "free":
                answers[place] = Reserved(one.ip, one.provider, row["track"], None, one.n, None, "")
                continue
            pot = "for_transactional" if one.lane is Lane.TRANSACTIONAL else "for_marketing"
            granted = min(one.n, row[pot])
            row[pot] -= granted
            answers[place] = self._answer(one, row, granted)

    def _answer(self, one: Wanted, row: Mapping[str, Any], granted: int) -> Reserved:
        day = row["day"] if granted else None
        if granted == one.n:
            return Reserved(one.ip, one.provider, row["track"], day, granted, None, "")
        until, reason = self._explain(one, row)
        answer = Reserved(one.ip, one.provider, row["track"], day, granted, until, reason)
        wait = (until - row["at"]).total_seconds() if until else self._remember
        forget_at = time.monotonic() + min(wait, self._remember)
        self._closed[one.ip, one.provider, one.lane] = (forget_at, replace(answer, day=None, granted=0))
        return answer

    def _explain(self, one: Wanted, row: Mapping[str, Any]) -> tuple[datetime | None, str]:
        """Until when there is no more, and why, in words."""
        name = "other providers" if row["track"] == REST else row["track"]
        if row["verdict"] != "ruled":
            return None, f"the warm-up plan of {one.ip} has no track for {one.provider}"
        transactional = one.lane is Lane.TRANSACTIONAL
        if transactional and row["transactional"] == Transactional.AVOID:
            return None, f"transactional mail is kept off {one.ip} while it warms up"
        plan = self._plan(one.ip, row["plan"])
        used = Used(row["cap"], row["granted"], row["hour"], row["hour_base"])
        at_once = transactional and row["transactional"] == Transactional.FIRST
        until = next_opening(plan, used, row["at"], at_once=at_once)
        figures = f"{used.granted:,} of {used.cap:,}, stage {row['stage']} of {plan.last_stage}"
        if used.granted >= used.cap:
            return until, f"today's share of {name} on {one.ip} is used: {figures}"
        if row["hour"] < 0:
            window = f"{plan.first_hour}:00 to {plan.last_hour}:00 {plan.zone}"
            return until, f"{one.ip} warms up and sends from {window} only: {figures}"
        return until, f"this hour's share of {name} on {one.ip} is used: {figures}, more at {until:%H:%M} UTC"

    def _plan(self, ip: str, stored: Any) -> Plan:
        """The plan of a warm-up, parsed once."""
        known = self._plans.get(ip)
        if known is None or known[0] != stored:
            fields = {name: value for name, value in stored.items() if name != "caps"}
            known = self._plans[ip] = (stored, parse(fields))
        return known[1]

    def _remembered(self, one: Wanted, now: float) -> Reserved | None:
        known = self._closed.get((one.ip, one.provider, one.lane)) if self._closed else None
        if known is None:
            return None
        if now < known[0]:
            return known[1]
        del self._closed[one.ip, one.provider, one.lane]
        return None

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            await self._try_refresh()

    async def _try_refresh(self) -> None:
        try:
            await self.refresh()
        except DatabaseUnavailableError as error:
            _log.warning("warmup_snapshot_not_read", error=str(error))
        except Exception as error:
            # A bug here may not end the reading for good; until it works again every IP counts as warming.
            _log.error("warmup_snapshot_failed", exc_info=error)


def _refused(one: Wanted) -> Reserved:
    reason = f"the ledger of {one.ip} at {one.provider} could not be opened"
    return Reserved(one.ip, one.provider, REST, None, 0, None, reason)
