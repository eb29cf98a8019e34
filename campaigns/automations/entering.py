"""Begins runs of people who confirmed, or were put on a list, a moment ago.

News of them is taken and their runs are made in one transaction (`audience/newly_confirmed`). Without a segment the
trigger means somebody's first yes: who confirms again, because they were asked whether they still want mail, is
welcomed no second time. With a list it means their place on it, whenever they were confirmed. Of each person an
automation has one such run, for ever.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from audience import audiences, newly_confirmed, segments
from audience.newly_confirmed import CONFIRMED, Confirmed
from audience.predicate import refusing
from campaigns import people
from campaigns.automations import repository, runs, steering
from campaigns.automations.model import ONCE, Automation, Trigger
from core.logs import get_logger
from core.refusal import Refused
from store import arrays
from store.database import Connection, Database
from store.tables import compiled

_log = get_logger(__name__)

BATCH: Final = 1_000

# In the order of their addresses, as whoever holds several contacts: nobody waits in a circle.
_STAY: Final = "SELECT FROM contacts WHERE id = ANY(%s::uuid[]) ORDER BY address FOR KEY SHARE"

_FIRST: Final = """
SELECT c.id FROM contacts c WHERE c.id = ANY(%(people)s::uuid[]) AND c.status = 'confirmed'
   AND (SELECT count(*) FROM contact_history h WHERE h.contact_id = c.id AND h.what = 'confirmed') <= 1
"""

_ON_LIST: Final = """
SELECT c.id FROM contacts c JOIN segment_members m ON m.contact_id = c.id AND m.segment_id = %(segment)s
 WHERE c.id = ANY(%(people)s::uuid[]) AND c.status = 'confirmed' AND m.status = 'confirmed'
"""

_TAKING: Final = f"""
SELECT p.id FROM (SELECT {people.COLUMNS} FROM contacts c WHERE c.id = ANY(%(people)s::uuid[])) p
 WHERE {refusing("p")} IS NULL
"""


async def enter_confirmed(database: Database) -> int:
    """Take what is new; how many people that were."""
    taken, more = 0, True
    while more:
        async with database.transaction() as connection:
            found = await newly_confirmed.take(connection, BATCH)
            by_owner: dict[UUID, list[Confirmed]] = defaultdict(list)
            for one in found:
                by_owner[one.application_id].append(one)
            for owner, news in sorted(by_owner.items()):
                await _enter(connection, owner, news)
        taken += len(found)
        more = len(found) == BATCH
    return taken


async def _enter(connection: Connection, owner: UUID, news: Sequence[Confirmed]) -> None:
    # People before automations, as events do: whoever erases one waits for nobody who waits for them.
    await connection.execute(_STAY, [arrays.uuids({one.contact_id for one in news})])
    for automation in await repository.waiting_for(connection, owner, CONFIRMED):
        try:
            trigger = (await repository.workflow_of(connection, automation)).trigger
            entering = await _meant(connection, automation, trigger, news)
        except Refused as error:  # its segment asks for what is gone, or its steps cannot be read: that is an alarm
            _log.warning("nobody_enters", automation=str(automation.id), error=str(error))
            continue
        if entering:
            await runs.enter(connection, automation, entering, ONCE)


async def _meant(
    connection: Connection, automation: Automation, trigger: Trigger, news: Sequence[Confirmed]
) -> list[UUID]:
    """Those whom the trigger means. Raises Refused."""
    if trigger.segment_id is None:
        found = await _ids(connection, _FIRST, (one.contact_id for one in news if one.segment_id is None))
    else:
        found = await _in_segment(connection, automation, trigger.segment_id, news)
    if trigger.topic_id is not None and found:
        found = await _ids(connection, _TAKING, found, topic=trigger.topic_id)
    return found


async def _in_segment(
    connection: Connection, automation: Automation, segment_id: UUID, news: Sequence[Confirmed]
) -> list[UUID]:
    segment = await segments.get(connection, automation.application_id, segment_id)
    if segment.filter is None:
        concerned = (one.contact_id for one in news if one.segment_id in (None, segment_id))
        return await _ids(connection, _ON_LIST, concerned, segment=segment_id)
    first = await _ids(connection, _FIRST, (one.contact_id for one in news if one.segment_id is None))
    meant = await segments.audience(connection, segment)
    now = await steering.now(connection)
    sql, names = compiled(audiences.people(automation.application_id, meant, now))
    return await _ids(connection, f"SELECT q.id FROM ({sql}) q WHERE q.id = ANY(%(people)s::uuid[])", first, **names)


async def _ids(connection: Connection, statement: str, concerned: Iterable[UUID], **names: object) -> list[UUID]:
    unique = set(concerned)
    if not unique:
        return []
    rows = await (await connection.execute(statement, {**names, "people": arrays.uuids(unique)})).fetchall()
    return [row[0] for row in rows]
