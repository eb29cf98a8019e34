"""The source of a stored email, as it is made when it leaves: for people who look at it. Reads only.

Composed from what was accepted, or rendered for its person; the return path, the way to unsubscribe and the signature
are each recipient's own and are put in front when the mail leaves, and tracked links take their place then.
"""

from uuid import UUID

from core.addresses import AddressError
from messages.claim import load_content
from messages.repository import EmailDetail
from mta.compose import compose, compose_raw
from mta.mime_headers import ComposeError
from mta.model import Draft
from store.database import Connection


async def source(connection: Connection, email: EmailDetail) -> bytes | None:
    """The mail as bytes; None when retention has removed its content, or it cannot be made."""
    summary = email.summary
    row = await (await connection.execute("SELECT content_id FROM emails WHERE id = %s", [summary.id])).fetchone()
    stored = await load_content(connection, row[0]) if row else None
    date = summary.scheduled_at or summary.created_at
    try:
        if stored is not None and stored.raw is not None:
            return compose_raw(stored.raw, summary.message_id, date, "")
        if email.html is None and email.text is None:
            return None
        return compose(
            Draft(
                summary.sender, tuple(summary.to), summary.subject, summary.message_id, date, tuple(summary.cc),
                tuple(summary.reply_to), email.html or None, email.text or None, stored.headers if stored else (),
                attachments=stored.attachments if stored else (),
            )
        )  # fmt: skip
    except (ComposeError, AddressError):
        return None


async def owner(connection: Connection, email_id: UUID) -> UUID | None:
    """The application whose email it is; None when there is no such email."""
    row = await (await connection.execute("SELECT application_id FROM emails WHERE id = %s", [email_id])).fetchone()
    return row[0] if row else None
