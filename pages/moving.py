"""Getting the mail at another address: the confirmation mail to the new one, and a word to the old one afterwards.

Nothing moves before somebody who reads mail at the new address has said so: else whoever has a forwarded newsletter
could take its reader's mail away, or have others written to. The link in the confirmation holds the whole wish; what
is stored before is a row of history, by which a person's wishes a day are counted.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from html import escape
from typing import Final

from accounts import capture_rules
from accounts.capture_rules import CaptureRules
from audience import choices
from audience.choices import What
from audience.links import MailLink, MoveLink
from core.addresses import AddressError, Mailbox, parse_mailbox
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused
from messages.accept import write_emails
from messages.capture import marked, stands_in
from messages.model import NewEmail, Submission, receivers
from messages.simulated import refuse_unknown
from pages.brand import Brand
from pages.deps import Deps
from pages.language import Catalogue
from pages.limits import MOVES_A_DAY
from pages.visits import Said, Visit, said
from store.database import Connection
from web.forms import one

VALID: Final = timedelta(days=7)
"""So long a confirmation can be followed."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail of ours about somebody's choices."""

    subject: str
    text: str
    url: str
    end: str = ""


async def ask_to_move(connection: Connection, visit: Visit, brand: Brand) -> Said:
    """What becomes of the wish: said at once, and when it can be, a confirmation mail once it is noted."""
    typed, given, link = one(visit.form, "address"), visit.given, visit.link
    try:
        box = parse_mailbox(typed)
        refuse_unknown(box.key, given.settings.sandbox_domain)
    except (AddressError, Refused):
        return said("wrong.address")
    if box.key == link.address:
        return said("wrong.same")
    if not brand.sender or not given.settings.public_url:
        return said("wrong.sender", sender=brand.name)
    if await choices.asked_lately(connection, visit.person) >= MOVES_A_DAY:
        return said("wrong.often")
    await choices.note(connection, visit.person, What.MOVE_ASKED, visit.act())
    now = given.clock.now()
    wish = MoveLink(link.application_id, link.email_id, link.position, now, link.address, box.wire)
    letter = _confirmation(given, wish, brand, visit.words)
    return Said("done.move", {"address": box.wire}, lambda: send(given, link, brand, box, letter))


def _confirmation(given: Deps, wish: MoveLink, brand: Brand, words: Catalogue) -> Letter:
    return Letter(
        words("mail.confirm.subject"),
        words("mail.confirm.text", sender=brand.name, address=wish.address),
        f"{given.settings.public_url}/m/{given.links.seal_move(wish)}?lang={words.code}",
        words("mail.confirm.end"),
    )


async def tell_old(connection: Connection, given: Deps, wish: MoveLink, brand: Brand, words: Catalogue) -> None:
    """A word to the address that gets no more, with a link by which its reader takes everything back. Written with the
    move itself: else a process that ends between the two leaves somebody who never hears of it."""
    back = MailLink(wish.application_id, None, wish.email_id, wish.position, wish.address)
    letter = Letter(
        words("mail.moved.subject"),
        words("mail.moved.text", sender=brand.name, to=wish.to),
        f"{given.settings.public_url}/u/{given.links.seal(back)}?lang={words.code}",
    )
    email = await _email(connection, given, back, brand, parse_mailbox(wish.address), letter)
    if email is not None:
        await write_emails(connection, [email])


async def send(given: Deps, link: MailLink, brand: Brand, box: Mailbox, letter: Letter) -> None:
    """Accept a mail of the application's own."""
    async with given.database.connection() as connection:
        email = await _email(connection, given, link, brand, box, letter)
    if email is not None:
        await given.acceptor.accept(Submission(link.application_id, (email,)))


async def _email(
    connection: Connection, given: Deps, link: MailLink, brand: Brand, box: Mailbox, letter: Letter
) -> NewEmail | None:
    """As it is accepted: what a capture rule names, or is only simulated, does not leave. None when nothing can."""
    email = _composed(given, link, brand, box, letter)
    if email is None:
        return None
    rules = CaptureRules.of(await capture_rules.patterns(connection, link.application_id))
    try:
        return replace(email, recipients=marked(email.recipients, rules, given.settings.sandbox_domain))
    except Refused:  # no recipient of the sandbox
        return None


def _composed(given: Deps, link: MailLink, brand: Brand, box: Mailbox, letter: Letter) -> NewEmail | None:
    """As transactional mail of the application; None when it has no domain to write from."""
    if brand.domain_id is None:
        return None
    identifier, sender = uuid7(), parse_mailbox(brand.sender)
    plain = Mailbox("", box.local, box.domain)
    return NewEmail(
        id=identifier,
        application_id=link.application_id,
        domain_id=brand.domain_id,
        lane=Lane.TRANSACTIONAL,
        created_at=given.clock.now(),
        message_id=f"<{identifier.hex}@{sender.domain}>",
        sender=brand.sender,
        subject=letter.subject,
        recipients=receivers([("to", plain)]),
        to=(plain.wire,),
        text=f"{letter.text}\n\n{letter.url}\n\n{letter.end}".rstrip() + "\n",
        html=_html(letter),
        capture=stands_in(link.address),  # what follows from a captured mail does not leave either
    )


def _html(letter: Letter) -> str:
    end = f"<p>{escape(letter.end)}</p>" if letter.end else ""
    url = escape(letter.url)
    return f'<p>{escape(letter.text)}</p><p><a href="{url}" data-no-track>{url}</a></p>{end}'
