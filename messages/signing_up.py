"""What follows when somebody signs up: the mails that ask, remind and welcome, and all that their yes changes.

Mails are written by a duty of the background worker (`write_due`), and not by the request that asks for them: so the
answer takes as long for an address that is known, suppressed or crowded as for any other. Whom the suppression list
keeps from being written to gets none. What leaves for the people of an import leaves through the reserved pool alone,
at its pace (`messages/confirmation_pool`).

A yes (`confirm`) makes the contact, or confirms it, with the proof of the consent; puts it on its lists; takes the
topics that were chosen; and ends what the person had left or paused before, for they ask by their own hand.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from audience import (
    choices,
    confirmations,
    contact_history,
    contact_telling,
    contacts,
    forms,
    membership,
    properties,
    topics,
)
from audience.choices import Act, Person, Source
from audience.confirmations import Confirmation, Mailed, NextMail, Wanted
from audience.contact_fields import checked_email
from audience.contact_history import Changed, ContactAct, ContactSource
from audience.contacts import Changes, Status
from audience.forms import Form
from audience.links import ConfirmLink, LinkSeal, MailLink
from audience.membership import OnList
from audience.topics import Subscription, Topic
from core.clock import Clock
from core.ids import moment_of
from core.logs import get_logger
from core.queues import Lane
from core.refusal import Refused
from messages import choosing, own_mail
from messages import repository as mails
from messages.accept import write_emails
from messages.capture import marked
from messages.confirmation_pool import reserved_pool
from messages.model import NewEmail
from messages.own_mail import NoSenderError, OwnMail
from messages.signup_letters import Kind, Letter, Told, letter
from store import arrays
from store.database import Connection, Database
from webhooks.kinds import EventType

_log = get_logger(__name__)

BATCH: Final = 100
"""Mails of one transaction."""
NO_SENDER: Final = timedelta(minutes=10)
"""Before a mail is tried again whose sender's domain is not verified just now."""

SUPPRESSED: Final = "suppressed"
SETTLED: Final = "no_longer_unconfirmed"
"""A person of an import: the contact is gone, or was confirmed another way."""
CROWDED: Final = "asked_too_often"
_HEADERS: Final = (("Auto-Submitted", "auto-generated"),)
"""RFC 3834: no vacation notice answers it."""

_OWN_DOMAIN: Final = """
SELECT name FROM domains WHERE application_id = %s AND status = 'verified' ORDER BY id DESC LIMIT 1
"""
_IN_QUEUE: Final = "SELECT DISTINCT email_id FROM delivery_queue WHERE email_id = ANY(%s::uuid[])"
_ALONE: Final = "SELECT pg_try_advisory_xact_lock(hashtextextended('confirmations of imports', 0))"


@dataclass(frozen=True, slots=True)
class SignupTools:
    """What writing these mails needs."""

    database: Database
    clock: Clock
    links: LinkSeal
    public_url: str
    sandbox_domain: str
    valid_days: int
    remind_days: int
    """0: nobody is reminded."""
    pool: str = ""
    """Name of the pool for people of imports."""
    an_hour: int = 0
    """The pace of that pool."""


async def write_due(tools: SignupTools) -> int:
    """Write what is due to those who signed up; how many mails."""
    written, more = 0, bool(tools.public_url)  # a mail without a link that leads somewhere asks for nothing
    while more:
        async with tools.database.transaction() as connection:
            rows = await confirmations.due(connection, BATCH)
            written += await _write(connection, tools, rows) if rows else 0
        more = len(rows) == BATCH
    return written


async def write_due_of_imports(tools: SignupTools) -> int:
    """Write as many confirmations of imports as the pace allows now; how many. One process at a time: two would each
    find the whole pace unused."""
    async with tools.database.transaction() as connection:
        mine = await (await connection.execute(_ALONE)).fetchone()
        most = await _allowed(connection, tools.an_hour) if tools.public_url and mine and mine[0] else 0
        rows = await confirmations.due_of_imports(connection, most) if most else []
        if not rows:
            return 0
        try:
            pool_id = await reserved_pool(connection, tools.pool)
        except Refused as error:
            await confirmations.later(connection, [row.id for row in rows], NO_SENDER, error.reason)
            return 0
        return await _write(connection, tools, rows, pool_id)


