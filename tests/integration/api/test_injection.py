"""Header injection through every text field of every body: no answer, no mail and no webhook has a header too many."""

import re
from datetime import UTC, datetime
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from accounts.senders import Sender
from api.limits import RateLimiter
from core.queues import Lane
from core.secrets import InstanceSecret
from messages import claim
from messages.model import Claimed, MessageRef
from messages.prepare import prepare_many
from mta.model import Envelope
from store.database import Database
from tests.integration.api.hostile import EVIL, HOSTILE, Field, fields
from tests.integration.messages.emails import make_partitions, rows
from tests.openapi_document import document
from webhooks import targets

pytestmark = pytest.mark.timeout(300)

SECRET = InstanceSecret.from_text("5" * 64)
_LINE = re.compile(rb"(?:[!-9;-~]+: ?|[ \t])[^\r\n\0]{0,997}")
KNOWN = {
    "postlane-ref", "date", "from", "to", "cc", "reply-to", "subject", "message-id", "mime-version", "content-type",
    "content-transfer-encoding", "content-disposition", "feedback-id", "list-unsubscribe", "list-unsubscribe-post",
    "x-mine", "dkim-signature",
}  # fmt: skip
"""Headers that a mail of these bodies may have."""


def wrong_with(answer: httpx.Response) -> str:
    """What is wrong with the answer to a hostile request, "" when nothing is."""
    if answer.status_code >= 500:
        return f"{answer.status_code} {answer.text[:200]}"
    if any(name.lower().startswith("x-evil") for name in answer.headers):
        return f"a header of theirs: {answer.headers}"
    if any(not value.isprintable() or EVIL in value for value in answer.headers.values()):
        return f"their text in a header: {answer.headers}"
    said = answer.json().get("message", "") if answer.content and "json" in answer.headers["content-type"] else ""
    return "" if all(c.isprintable() for c in str(said)) else f"a message that breaks lines: {said!r}"


async def test_no_answer_has_a_header_too_many(
    app: FastAPI, client: httpx.AsyncClient, ops: httpx.AsyncClient, database: Database
) -> None:
    app.state.limiter = RateLimiter(0)
    await make_partitions(database)
    found = list(fields(document()))
    assert {"/emails", "/webhooks", "/topics", "/domains", "/suppressions"} <= {field.path for field in found}
    wrong = []
    for field in found:
        who = client if (await _tried(client, field, "x")).status_code != 403 else ops
        for name, text in HOSTILE.items():
            if problem := wrong_with(await _tried(who, field, text)):
                wrong.append(f"{field}, {name}: {problem}")
    assert not wrong, "\n".join(wrong)
    for (url,) in await rows(database, "SELECT url FROM webhook_endpoints"):
        assert targets.parse(url).url == url, "a request line is made of it"


async def _tried(who: httpx.AsyncClient, field: Field, text: str) -> httpx.Response:
    path = re.sub(r"\{[^}]*\}", "01a20446-0000-7000-8000-000000000000", field.path)
    return await who.request(field.method, path, json=field.filled(text))


async def test_no_mail_has_a_header_too_many(app: FastAPI, client: httpx.AsyncClient, database: Database) -> None:
    """Of what was accepted, each mail as it goes out."""
    app.state.limiter = RateLimiter(0)
    await make_partitions(database)
    accepted: dict[UUID, str] = {}
    for field in fields(document()):
        if (field.method, field.path) == ("post", "/emails"):
            for name, text in HOSTILE.items():
                answer = await _tried(client, field, text)
                if answer.status_code == 200:
                    accepted[UUID(answer.json()["id"])] = f"{field}, {name}"
    assert len(accepted) > 10, "some texts are harmless where they stand, such as in a body"
    wrong = [f"{what}: {problem}" for email, what in accepted.items() if (problem := await _composed(database, email))]
    assert not wrong, "\n".join(wrong)


async def _composed(database: Database, email_id: UUID) -> str:
    """What is wrong with the mail, "" when nothing is."""
    async with database.connection() as connection:
        stored, _ = (await claim.load(connection, [email_id]))[email_id]
        content = await claim.load_content(connection, stored.content_id)
    message = Claimed(
        MessageRef(email_id, 0), "bob@example.com", "bob@example.com", "example.com", 0, None, None, None, False,
        datetime.now(UTC),
    )  # fmt: skip
    sender = Sender("acme.example", "bounce.acme.example", ())
    (made,) = prepare_many(
        [(message, stored, content, sender)], Lane.MARKETING, SECRET, datetime.now(UTC), "https://news.acme.example"
    )
    if not isinstance(made, Envelope):
        return f"it is refused only when it is made: {made}"
    head = made.whole.partition(b"\r\n\r\n")[0].split(b"\r\n")
    broken = [line for line in head if not _LINE.fullmatch(line)]
    names = {line.partition(b":")[0].decode().lower() for line in head if line[:1] not in b" \t"}
    return f"{broken} {names - KNOWN}" if broken or names - KNOWN else ""
