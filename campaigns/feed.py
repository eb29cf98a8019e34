"""The feed: turns waiting rows of campaigns that are sending into mail in the queue, a bounded number at a time.

One transaction takes rows whose time has come, the most engaged first, asks again whether each person may get the mail,
writes emails, messages and queue rows, and moves the rows: a kill at any point leaves a row either waiting or queued
with its mail, never both. While it does, it holds the campaign's row, so that nothing is queued of a campaign once its
pause is committed, and two processes feed two campaigns.

How many that are at one time says `campaigns/room`.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import psycopg

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from audience import contacts, properties, topics
from audience.contacts import Contact
from audience.properties import Definitions
from campaigns import people, repository, room, tallies
from campaigns.contents import Content, contents_of
from campaigns.model import Campaign
from campaigns.people import Rules
from campaigns.plan import allowed, burst
from campaigns.states import RowState
from core.addresses import parse_mailbox
from core.logs import get_logger
from core.queues import Lane
from core.refusal import Refused
from core.tracing import mail_id
from messages.accept import write_emails
from messages.capture import marked
from messages.model import NewEmail, Recipient
from messages.personal import ERASED, LINE, fault_of, variables
from messages.traced import accepted
from store import arrays
from store.database import Connection, Database
from templates.render import RenderError, compile_line

_log = get_logger(__name__)

BATCH: Final = 1_000
APART: Final = 100
"""One by one, in one transaction: a pause waits for it."""
MOST_ALIKE: Final = 5
"""With more people, none of whose mail can be stored, it is the campaign's fault, or ours."""
NO_TOPIC: Final = "its topic was deleted"

_TURN: Final = """
SELECT now(), paced_at FROM campaigns WHERE id = %(campaign)s AND state = 'sending'
   FOR NO KEY UPDATE SKIP LOCKED
"""

_TAKE: Final = """
WITH next AS MATERIALIZED (
  SELECT contact_id, variant, engaged_at FROM campaign_recipients
   WHERE campaign_id = %(campaign)s AND state = 'waiting' AND due_at <= now() AND destination <> ALL(%(full)s)
   ORDER BY due_at, engaged_at DESC NULLS LAST LIMIT %(most)s FOR UPDATE SKIP LOCKED
), person AS MATERIALIZED (
  SELECT {columns} FROM contacts c WHERE c.id IN (SELECT contact_id FROM next)
)
SELECT n.contact_id, n.variant, n.engaged_at, CASE WHEN p.id IS NOT NULL THEN {ineligible} END
  FROM next n LEFT JOIN person p ON p.id = n.contact_id
"""

_MOVE: Final = """
UPDATE campaign_recipients r SET state = u.state, reason = nullif(u.reason, ''), email_id = u.email_id,
       queued_at = CASE WHEN u.email_id IS NOT NULL THEN now() END,
       ended_at = CASE WHEN u.email_id IS NULL THEN now() END
  FROM unnest(%(contacts)s::uuid[], %(states)s::text[], %(reasons)s::text[], %(emails)s::uuid[])
       AS u(contact_id, state, reason, email_id)
 WHERE r.campaign_id = %(campaign)s AND r.contact_id = u.contact_id
"""

_DOMAIN: Final = "SELECT id, name, status FROM domains WHERE application_id = %s AND name = %s"
_USABLE: Final = ("verified", "temporary_failure")
"""A name server that was silent once stops no campaign."""


_REFUSED: Final = (psycopg.DataError, psycopg.IntegrityError, ValueError, TypeError)
"""What PostgreSQL or its driver say to a value, not to the statement."""


Hint = Callable[[Lane, Iterable[str]], None]
"""Says that there is due mail for these destinations."""


class Next(NamedTuple):
    """A row whose turn it is."""

    contact_id: UUID
    variant: int
    engaged_at: datetime | None
    reason: str | None
    """Why the person may not get the mail."""


class Fate(NamedTuple):
    """What becomes of a row now."""

    contact_id: UUID
    state: RowState
    reason: str = ""
    email_id: UUID | None = None


Queue = Callable[[Connection, "Press", Sequence[Next]], Awaitable[set[str]]]
"""Makes the mail of these rows; returns where it goes."""


class Way(NamedTuple):
    """How rows become mail: so many in one transaction, and by which function."""

    most: int
    queue: Queue