async def _allowed(connection: Connection, an_hour: int) -> int:
    """How many may leave now: spread over the hour, by what left within the last minute and the last hour."""
    a_minute = max(1, an_hour // 60)
    lately = await confirmations.mailed_of_imports(connection, timedelta(minutes=1))
    if lately >= a_minute:
        return 0
    within = await confirmations.mailed_of_imports(connection, timedelta(hours=1))
    return max(0, min(BATCH, a_minute - lately, an_hour - within))


# Writing mails


async def _write(
    connection: Connection, tools: SignupTools, rows: Sequence[Confirmation], pool_id: UUID | None = None
) -> int:
    asked = await _may_be_written_to(connection, rows)
    desk = await _Desk.open(connection, tools, asked)
    emails, mailed = [], []
    for row in asked:
        try:
            email = await desk.email(row, pool_id)
        except NoSenderError as error:
            await confirmations.later(connection, [row.id], NO_SENDER, str(error))
            continue
        except Refused as error:  # an address of the sandbox that simulates nobody: no reason to hold up the others
            await confirmations.unsent(connection, [row.id], error.reason)
            continue
        emails.append(email)
        mailed.append(_and_then(row, email.id, tools))
    if emails:
        await _take_back_earlier(connection, asked)
        await write_emails(connection, emails)
        await confirmations.mailed(connection, mailed, timedelta(days=tools.valid_days))
    return len(emails)


async def _take_back_earlier(connection: Connection, asked: Sequence[Confirmation]) -> None:
    """Of nobody two of our mails wait: the later one says all, and is the one that is known (`email_id`)."""
    owners = {row.email_id: row.application_id for row in asked if row.email_id is not None}
    cursor = await connection.execute(_IN_QUEUE, [arrays.uuids(owners)])
    for (email_id,) in await cursor.fetchall():
        await mails.cancel(connection, owners[email_id], email_id, "a later mail of its sign-up took its place")


async def _may_be_written_to(connection: Connection, rows: Sequence[Confirmation]) -> list[Confirmation]:
    """The others get nothing, and nobody but their application learns why."""
    forbidden = await confirmations.forbidden(connection, rows)
    asks = [row.address for row in rows if row.next_mail is NextMail.CONFIRM]
    crowded = await confirmations.crowded(connection, asks)
    asked = [row for row in rows if row.import_id and row.next_mail is NextMail.CONFIRM]
    settled = {row.id for row in asked} - await confirmations.still_unconfirmed(connection, asked)
    found, never = [], defaultdict(list)
    for row in rows:
        if row.id in settled:
            never[SETTLED].append(row.id)
        elif row.id in forbidden:
            never[SUPPRESSED].append(row.id)
        elif row.next_mail is NextMail.CONFIRM and row.address in crowded:
            never[CROWDED].append(row.id)
        else:
            found.append(row)
    for why, identifiers in never.items():
        await confirmations.unsent(connection, identifiers, why)
    return found


def _and_then(row: Confirmation, email_id: UUID, tools: SignupTools) -> Mailed:
    """One reminder, while there is time for an answer; none to people who never asked."""
    reminds = row.next_mail is NextMail.CONFIRM and row.import_id is None and not row.wanted.again
    if reminds and 0 < tools.remind_days < tools.valid_days:
        return Mailed(row.id, email_id, NextMail.REMINDER, timedelta(days=tools.remind_days))
    return Mailed(row.id, email_id)


@dataclass(slots=True)
class _Desk:
    """What the mails of one batch are written with."""

    connection: Connection
    tools: SignupTools
    forms: Mapping[UUID, Form]
    topics: dict[UUID, dict[UUID, Topic]]
    """By application."""
    rules: dict[UUID, CaptureRules]
    senders: dict[UUID, str]
    """Of applications whose import named no form."""

    @classmethod
    async def open(cls, connection: Connection, tools: SignupTools, rows: Sequence[Confirmation]) -> "_Desk":
        named = await forms.kept(connection, {(row.application_id, row.form_id) for row in rows if row.form_id})
        desk = cls(connection, tools, named, {}, {}, {})
        for application_id in {row.application_id for row in rows}:
            every = await topics.every(connection, application_id)
            desk.topics[application_id] = {topic.id: topic for topic in every}
            patterns = await capture_rules.patterns(connection, application_id)
            desk.rules[application_id] = CaptureRules.of(patterns)
            found = await (await connection.execute(_OWN_DOMAIN, [application_id])).fetchone()
            desk.senders[application_id] = f"no-reply@{found[0]}" if found else ""
        return desk

    async def email(self, row: Confirmation, pool_id: UUID | None) -> NewEmail:
        """The mail that is due to this one. Raises NoSenderError."""
        form = self.forms.get(row.form_id) if row.form_id else None
        sender = form.facts.sender if form else self.senders[row.application_id]
        told = self._letter(row, form)
        mail = OwnMail(
            sender, (row.email,), told.subject, told.text, headers=_HEADERS, html=told.html,
            application_id=row.application_id, pool_id=pool_id,
        )  # fmt: skip
        email = await own_mail.written(self.connection, mail, self.tools.clock.now())
        rules = self.rules[row.application_id]
        return replace(email, recipients=marked(email.recipients, rules, self.tools.sandbox_domain))

    def _letter(self, row: Confirmation, form: Form | None) -> Letter:
        texts = form.texts(row.language) if form else forms.Texts()
        welcomes = row.next_mail is NextMail.WELCOME
        told = Told(
            sender=form.sender_name if form else self.senders[row.application_id].rpartition("@")[2],
            address=row.email,
            url=self._choices_url(row) if welcomes else self._confirm_url(row),
            days=self.tools.valid_days,
            intro=texts.welcome if welcomes else "",
            topics=self._topics(row),
            frequency=texts.frequency,
            consent="" if welcomes else row.wanted.consent,
        )
        return letter(_kind(row), row.language, told)

    def _topics(self, row: Confirmation) -> list[tuple[str, str]]:
        known = self.topics[row.application_id]
        return [(known[one].name, known[one].description) for one in row.wanted.topics if one in known]

    def _confirm_url(self, row: Confirmation) -> str:
        link = self.tools.links.seal_confirmation(ConfirmLink(row.application_id, row.id))
        return f"{self.tools.public_url}/y/{link}?lang={row.language}"

    def _choices_url(self, row: Confirmation) -> str:
        return f"{self.tools.public_url}/u/{self.tools.links.seal(choices_link(row))}?lang={row.language}"


def _kind(row: Confirmation) -> Kind:
    if row.next_mail is NextMail.CONFIRM:
        return Kind.AGAIN if row.wanted.again else Kind.IMPORT if row.import_id else Kind.CONFIRM
    return Kind.REMINDER if row.next_mail is NextMail.REMINDER else Kind.WELCOME


def choices_link(row: Confirmation) -> MailLink:
    """The link to the page where this person changes what they get."""
    return MailLink(row.application_id, None, row.email_id or row.id, 0, row.address)


# Another address


async def readdress(connection: Connection, person: Person, to: str, written: str = "") -> None:
    """What waits for somebody who moves to another (folded) address is asked there, and what waits in the queue for the
    old one is taken back. Of what was asked at both the later one stands. The caller holds both addresses."""
    known = await confirmations.at_address(connection, person.application_id, person.address)
    mail = await _due_anew(connection, known) if known is not None else None
    if known is None or mail is None:
        return
    there = await confirmations.at_address(connection, person.application_id, to)
    if there is not None and _waits(there) and (known.confirmed_at is not None or there.asked_at > known.asked_at):
        await confirmations.drop(connection, known)
    else:
        await confirmations.readdress(connection, known, checked_email(written or to), mail)


async def _due_anew(connection: Connection, known: Confirmation) -> NextMail | None:
    """Which of our mails the new address gets: each once for the person, but whoever asked by hand is asked there, for
    no link that was read at the old one says anything of the new."""
    taken = False
    if known.email_id is not None:
        found = await mails.cancel(
            connection, known.application_id, known.email_id, "its recipient has another address"
        )
        taken = found is not None and found.moved > 0
    if known.confirmed_at is None:
        asks = known.import_id is None or taken or known.next_mail is NextMail.CONFIRM
        return NextMail.CONFIRM if asks and not known.over else None
    welcomed = taken and known.email_id is not None and moment_of(known.email_id) > known.confirmed_at
    return NextMail.WELCOME if welcomed or known.next_mail is NextMail.WELCOME else None


def _waits(known: Confirmation) -> bool:
    return known.confirmed_at is None and not known.over


# What a yes changes


@dataclass(frozen=True, slots=True)
class Yes:
    """Somebody pressed the button."""

    link: ConfirmLink
    ip: str


async def confirm(connection: Connection, yes: Yes) -> Confirmation | None:
    """All that follows, once, however often it is pressed; the confirmation as it stands now. None when there is none
    any more, or its time is over."""
    found = await confirmations.find(connection, yes.link.application_id, yes.link.confirmation_id)
    if found is None:
        return None
    person = Person(found.application_id, found.address)
    await choices.alone(connection, person)  # first, as all who decide for somebody
    row = await confirmations.locked(connection, found.application_id, found.id)
    if row is None or row.address != found.address or (row.over and row.confirmed_at is None):
        return None
    if row.confirmed_at is not None:
        return row
    form = await forms.kept_one(connection, row.application_id, row.form_id)
    await _store(connection, row, form, yes)
    await _choose(connection, person, row, yes)
    await confirmations.confirmed(connection, row.id, welcome=form is not None and form.facts.welcome)
    return row


async def _store(connection: Connection, row: Confirmation, form: Form | None, yes: Yes) -> None:
    """The contact with its consent, on its lists."""
    asked_first = row.import_id is not None or row.wanted.again
    source = ContactSource.LINK if asked_first else ContactSource.FORM
    act = ContactAct(source, yes.ip, "", row.form_id or row.import_id)
    proof = _proof(row)
    before = await contacts.find(connection, row.application_id, row.address)
    changes = await _changes(connection, row, proof)
    made = await contacts.create(connection, row.application_id, row.email, changes, act)
    if before is not None and before.status is Status.CONFIRMED:  # a newer proof beside the older
        await contact_history.note(connection, made.contact.id, row.application_id, Changed.CONFIRMED, act, proof)
        await contacts.confirmed_anew(connection, made.contact.id)
    wanted = [*row.wanted.segments, *([form.facts.segment_id] if form and form.facts.segment_id else [])]
    for segment_id, is_list in (await membership.which_are_lists(connection, row.application_id, wanted)).items():
        if is_list:
            await membership.confirm(connection, OnList(segment_id, row.application_id, act), [made.contact.id])
    kind = EventType.CONTACT_CREATED if made.created else EventType.CONTACT_UPDATED
    await contact_telling.tell(connection, kind, [made.contact])


def _proof(row: Confirmation) -> dict[str, object]:
    """What shows later that they asked: the words they read, when, and from where."""
    found = {
        "text": row.wanted.consent,
        "asked_at": row.asked_at.isoformat(),
        "asked_ip": row.ip,
        "language": row.language,
        "topics": [str(one) for one in row.wanted.topics],
        "form": str(row.form_id or ""),
        "import": str(row.import_id or ""),
    }
    return {name: value for name, value in found.items() if value}


async def _changes(connection: Connection, row: Confirmation, proof: Mapping[str, object]) -> Changes:
    """What the form asked, as far as there is a place for it still."""
    wanted = row.wanted
    names: dict[str, str | None] = {}
    if wanted.first_name:
        names["first_name"] = wanted.first_name
    if wanted.last_name:
        names["last_name"] = wanted.last_name
    if row.form_id:
        names["language"] = row.language
    known = await properties.for_writing(connection, row.application_id) if wanted.properties else {}
    return Changes(names, _fitting(wanted, known), confirm=True, proof=proof)


def _fitting(wanted: Wanted, known: properties.Definitions) -> dict[str, object]:
    """A property may have been deleted since: that takes nobody's yes away."""
    found: dict[str, object] = {}
    for key, value in wanted.properties.items():
        try:
            found |= properties.checked({key: value}, known)
        except Refused as error:
            _log.info("signup_property_dropped", property=key, reason=error.reason)
    return found


async def _choose(connection: Connection, person: Person, row: Confirmation, yes: Yes) -> None:
    """They come back if they had left, and go on if they had paused. Who had left everything and chooses types of mail
    gets these and no others."""
    act = Act(Source.LINK, yes.ip, detail=f"sign-up {row.form_id or row.import_id}")
    left = await choosing.return_to_all(connection, person, act)
    await choosing.pause(connection, person, None, act)
    every = {one.id: one for one in await topics.every(connection, row.application_id) if one.lane is Lane.MARKETING}
    chosen = {one: Subscription.OPT_IN for one in row.wanted.topics if one in every}
    others = dict.fromkeys(every.keys() - chosen.keys(), Subscription.OPT_OUT) if left and chosen else {}
    await choosing.choose(connection, person, others | chosen, act)
