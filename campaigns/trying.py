"""A campaign's mail to some addresses, to look at before it is sent: as a person of the audience would get it.

It is mail like any other: rendered here, accepted, signed and tracked, with links that work; what a capture rule names
or is only simulated does not leave. It has no row in the campaign and counts for nothing there. Its subject says that
it is a test. To seed accounts it goes as a probe, and `postlane seeds` says where it landed.
"""

import asyncio
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from alarms import seeds
from audience import contacts, properties
from audience.contacts import Contact
from campaigns import contents
from campaigns.model import Campaign
from core.addresses import AddressError, Mailbox, parse_mailbox
from core.ids import uuid7
from core.queues import Lane
from core.refusal import conflict, invalid
from messages.accept import write_emails
from messages.capture import marked
from messages.model import NewEmail, receivers
from messages.personal import EACH, LINE, fault_of, variables
from store.database import Connection
from templates.render import RenderError, compile_line, compile_text

MOST: Final = 20
"""Addresses at once."""
MARK: Final = "[Test] "


async def send(
    connection: Connection,
    campaign: Campaign,
    addresses: Sequence[str],
    simulated_domain: str,
    contact_id: UUID | None = None,
) -> list[NewEmail]:
    """One mail to each, within the caller's transaction: as this contact gets it, else as whoever has the address.
    Raises Refused: an address that is none, or words that cannot be rendered for that person."""
    if not 0 < len(addresses) <= MOST:
        raise invalid("to", f"it must be 1 to {MOST} addresses")
    return await _write(connection, campaign, [_mailbox(text) for text in addresses], simulated_domain, contact_id)


async def send_to_seeds(
    connection: Connection, campaign: Campaign, simulated_domain: str, contact_id: UUID | None = None
) -> list[NewEmail]:
    """One mail to each seed account of the marketing stream, as this contact gets it; each is a probe, so that it is
    looked for in the mailbox. Raises Refused: there is none, or the words cannot be rendered."""
    found = [seed for seed in await seeds.seeds(connection) if seed.active and seed.lane == Lane.MARKETING]
    if not found:
        raise conflict(
            "there is no active seed account of the marketing stream", "`postlane seeds add` adds a mailbox of yours."
        )
    boxes = [_mailbox(seed.address) for seed in found]
    mails = await _write(connection, campaign, boxes, simulated_domain, contact_id)
    for seed, mail in zip(found, mails, strict=True):
        if not mail.capture and not any(one.capture for one in mail.recipients):  # else nobody would find it
            await seeds.keep_probe(connection, seed.id, mail.id, mail.message_id)
    return mails


async def _write(
    connection: Connection,
    campaign: Campaign,
    boxes: Sequence[Mailbox],
    simulated_domain: str,
    contact_id: UUID | None,
) -> list[NewEmail]:
    await asyncio.to_thread(contents.check_whole, campaign.words)
    domain, domain_id = await _domain(connection, campaign)
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None, "it has a row"
    rules = CaptureRules.of(await capture_rules.patterns(connection, campaign.application_id))
    mails = []
    for box in boxes:
        html, text, subject = await _rendered(connection, campaign, box, contact_id)
        identifier = uuid7()
        mails.append(
            NewEmail(
                id=identifier, application_id=campaign.application_id, domain_id=domain_id, lane=Lane.MARKETING,
                created_at=row[0], message_id=f"<{identifier.hex}@{domain}>", sender=campaign.words.sender,
                subject=f"{MARK}{subject}", to=(box.wire,),
                recipients=marked(receivers([("to", box)]), rules, simulated_domain), reply_to=campaign.words.reply_to,
                html=html, text=text, tags=campaign.tags, pool_id=campaign.pool_id, topic_id=campaign.topic_id,
                open_tracking=campaign.open_tracking, click_tracking=campaign.click_tracking, capture=campaign.capture,
            )
        )  # fmt: skip
    await write_emails(connection, mails)
    return mails


async def _rendered(
    connection: Connection, campaign: Campaign, box: Mailbox, contact_id: UUID | None
) -> tuple[str | None, str | None, str]:
    who = await contacts.find(connection, campaign.application_id, contact_id or box.key)
    if who is None and contact_id is not None:
        raise invalid("contact_id", "there is no such contact")
    known = variables(who or _nobody(campaign, box), await properties.known(connection, campaign.application_id))
    words = campaign.words
    try:
        html = compile_text(contents.with_preview(words) or "", html=True).render(known, EACH) or None
        text = compile_text(words.text or "", html=False).render(known, EACH) or None
        return html, text, compile_line(words.subject).render(known, LINE)
    except RenderError as error:
        raise invalid("to", f"for {box.wire} {fault_of(error)}") from None


def _nobody(campaign: Campaign, box: Mailbox) -> Contact:
    """Somebody of whom nothing is known but the address."""
    at = campaign.created_at
    return Contact(
        UUID(int=0), campaign.application_id, box.key, box.wire, None, None, None, None, {},
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
