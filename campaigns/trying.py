"""A campaign's mail to some addresses, to look at before it is sent: as a person of the audience would get it.

It is mail like any other: rendered here, accepted, signed and tracked, with links that work; what a capture rule names
or is only simulated does not leave. It has no row in the campaign and counts for nothing there. Its subject says that
it is a test. To seed accounts it goes as a probe, and `postlane seeds` says where it landed.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from uuid import UUID

from psycopg.errors import QueryCanceled

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from alarms import seeds
from audience import contacts, properties
from audience.contacts import Contact
from campaigns import contents, people, speaking
from campaigns.model import Campaign
from core.addresses import AddressError, Mailbox, fold_address, parse_mailbox
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from messages.accept import write_emails
from messages.capture import marked
from messages.model import NewEmail, receivers
from messages.personal import EACH, LINE, fault_of, variables
from store.clock import transaction_time
from store.database import Connection
from templates.render import RenderError, compile_line, compile_text

MOST: Final = 20
"""Addresses at once."""
MARK: Final = "[Test] "
_TRIED: Final = 10
"""People of its segment for whom a campaign is tried, one after the other, until it can be made."""
_PATIENCE: Final = "2s"
"""For finding them: a segment that nearly nobody is in may take long."""
_HINT: Final = "Name somebody who has that value, or write a default into it: {{ first_name | default('there') }}."
_SOMEBODY: Final = "SELECT p.id FROM ({people}) p ORDER BY p.id LIMIT %(tried)s"


@dataclass(frozen=True, slots=True)
class Whose:
    """As whom, and in what, a mail is looked at."""

    contact_id: UUID | None = None
    language: str | None = None
    """By default the person's, else the campaign's own."""
    variant: int | None = None
    """By default the one that won, else the campaign itself."""
    variables: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Over those of the person."""


ANYBODY: Final = Whose()


@dataclass(frozen=True, slots=True)
class Preview:
    """A mail as its person would get it; links are not signed."""

    language: str
    """Which it was made in; "" is the campaign's own."""
    sender: str
    subject: str
    html: str | None
    text: str | None
    person: str = ""
    """The address of whoever gets it so; "" is somebody unknown."""


@dataclass(frozen=True, slots=True)
class To:
    """Where a test goes."""

    addresses: Sequence[str] = ()
    seeds: bool = False
    """Also to the seed accounts of its stream."""


async def send_all(
    connection: Connection,
    campaign: Campaign,
    to: To,
    simulated_domain: str,
    whose: Whose = ANYBODY,
    lane: Lane = Lane.MARKETING,
) -> list[NewEmail]:
    """One mail to each of them, within the caller's transaction. Raises Refused, also when it is nobody."""
    if not to.addresses and not to.seeds:
        raise invalid("to", "it must be addresses, unless seed accounts are wanted")
    mails = await send(connection, campaign, to.addresses, simulated_domain, whose, lane) if to.addresses else []
    if to.seeds:
        mails += await send_to_seeds(connection, campaign, simulated_domain, whose, lane)
    return mails


async def send(
    connection: Connection,
    campaign: Campaign,
    addresses: Sequence[str],
    simulated_domain: str,
    whose: Whose = ANYBODY,
    lane: Lane = Lane.MARKETING,
) -> list[NewEmail]:
    """One mail to each, within the caller's transaction: as this person gets it, else as whoever has the address.
    Raises Refused: an address that is none, or words that cannot be rendered for that person."""
    if not 0 < len(addresses) <= MOST:
        raise invalid("to", f"it must be 1 to {MOST} addresses")
    return await _write(connection, campaign, [_mailbox(text) for text in addresses], simulated_domain, whose, lane)


async def send_to_seeds(
    connection: Connection,
    campaign: Campaign,
    simulated_domain: str,
    whose: Whose = ANYBODY,
    lane: Lane = Lane.MARKETING,
) -> list[NewEmail]:
    """One mail to each seed account of the stream, as this person gets it; each is a probe, so that it is looked for in
    the mailbox. Raises Refused: there is none, or the words cannot be rendered."""
    found = await seeds.active(connection, lane)
    if not found:
        raise conflict(
            f"there is no active seed account of the {lane} stream", "`postlane seeds add` adds a mailbox of yours."
        )
    boxes = [_mailbox(seed.address) for seed in found]
    mails = await _write(connection, campaign, boxes, simulated_domain, whose, lane)
    for seed, mail in zip(found, mails, strict=True):
        if not mail.capture and not any(one.capture for one in mail.recipients):  # else nobody would find it
            await seeds.keep_probe(connection, seed.id, mail.id, mail.message_id)
    return mails