@dataclass(frozen=True, slots=True)
class Press:
    """What the mails of one batch of one campaign are made with."""

    campaign: Campaign
    domain_id: UUID
    domain: str
    contents: Mapping[tuple[int, str], Content]
    definitions: Definitions
    rules: CaptureRules
    simulated_domain: str
    now: datetime


def tell_nobody(_lane: Lane, _destinations: Iterable[str]) -> None:
    """The scan for due mail finds it within a second."""


async def feed_one(database: Database, campaign: Campaign, simulated_domain: str, hint: Hint = tell_nobody) -> int:
    """A batch of one campaign; returns how many rows were taken. What cannot be stored fails alone. Workers that have
    nothing of it to do are told by `hint`, after the commit."""
    try:
        return await _feed(database, campaign, simulated_domain, Way(BATCH, _queue), hint)
    except _REFUSED as error:
        _log.warning("feed_apart", campaign=str(campaign.id), error=str(error))
    return await _feed(database, campaign, simulated_domain, Way(APART, _queue_apart), hint)


async def _feed(database: Database, campaign: Campaign, simulated_domain: str, way: Way, hint: Hint) -> int:
    async with database.transaction() as connection:
        rules = await people.rules_in_turn(connection, campaign, people.Moment.MAKING)
        turn = await (await connection.execute(_TURN, {"campaign": campaign.id})).fetchone()
        if turn is None or not _is_open(campaign, turn[0]):
            return 0
        space = await room.of(connection, campaign.id)
        most = min(way.most, space.mails, _paced(campaign, *turn))
        if most <= 0:
            return 0
        press = await _press(connection, campaign, simulated_domain, turn[0])
        if press is None:
            return 0
        taken = await _take(connection, campaign, rules, most, space.full)
        destinations = await way.queue(connection, press, taken) if taken else set()
        if taken:
            await _pace(connection, campaign, len(taken))
    if len(taken) < most:
        room.found_nobody(campaign.id, space)
    if destinations and space.is_idle:
        hint(Lane.MARKETING, destinations)
    return len(taken)


def fates(press: Press, taken: Iterable[Next], known: Mapping[UUID, Contact]) -> tuple[list[Fate], list[NewEmail]]:
    """What becomes of each row, and the mail of those that get one. Pure."""
    decided: list[Fate] = []
    emails: list[NewEmail] = []
    for row in taken:
        made = _email(press, row, known.get(row.contact_id))
        if isinstance(made, Fate):
            decided.append(made)
        else:
            emails.append(made)
            decided.append(Fate(row.contact_id, RowState.QUEUED, email_id=made.id))
    return decided, emails


def _email(press: Press, row: Next, contact: Contact | None) -> NewEmail | Fate:
    if contact is None:
        return Fate(row.contact_id, RowState.ERASED, ERASED)
    if row.reason is not None:
        return Fate(row.contact_id, people.outcome_of(row.reason), row.reason)
    content = _content(press, row.variant, contact.language or "")
    try:
        subject = _line(content.subject).render(variables(contact, press.definitions), LINE)
    except RenderError as error:
        return Fate(row.contact_id, RowState.FAILED, fault_of(error))
    destination = contact.address.rpartition("@")[2]
    try:
        to = marked(
            (Recipient(contact.email, contact.address, destination, "to"),), press.rules, press.simulated_domain
        )
    except Refused as error:
        return Fate(row.contact_id, RowState.FAILED, str(error))
    identifier, c = mail_id(), press.campaign
    return NewEmail(
        id=identifier,
        application_id=c.application_id,
        domain_id=press.domain_id,
        lane=Lane.MARKETING,
        created_at=press.now,
        message_id=f"<{identifier.hex}@{press.domain}>",
        sender=content.sender,
        subject=subject,
        recipients=to,
        to=(contact.email,),
        reply_to=c.words.reply_to,
        tags=c.tags,
        pool_id=c.pool_id,
        topic_id=c.topic_id,
        open_tracking=c.open_tracking,
        click_tracking=c.click_tracking,
        capture=c.capture,
        campaign_id=c.id,
        contact_id=contact.id,
        content_id=content.id,
        engaged_at=row.engaged_at,
        template_id=c.template_id,
    )


_line = lru_cache(200)(compile_line)


def _content(press: Press, variant: int, language: str) -> Content:
    """In the person's language, or as near as there is: `de-AT`, `de`, the first."""
    while (found := press.contents.get((variant, language))) is None and language:
        language = language.rpartition("-")[0]
    return found or press.contents[0, ""]


