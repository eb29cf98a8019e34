"""A template's newest content as a test: what `trying` sends of a campaign that says the same.

So it is rendered, accepted, captured and looked for in seed accounts as there, published or not. With a link to
unsubscribe it goes as marketing mail, without one as transactional mail: as mail of it would.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from audience import contacts
from campaigns import trying
from campaigns.model import Campaign, Words
from campaigns.plan import Plan
from campaigns.states import CampaignState
from campaigns.trying import To, Whose
from campaigns.written import written
from core.addresses import AddressError, parse_mailbox
from core.queues import Lane
from core.refusal import Refused, invalid
from messages.model import NewEmail
from messages.personal import LATER
from store.database import Connection
from templates import service
from templates.filling import with_fallbacks
from templates.model import Template, Version


@dataclass(frozen=True, slots=True)
class Wanted:
    """A test that somebody asks for."""

    to: To = field(default_factory=To)
    sender: str = ""
    """By default the template's."""
    contact: str = ""
    """As this one gets it: address or id; by default as whoever has the address."""
    language: str = ""
    """By default the contact's, else the template's."""
    variables: Mapping[str, object] = field(default_factory=dict, hash=False)
    """Over those of the contact."""


async def send(
    connection: Connection, application_id: UUID, name: str, wanted: Wanted, simulated_domain: str
) -> list[NewEmail]:
    """One mail to each, within the caller's transaction. Raises Refused."""
    found, version = await service.get(connection, application_id, name)
    known = as_campaign(found, version, wanted.sender)
    whose = await _whose(connection, version, application_id, wanted)
    return await trying.send_all(connection, known, wanted.to, simulated_domain, whose, lane_of(version))


def lane_of(version: Version) -> Lane:
    """As which kind of mail it goes."""
    texts = [text for built in version.built.values() for text in (built.html, built.text)]
    return Lane.MARKETING if any(name in text for name in LATER for text in texts) else Lane.TRANSACTIONAL


def as_campaign(found: Template, version: Version, sender: str = "") -> Campaign:
    """A campaign with the words of this version. Raises Refused: a mail cannot do without a sender and a subject."""
    said = written(version)
    if not said.subject.strip():
        raise invalid("subject", "the template has none, and a mail cannot do without")
    words = Words(
        _checked(sender or said.sender), said.subject, "",
        tuple(one for one in said.reply_to if "{" not in one), said.html, said.text,
    )  # fmt: skip
    return Campaign(
        id=found.id, application_id=found.application_id, name=found.name, state=CampaignState.DRAFT, reason="",
        segment_id=None, topic_id=None, pool_id=None, words=words, tags=(), open_tracking=None, click_tracking=None,
        capture=False, plan=Plan(), scheduled_at=None, fixed_at=None, started_at=None, ended_at=None,
        created_at=found.created_at, languages=said.languages, template_id=found.id,
    )  # fmt: skip


async def _whose(connection: Connection, version: Version, application_id: UUID, wanted: Wanted) -> Whose:
    with_fallbacks(version, wanted.variables)  # whether each is of the type that was declared
    # What else has a fallback has it in the words (`templates/filling.standing_alone`).
    large = {
        one.key: one.fallback for one in version.writing.variables if isinstance(one.fallback, list | dict)
    }  # fmt: skip
    who = await contacts.get(connection, application_id, contacts.named(wanted.contact)) if wanted.contact else None
    return Whose(who.id if who else None, wanted.language or None, variables=large | dict(wanted.variables))


def _checked(sender: str) -> str:
    if not sender:
        raise Refused("invalid", "the template names no sender", "from", "Say whom the test comes from.")
    try:
        parse_mailbox(sender)
    except AddressError as error:
        raise invalid("from", error.reason) from None
    return sender
