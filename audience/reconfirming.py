"""Asking the silent once more, before a policy stops writing to them: "do you still want this?", one mail, no reminder.

Only for topics whose policy says so. Asked is who is about to get none of a topic within `DAYS_BEFORE` days, and may be
written to at all; once within `ONCE_WITHIN_DAYS`, whatever topics they take. A yes is a newer proof of consent, and
their silence counts from there (`messages/signing_up`). It is a confirmation like those of sign-ups, and leaves as
those do.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from audience import confirmations, eligibility, tapering
from audience.confirmations import ONCE_WITHIN_DAYS, Asked, Wanted
from audience.eligibility import Moment, Rules
from audience.tapering import Policy
from store.database import Connection, Database

DAYS_BEFORE: Final = 14
AT_ONCE: Final = 500
"""Mails of one topic in one turn: whoever turns it on for a million people does not send a million at once."""
_NOBODY: Final = UUID(int=0)

_TOPICS: Final = """
SELECT p.application_id, p.topic_id FROM tapering_policies p JOIN topics t ON t.id = p.topic_id
 WHERE p.reconfirm AND t.deleted_at IS NULL ORDER BY p.topic_id
"""

_SILENT: Final = """
SELECT p.address, p.email, p.language
  FROM (SELECT c.*, 'marketing' AS lane, %(e_topic)s::uuid AS topic_id FROM contacts c
         WHERE c.application_id = %(application)s AND c.status = 'confirmed') p
 WHERE {heard} BETWEEN %(first)s AND %(last)s
   AND NOT EXISTS (SELECT FROM confirmations k WHERE k.application_id = p.application_id AND k.address = p.address
                      AND k.asked_at > now() - make_interval(days => %(once)s))
   AND {ineligible} IS NULL
 ORDER BY p.id LIMIT %(most)s
"""


async def ask(database: Database, now: datetime, valid: timedelta) -> int:
    """Ask whoever is due, a turn of each topic; returns how many mails that will be."""
    async with database.connection() as connection:
        due = await (await connection.execute(_TOPICS)).fetchall()
    total = 0
    for application_id, topic_id in due:
        async with database.transaction() as connection:
            total += await ask_topic(connection, application_id, topic_id, now, valid)
    return total


async def ask_topic(
    connection: Connection, application_id: UUID, topic_id: UUID, now: datetime, valid: timedelta
) -> int:
    """The same for one topic, in the caller's transaction."""
    heard = await eligibility.heard_since(connection, application_id)
    rules = await eligibility.rules_for(connection, (_NOBODY, topic_id, None), heard, now)
    last = last_day(rules.policy)
    if last is None or rules.heard_since is None:
        return 0
    people = await _silent(connection, application_id, rules, last)
    for address, email, language in people:
        wanted = Wanted(topics=(topic_id,), again=True)
        asked = Asked(application_id, address, email, None, (language or "en").partition("-")[0].lower(), wanted)
        await confirmations.ask(connection, asked, valid)
    return len(people)


def last_day(policy: Policy) -> int | None:
    """After so many days of silence somebody gets none; None: never."""
    ends = [step.after_days for step in policy.steps if step.every is None]
    ends += [] if policy.silent_days is None else [policy.silent_days]
    return min(ends, default=None)


async def _silent(connection: Connection, application_id: UUID, rules: Rules, last: int) -> Sequence[Sequence[Any]]:
    allowed = replace(rules, policy=tapering.ANYBODY)
    statement = _SILENT.format(
        heard=eligibility.heard_at("p", eligibility.engaged_of("p")),
        ineligible=eligibility.ineligible("p", allowed, Moment.FIXING),
    )
    bounds = {
        "application": application_id, "once": ONCE_WITHIN_DAYS, "most": AT_ONCE,
        "first": rules.now - timedelta(days=last), "last": rules.now - timedelta(days=max(1, last - DAYS_BEFORE)),
    }  # fmt: skip
    cursor = await connection.execute(statement, eligibility.names(rules) | bounds)
    return await cursor.fetchall()