def _is_open(campaign: Campaign, now: datetime) -> bool:
    return campaign.plan.window is None or campaign.plan.window.is_open(now)


def _paced(campaign: Campaign, now: datetime, paced_at: datetime | None) -> int:
    """How many may leave now at its pace."""
    pace = campaign.plan.pace(tallies.people(campaign.tallies))
    return BATCH if pace is None else allowed(pace, paced_at, now)


async def _pace(connection: Connection, campaign: Campaign, fed: int) -> None:
    pace = campaign.plan.pace(tallies.people(campaign.tallies))
    if pace is not None:
        await connection.execute(
            "UPDATE campaigns SET paced_at = greatest(paced_at, now() - %s) + %s WHERE id = %s",
            [burst(pace), timedelta(hours=fed / pace), campaign.id],
        )


async def _take(connection: Connection, campaign: Campaign, rules: Rules, most: int, full: Iterable[str]) -> list[Next]:
    """Rows whose turn it is, but for those of these destinations."""
    reason, names = people.eligible(rules, people.Moment.MAKING)
    own = {"campaign": campaign.id, "topic": campaign.topic_id, "most": most, "full": list(full)}
    statement = _TAKE.format(columns=people.COLUMNS, ineligible=reason)
    return [Next(*row) for row in await (await connection.execute(statement, names | own)).fetchall()]


async def _queue(connection: Connection, press: Press, taken: Sequence[Next]) -> set[str]:
    """Make their mail; returns where it goes."""
    known = await contacts.by_ids(connection, [row.contact_id for row in taken])
    decided, emails = fates(press, taken, known)
    if emails:
        begun = time.time_ns()
        await write_emails(connection, emails)
        accepted(emails, begun)
    await _settle(connection, press.campaign.id, decided)
    return {recipient.destination for email in emails for recipient in email.recipients}


async def _queue_apart(connection: Connection, press: Press, taken: Sequence[Next]) -> set[str]:
    """One after the other: whose mail cannot be stored fails, and nobody else. Raises what was said to all of them when
    they are more than a few: that is not about them."""
    destinations: set[str] = set()
    failed: list[Fate] = []
    for row in taken:
        try:
            async with connection.transaction():
                destinations |= await _queue(connection, press, [row])
        except _REFUSED as error:
            if len(failed) == len(taken) - 1 >= MOST_ALIKE:
                raise
            failed.append(Fate(row.contact_id, RowState.FAILED, f"its mail cannot be stored: {error}"))
    await _settle(connection, press.campaign.id, failed)
    return destinations


async def _settle(connection: Connection, campaign_id: UUID, decided: Sequence[Fate]) -> None:
    if decided:
        await _move(connection, campaign_id, decided)
        await tallies.add(connection, tallies.moves(campaign_id, ((RowState.WAITING, one.state) for one in decided)))


async def _move(connection: Connection, campaign_id: UUID, decided: Sequence[Fate]) -> None:
    names = {
        "campaign": campaign_id,
        "contacts": arrays.uuids(fate.contact_id for fate in decided),
        "states": arrays.words(fate.state.value for fate in decided),
        "reasons": arrays.some_texts(fate.reason[:500] for fate in decided),
        "emails": arrays.uuids(fate.email_id for fate in decided),
    }
    await connection.execute(_MOVE, names)


async def _press(connection: Connection, campaign: Campaign, simulated: str, now: datetime) -> Press | None:
    """None when its domain may send no more, or its topic is gone: the campaign is stopped then, and says so."""
    topic_id = campaign.topic_id
    if topic_id is not None and await topics.find(connection, campaign.application_id, topic_id) is None:
        await repository.stop(connection, campaign, NO_TOPIC)
        return None
    name = parse_mailbox(campaign.words.sender).domain
    row = await (await connection.execute(_DOMAIN, [campaign.application_id, name])).fetchone()
    if row is None or (row[2] not in _USABLE and not campaign.capture):
        found = f"its status is {row[2]}" if row else "it was deleted"
        await repository.stop(connection, campaign, f"{name} may send no more: {found}")
        return None
    return Press(
        campaign, row[0], name, await contents_of(connection, campaign.id),
        await properties.known(connection, campaign.application_id),
        CaptureRules.of(await capture_rules.patterns(connection, campaign.application_id)), simulated, now,
    )  # fmt: skip
