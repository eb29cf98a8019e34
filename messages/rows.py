"""An accepted email as rows of its tables, in PostgreSQL's binary form (`store/copying`). Pure.

Emails of one request are alike but for their recipients and texts: what they share is made once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from messages.model import NewEmail
from messages.states import State
from store.copying import boolean, integer, json, kept_text, moment, octets, smallint, text, texts, uuid
from store.inserting import Row, Table, listed

_EARLIER: Final = timedelta(seconds=2)
"""Mail for now is due a little earlier than now: `Acceptor.clock` is read some time before the claim asks."""

EMAILS: Final = Table(
    "INSERT INTO emails",
    {
        "id": "uuid", "content_id": "uuid", "subject": "text", '"to"': "text[]", "cc": "text[]", "bcc": "text[]",
        "message_id": "text", "contact_id": "uuid", "sender": "text", "reply_to": "text[]", "tags": "jsonb",
        "application_id": "uuid", "domain_id": "uuid", "lane": "text", "pool_id": "uuid", "created_at": "timestamptz",
        "scheduled_at": "timestamptz", "expires_at": "timestamptz", "topic_id": "uuid", "open_tracking": "bool",
        "click_tracking": "bool", "capture": "bool", "campaign_id": "uuid", "template_id": "uuid",
    },
)  # fmt: skip
CONTENTS: Final = Table(
    "INSERT INTO contents",
    {
        "id": "uuid", "html": "text", "body": "text", "headers": "jsonb", "raw": "bytea", "attachment_count": "int2",
        "size": "int4",
    },
)  # fmt: skip
MESSAGES: Final = Table(
    "INSERT INTO messages",
    {
        "email_id": "uuid", "position": "int2", "recipient": "text", "address": "text", "kind": "text",
        "capture": "bool", "state": "text", "updated_at": "timestamptz",
    },
)  # fmt: skip
QUEUE: Final = Table(
    "INSERT INTO delivery_queue",
    {
        "email_id": "uuid", "position": "int2", "recipient": "text", "address": "text", "destination": "text",
        "capture": "bool", "engaged_at": "timestamptz", "lane": "text", "application_id": "uuid",
        "due_at": "timestamptz", "expires_at": "timestamptz", "topic_id": "uuid", "campaign_id": "uuid",
    },
    beside="messages",
)  # fmt: skip
ATTACHMENTS: Final = Table(
    "INSERT INTO attachments",
    {
        "content_id": "uuid", "position": "int2", "filename": "text", "content_type": "text", "content_cid": "text",
        "data": "bytea",
    },
)  # fmt: skip

_position = lru_cache(1_000)(smallint)
_LARGEST: Final = 2**31 - 1


class Form(NamedTuple):
    """What the rows are for."""

    lists: Callable[[Sequence[str]], bytes]
    together: Callable[[Row], Row]
    """Of values that stand side by side in many rows."""


TO_COPY: Final = Form(texts, lambda values: (b"".join(values),))
TO_INSERT: Final = Form(listed, lambda values: values)


class Rows(NamedTuple):
    """Of some emails."""

    emails: list[Row]
    messages: list[Row]
    queue: list[Row]


def rows_of(emails: Sequence[NewEmail], topics: Sequence[UUID | None], form: Form) -> Rows:
    """All but the contents. `topics`: of which each email is."""
    rows = Rows([], [], [])
    lists, together = form
    alike: object = None
    of_email: Row = ()
    of_message: Row = ()
    of_queue: Row = ()
    for e, topic in zip(emails, topics, strict=True):
        shared = (
            e.created_at, e.application_id, e.domain_id, e.lane, topic, e.scheduled_at, e.expires_at, e.sender, e.tags,
            e.reply_to, e.pool_id, e.open_tracking, e.click_tracking, e.capture, e.campaign_id, e.template_id,
        )  # fmt: skip
        if shared != alike:
            alike = shared
            of_email = together(_email(e, topic, lists))
            of_message, of_queue = together(_message(e)), together(_queue(e, topic))
        key = uuid(e.id)
        rows.emails.append(
            (
                key, key if e.content_id is None else uuid(e.content_id), text(e.subject), lists(e.to), lists(e.cc),
                lists(e.bcc), text(e.message_id), uuid(e.contact_id), *of_email,
            )
        )  # fmt: skip
        engaged = moment(e.engaged_at)
        for n, r in enumerate(e.recipients):
            recipient = text(r.recipient)
            address = recipient if r.address == r.recipient else text(r.address)
            person = together((key, _position(n), recipient, address))
            capture = boolean(e.capture or r.capture)
            rows.messages.append((*person, kept_text(r.kind), capture, *of_message))
            rows.queue.append((*person, kept_text(r.destination), capture, engaged, *of_queue))
    return rows


def contents(emails: Iterable[NewEmail]) -> Iterator[Row]:
    """Of those that have a content of their own."""
    for e in emails:
        if e.content_id is None:
            headers, files = json(orjson.dumps(e.headers)), smallint(len(e.attachments))
            size = integer(min(e.size, _LARGEST))
            yield uuid(e.id), text(e.html), text(e.text), headers, octets(e.raw), files, size


def attachments(emails: Iterable[NewEmail]) -> Iterator[Row]:
    """All files."""
    for e in emails:
        for n, a in enumerate(e.attachments):
            names = text(a.filename), text(a.content_type), text(a.content_id)
            yield uuid(e.id), smallint(n), *names, octets(a.data)


def _email(e: NewEmail, topic: UUID | None, lists: Callable[[Sequence[str]], bytes]) -> Row:
    return (
        text(e.sender), lists(e.reply_to), json(orjson.dumps(e.tags)), uuid(e.application_id), uuid(e.domain_id),
        kept_text(e.lane.value), uuid(e.pool_id), moment(e.created_at), moment(e.scheduled_at), moment(e.expires_at),
        uuid(topic), boolean(e.open_tracking), boolean(e.click_tracking), boolean(e.capture), uuid(e.campaign_id),
        uuid(e.template_id),
    )  # fmt: skip


def _message(e: NewEmail) -> Row:
    state = State.SCHEDULED if e.scheduled_at else State.QUEUED
    return kept_text(state.value), moment(e.created_at)


def _queue(e: NewEmail, topic: UUID | None) -> Row:
    due = e.scheduled_at or e.created_at - _EARLIER
    return (
        kept_text(e.lane.value), uuid(e.application_id), moment(due), moment(e.expires_at), uuid(topic),
        uuid(e.campaign_id),
    )  # fmt: skip
