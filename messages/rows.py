"""An accepted email as rows of its tables, for COPY (`store/copying`). Pure.

Emails of one request are alike but for their recipients and texts: what they share is made once.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from messages.model import NewEmail
from messages.states import State
from store.copying import begin, boolean, integer, json, kept_text, moment, octets, smallint, text, texts, uuid

_EARLIER: Final = timedelta(seconds=2)
"""Mail for now is due a little earlier than now: `Acceptor.clock` is read some time before the claim asks."""

EMAILS: Final = (
    'COPY emails (id, content_id, subject, "to", cc, bcc, message_id, contact_id, sender, reply_to, tags,'
    " application_id, domain_id, lane, pool_id, created_at, scheduled_at, expires_at, topic_id, open_tracking,"
    " click_tracking, capture, campaign_id, template_id) FROM STDIN (FORMAT BINARY)"
)
CONTENTS: Final = "COPY contents (id, html, body, headers, raw, attachment_count, size) FROM STDIN (FORMAT BINARY)"
MESSAGES: Final = (
    "COPY messages (email_id, position, recipient, address, kind, capture, state, updated_at)"
    " FROM STDIN (FORMAT BINARY)"
)
QUEUE: Final = (
    "COPY delivery_queue (email_id, position, recipient, address, destination, capture, engaged_at, lane,"
    " application_id, due_at, expires_at, topic_id, campaign_id) FROM STDIN (FORMAT BINARY)"
)
ATTACHMENTS: Final = (
    "COPY attachments (content_id, position, filename, content_type, content_cid, data) FROM STDIN (FORMAT BINARY)"
)

_position = lru_cache(1_000)(smallint)
_EMAIL, _CONTENT, _MESSAGE, _QUEUED, _FILE = begin(24), begin(7), begin(8), begin(13), begin(6)
_LARGEST: Final = 2**31 - 1


class Rows(NamedTuple):
    """Of some emails."""

    emails: list[bytes]
    messages: list[bytes]
    queue: list[bytes]


def rows_of(emails: Sequence[NewEmail], topics: Sequence[UUID | None]) -> Rows:
    """All but the contents. `topics`: of which each email is."""
    rows = Rows([], [], [])
    alike: object = None
    of_email = of_message = of_queue = b""
    for e, topic in zip(emails, topics, strict=True):
        shared = (
            e.created_at, e.application_id, e.domain_id, e.lane, topic, e.scheduled_at, e.expires_at, e.sender, e.tags,
            e.reply_to, e.pool_id, e.open_tracking, e.click_tracking, e.capture, e.campaign_id, e.template_id,
        )  # fmt: skip
        if shared != alike:
            alike = shared
            of_email, of_message, of_queue = _email(e, topic), _message(e), _queue(e, topic)
        key = uuid(e.id)
        rows.emails.append(
            b"".join(
                (
                    _EMAIL, key, key if e.content_id is None else uuid(e.content_id), text(e.subject), texts(e.to),
                    texts(e.cc), texts(e.bcc), text(e.message_id), uuid(e.contact_id), of_email,
                )
            )
        )  # fmt: skip
        engaged = moment(e.engaged_at)
        for n, r in enumerate(e.recipients):
            recipient = text(r.recipient)
            person = _position(n) + recipient + (recipient if r.address == r.recipient else text(r.address))
            capture = boolean(e.capture or r.capture)
            rows.messages.append(b"".join((_MESSAGE, key, person, kept_text(r.kind), capture, of_message)))
            rows.queue.append(b"".join((_QUEUED, key, person, kept_text(r.destination), capture, engaged, of_queue)))
    return rows


def contents(emails: Iterable[NewEmail]) -> Iterator[bytes]:
    """Of those that have a content of their own."""
    for e in emails:
        if e.content_id is None:
            headers, files = json(orjson.dumps(e.headers)), smallint(len(e.attachments))
            yield b"".join(
                (
                    _CONTENT, uuid(e.id), text(e.html), text(e.text), headers, octets(e.raw), files,
                    integer(min(e.size, _LARGEST)),
                )
            )  # fmt: skip


def attachments(emails: Iterable[NewEmail]) -> Iterator[bytes]:
    """All files."""
    for e in emails:
        for n, a in enumerate(e.attachments):
            names = text(a.filename) + text(a.content_type) + text(a.content_id)
            yield b"".join((_FILE, uuid(e.id), smallint(n), names, octets(a.data)))


def _email(e: NewEmail, topic: UUID | None) -> bytes:
    return b"".join(
        (
            text(e.sender), texts(e.reply_to), json(orjson.dumps(e.tags)), uuid(e.application_id), uuid(e.domain_id),
            kept_text(e.lane.value), uuid(e.pool_id), moment(e.created_at), moment(e.scheduled_at),
            moment(e.expires_at), uuid(topic), boolean(e.open_tracking), boolean(e.click_tracking),
            boolean(e.capture), uuid(e.campaign_id), uuid(e.template_id),
        )
    )  # fmt: skip


def _message(e: NewEmail) -> bytes:
    state = State.SCHEDULED if e.scheduled_at else State.QUEUED
    return kept_text(state.value) + moment(e.created_at)


def _queue(e: NewEmail, topic: UUID | None) -> bytes:
    due = e.scheduled_at or e.created_at - _EARLIER
    return b"".join(
        (
            kept_text(e.lane.value), uuid(e.application_id), moment(due), moment(e.expires_at), uuid(topic),
            uuid(e.campaign_id),
        )
    )  # fmt: skip
