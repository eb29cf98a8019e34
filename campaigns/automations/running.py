"""Doing the steps that are due, for all applications in turn, a bounded number at a time.

One transaction takes runs whose step is due, asks whether each person may get the mail, writes it, and moves the runs
on: a kill at any point leaves a step either due or done with its mail, never both. Two processes take different runs.
While it lasts nobody stops or deletes an automation in it, so that nothing is made of one once that is committed.

What one run brings to light puts that one off, and is told there; the others go on, and nobody is lost to a bug that is
mended within three days.
"""

import asyncio
import time
from typing import Final

import psycopg

from audience import newly_confirmed
from campaigns.automations import letters, runs, steering
from campaigns.automations.loading import desk_for
from core.errors import UnavailableError
from core.logs import get_logger
from messages.accept import write_emails
from messages.traced import accepted
from store.database import Database

_log = get_logger(__name__)

BATCH: Final = 200
TURN_SECONDS: Final = 1.0
CANCELLED_AT_ONCE: Final = 5_000

DUE: Final = f"{newly_confirmed.WAIT} OR {runs.GO_ON}"
"""Condition: `entering` or this may have something to do."""


async def do_due(database: Database, simulated_domain: str) -> int:
    """Do steps that are due, for so long: then other duties have their turn. How many runs had one."""
    until, done, more = time.monotonic() + TURN_SECONDS, 0, True
    while more and time.monotonic() < until:
        taken, more = await _do(database, simulated_domain)
        done += taken
    return done


async def cancel_stopped(database: Database) -> None:
    """End runs of automations that were stopped: nothing of them is done any more, and here they say so."""
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT a.id, a.stopped_at FROM automations a WHERE a.stopped_at IS NOT NULL AND EXISTS (SELECT FROM"
            " automation_runs r WHERE r.automation_id = a.id AND r.state = 'running' AND r.created_at <= a.stopped_at)"
        )
        found = await cursor.fetchall()
    for automation, stopped_at in found:
        async with database.transaction() as connection:
            await runs.cancel_some(connection, automation, stopped_at, letters.STOPPED, CANCELLED_AT_ONCE)


async def _do(database: Database, simulated_domain: str) -> tuple[int, bool]:
    """How many runs had a turn, and whether more are due."""
    try:
        return await _batch(database, simulated_domain, BATCH)
    except (UnavailableError, psycopg.errors.CheckViolation):  # the latter: the partition of today is being made
        raise
    except Exception as error:  # whatever it is, it came with one of them
        _log.warning("automation_runs_apart", exc_info=error)
    done = await _apart(database, simulated_domain)
    return done, done == BATCH


async def _apart(database: Database, simulated_domain: str) -> int:
    """One run after the other, until the one that cannot be done is met."""
    for done in range(BATCH):
        try:
            if not (await _batch(database, simulated_domain, 1))[0]:
                return done
        except (UnavailableError, psycopg.errors.CheckViolation):
            raise
        except Exception as error:  # a bug that one run brings to light holds up none of the others
            _log.error("automation_run_put_off", exc_info=error)
            await _put_off_first(database, f"internal error: {type(error).__name__}: {error}")
            return done + 1
    return BATCH


async def _put_off_first(database: Database, why: str) -> None:
    async with database.transaction() as connection:
        now = await steering.now(connection)
        for run in await runs.due(connection, 1):
            await runs.settle(connection, [letters.put_off(run, why, now)])


async def _batch(database: Database, simulated_domain: str, most: int) -> tuple[int, bool]:
    async with database.transaction() as connection:
        taken = await runs.due(connection, most)
        if not taken:
            return 0, False
        desk = await desk_for(connection, taken, simulated_domain)
        settled, emails = await asyncio.to_thread(letters.turns, desk, taken)
        if emails:
            begun = time.time_ns()
            await write_emails(connection, emails)
            accepted(emails, begun)
        await runs.settle(connection, settled)
    return len(settled), len(settled) == BATCH or bool(desk.later)