async def _write(
    connection: Connection,
    campaign: Campaign,
    boxes: Sequence[Mailbox],
    simulated_domain: str,
    whose: Whose,
    lane: Lane,
) -> list[NewEmail]:
    await asyncio.to_thread(speaking.check_whole, campaign)
    domain, domain_id = await _domain(connection, campaign)
    now = await transaction_time(connection)
    rules = CaptureRules.of(await capture_rules.patterns(connection, campaign.application_id))
    mails = []
    for box in boxes:
        made = await _rendered(connection, campaign, whose, await _person(connection, campaign, whose, box.wire))
        identifier = uuid7()
        mails.append(
            NewEmail(
                id=identifier, application_id=campaign.application_id, domain_id=domain_id, lane=lane,
                created_at=now, message_id=f"<{identifier.hex}@{domain}>", sender=made.sender,
                subject=f"{MARK}{made.subject}", to=(box.wire,),
                recipients=marked(receivers([("to", box)]), rules, simulated_domain), reply_to=campaign.words.reply_to,
                html=made.html, text=made.text, tags=campaign.tags, pool_id=campaign.pool_id,
                topic_id=campaign.topic_id, template_id=campaign.template_id,
                open_tracking=campaign.open_tracking, click_tracking=campaign.click_tracking, capture=campaign.capture,
            )
        )  # fmt: skip
    await write_emails(connection, mails)
    return mails


async def preview(connection: Connection, campaign: Campaign, whose: Whose) -> Preview:
    """The mail as this person gets it, without sending it. Raises Refused: it cannot be rendered for them."""
    return await _rendered(connection, campaign, whose, await _person(connection, campaign, whose, ""))


async def preview_for_somebody(connection: Connection, campaign: Campaign, whose: Whose) -> Preview:
    """The mail as the first person of its segment gets it for whom it can be made; without one as somebody unknown.
    Raises Refused: it can be made for nobody of these. The caller holds no transaction."""
    for one in await _somebody(connection, campaign):
        try:
            return await preview(connection, campaign, replace(whose, contact_id=one))
        except Refused:
            continue
    return await preview(connection, campaign, whose)


async def _somebody(connection: Connection, campaign: Campaign) -> list[UUID]:
    """A few people of its segment; nobody when it has none, or does not say so soon."""
    try:
        async with connection.transaction():
            await connection.execute(f"SET LOCAL statement_timeout = '{_PATIENCE}'")
            now = await transaction_time(connection)
            asked, names = await people.question(connection, replace(campaign, started_at=campaign.started_at or now))
            cursor = await connection.execute(_SOMEBODY.format(people=asked), names | {"tried": _TRIED})
            return [row[0] for row in await cursor.fetchall()]
    except (QueryCanceled, Refused):
        return []


async def _person(connection: Connection, campaign: Campaign, whose: Whose, address: str) -> Contact:
    """The contact that was asked for, else whoever has the address, else somebody unknown."""
    wanted = whose.contact_id or fold_address(address) if whose.contact_id or address else None
    who = await contacts.find(connection, campaign.application_id, wanted) if wanted else None
    if who is None and whose.contact_id is not None:
        raise invalid("contact_id", "there is no such contact")
    return who or _nobody(campaign, address)


async def _rendered(connection: Connection, campaign: Campaign, whose: Whose, person: Contact) -> Preview:
    known = {**variables(person, await properties.known(connection, campaign.application_id)), **whose.variables}
    variant, wanted = _variant(campaign, whose.variant), whose.language or person.language
    language, words = await asyncio.to_thread(speaking.sent_to, campaign, variant, wanted)
    try:
        html = compile_text(contents.with_preview(words) or "", html=True).render(known, EACH) or None
        text = compile_text(words.text or "", html=False).render(known, EACH) or None
        return Preview(
            language, words.sender, compile_line(words.subject).render(known, LINE), html, text, person.email
        )
    except RenderError as error:
        raise Refused(
            "invalid",
            f"for {person.email or 'somebody unknown'} {fault_of(error)}",
            "to" if person.email else "",
            hint=_HINT,
        ) from None


def _variant(campaign: Campaign, wanted: int | None) -> int:
    number = campaign.experiment.chosen or 0 if wanted is None else wanted
    if not 0 <= number < campaign.experiment.arms:
        raise invalid("variant", f"there are the variants 0 to {campaign.experiment.arms - 1}")
    return number


def _nobody(campaign: Campaign, address: str) -> Contact:
    """Somebody of whom nothing is known but the address."""
    at = campaign.created_at
    return Contact(
        UUID(int=0), campaign.application_id, address, address, None, None, None, None, {},
        contacts.Status.CONFIRMED, at, at, at,
    )  # fmt: skip


async def _domain(connection: Connection, campaign: Campaign) -> tuple[str, UUID]:
    name = parse_mailbox(campaign.words.sender).domain
    cursor = await connection.execute(
        "SELECT id FROM domains WHERE application_id = %s AND name = %s AND (status = 'verified' OR %s)",
        [campaign.application_id, name, campaign.capture],
    )
    row = await cursor.fetchone()
    if row is None:
        raise conflict(f"mail cannot leave as {name}: it is no verified domain of yours")
    return name, row[0]


def _mailbox(text: str) -> Mailbox:
    try:
        return parse_mailbox(text)
    except AddressError as error:
        raise invalid("to", f"{text[:100]!r} is no address: {error.reason}") from None
