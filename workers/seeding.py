"""The seed accounts' part of background work: probes are sent when they are due, and looked for in the mailboxes."""

import asyncio
import ssl
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from alarms import imap, seeds
from alarms.imap import MailboxError, Place
from alarms.model import AlarmKind
from alarms.rule_settings import rules
from alarms.seeds import OpenProbe
from core.errors import ConfigurationError
from core.logs import get_logger
from core.secrets import InstanceSecret
from messages import own_mail
from messages.own_mail import NoSenderError, OwnMail
from mta.guard import Guard
from store.database import Database

_log = get_logger(__name__)

_SUBJECT: Final = "How is our mail doing?"
_TEXT: Final = """Hello,

this mail was sent to an account of our own, to see that our mail arrives where it should. It needs no answer.

Sent on {when:%A, %d %B %Y at %H:%M} UTC.
"""


async def probe(database: Database) -> int:
    """Send a probe to every seed account that is due; returns how many. Account and probe move in one transaction, so
    no kill sends two or forgets one."""
    sent = 0
    async with database.transaction() as connection:
        row = await (await connection.execute("SELECT now()")).fetchone()
        assert row is not None
        for seed in await seeds.take_due(connection):
            mail = OwnMail(seed.sender, [seed.address], _SUBJECT, _TEXT.format(when=row[0]), seed.lane)
            try:
                email = await own_mail.write(connection, mail, row[0])
            except NoSenderError as error:
                await seeds.note_trouble(connection, seed.id, f"no probe can be sent: {error}")
                continue
            await seeds.keep_probe(connection, seed.id, email.id, email.message_id)
            sent += 1
    return sent


@dataclass(frozen=True, slots=True)
class Reading:
    """How mailboxes are read."""

    secret: InstanceSecret
    guard: Guard
    """Where they may be."""
    ca_file: Path | None = None


async def look(database: Database, how: Reading) -> None:
    """Look for the probes that have not been found yet, one mailbox after the other."""
    async with database.transaction() as connection:
        missing_after = timedelta(minutes=(await rules(connection))[AlarmKind.SEED_MISSING].values["minutes"])
        open_probes = await seeds.take_open(connection)
    by_seed: defaultdict[UUID, list[OpenProbe]] = defaultdict(list)
    for one in open_probes:
        by_seed[one.seed_id].append(one)
    for seed_id, wanted in by_seed.items():
        await _look_in(database, how, seed_id, wanted, missing_after)


async def _look_in(
    database: Database, how: Reading, seed_id: UUID, wanted: list[OpenProbe], missing_after: timedelta
) -> None:
    trouble, found = "", dict[str, Place]()
    try:
        async with database.connection() as connection:
            account = await seeds.account_of(connection, seed_id, how.secret)
        if account is None:
            return
        context = ssl.create_default_context(cafile=str(how.ca_file) if how.ca_file else None)
        ids = [one.message_id for one in wanted]
        found = await asyncio.to_thread(imap.look_for, account, ids, context, how.guard)
    except (MailboxError, ConfigurationError) as error:
        trouble = str(error)
        _log.warning("seed_not_read", seed=str(seed_id), error=trouble)
    async with database.transaction() as connection:
        await seeds.note_trouble(connection, seed_id, trouble)
        for one in wanted:
            if place := found.get(one.message_id):
                await seeds.placed(connection, one.id, place.placement, place.folder)
            elif not trouble and one.age > missing_after:
                await seeds.placed(connection, one.id, "missing", "")
