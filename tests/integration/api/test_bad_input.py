"""Everything that must be refused: a clear 4xx that names the field, and nothing stored."""

import base64
import json
from typing import Any

import httpx
import pytest

from core.settings import Settings
from store.database import Database
from tests.integration.api.account import email

LINE_BREAKS = ("\r\n", "\n", "\r", "\0")

CASES: list[tuple[str, dict[str, Any], int, str, str]] = [
    # name, body, status, error, what the message must hold
    ("no sender", email(sender=None), 422, "missing_required_field", "`from`"),
    ("no recipient", email(to=None), 422, "missing_required_field", "`to`"),
    ("empty list of recipients", email(to=[]), 422, "missing_required_field", "`to`"),
    ("no subject", email(subject=None), 422, "missing_required_field", "`subject`"),
    ("no body", email(text=None), 422, "missing_required_field", "`html` or `text`"),
    ("empty bodies", email(text="", html=""), 422, "missing_required_field", "`html` or `text`"),
    ("sender is no address", email(sender="acme"), 422, "validation_error", "`from`"),
    ("two senders", email(sender="a@acme.example, b@acme.example"), 422, "validation_error", "`from`"),
    ("recipient is no address", email(to="bob"), 422, "validation_error", "`to`"),
    ("second recipient is no address", email(to=["a@b.example", "bob@"]), 422, "validation_error", "`to[1]`"),
    ("recipient without a domain", email(to="bob@localhost"), 422, "validation_error", "`to`"),
    ("recipient with an IP literal", email(to="bob@[127.0.0.1]"), 422, "validation_error", "`to`"),
    ("wrong type of recipient", email(to=5), 422, "validation_error", "`to`"),
    ("wrong type in the list", email(to=["a@b.example", 5]), 422, "validation_error", "`to[1]`"),
    ("copy is no address", email(cc="x"), 422, "validation_error", "`cc`"),
    ("blind copy is no address", email(bcc=["x"]), 422, "validation_error", "`bcc[0]`"),
    ("reply-to is no address", email(reply_to="x"), 422, "validation_error", "`reply_to`"),
    ("too many in one field", email(to=[f"u{n}@b.example" for n in range(101)]), 422, "validation_error", "`to`"),
    ("too many together", email(to=[f"u{n}@b.example" for n in range(90)], cc=[f"c{n}@b.example" for n in range(11)]),
     422, "validation_error", "101"),
    ("long subject", email(subject="x" * 2001), 422, "validation_error", "`subject`"),
    ("subject is a number", email(subject=5), 422, "validation_error", "`subject`"),
    ("NUL in the text", email(text="a\0b"), 422, "validation_error", "`text`"),
    ("NUL in the HTML", email(html="a\0b"), 422, "validation_error", "`html`"),
    ("unknown stream", email(stream="bulk"), 422, "validation_error", "`stream`"),
    ("unknown pool", email(pool="nowhere"), 422, "validation_error", "`pool`"),
    ("pool with NUL", email(pool="ma\0in"), 422, "validation_error", "`pool`"),
    ("pool of the other stream", email(pool="bulk"), 422, "validation_error", "marketing"),
    ("expires at once", email(expires_in=0), 422, "validation_error", "`expires_in`"),
    ("expires too late", email(expires_in=259_201), 422, "validation_error", "`expires_in`"),
    ("expiry is a text", email(expires_in="60"), 422, "validation_error", "`expires_in`"),
    ("schedule in the past", email(scheduled_at="2020-01-01T00:00:00Z"), 422, "validation_error", "past"),
    ("schedule too far", email(scheduled_at="in 31 days"), 422, "validation_error", "30 days"),
    ("schedule is nonsense", email(scheduled_at="soon"), 422, "validation_error", "`scheduled_at`"),
    ("template", email(template={"id": "x"}, text=None), 422, "validation_error", "template.id"),
    ("template", email(template={"id": "x"}), 422, "validation_error", "together with"),
    ("template", email(template={"id": ""}), 422, "missing_required_field", "template.id"),
    ("template", email(template=["x"]), 422, "validation_error", "template"),
    ("tag without a name", email(tags=[{"value": "x"}]), 422, "missing_required_field", "`tags[0].name`"),
    ("tag with blanks", email(tags=[{"name": "a b", "value": "x"}]), 422, "validation_error", "`tags[0].name`"),
    ("tag beyond ASCII", email(tags=[{"name": "a", "value": "ü"}]), 422, "validation_error", "`tags[0].value`"),
    ("long tag", email(tags=[{"name": "a" * 257}]), 422, "validation_error", "`tags[0].name`"),
    ("headers are a list", email(headers=["x"]), 422, "validation_error", "`headers`"),
    ("header is a number", email(headers={"X-A": 5}), 422, "validation_error", "`headers.X-A`"),
    ("header name with a blank", email(headers={"X A": "b"}), 422, "validation_error", "`headers`"),
    ("header name with a colon", email(headers={"X:A": "b"}), 422, "validation_error", "`headers`"),
    ("header name beyond ASCII", email(headers={"Xü": "b"}), 422, "validation_error", "`headers`"),
    ("empty header name", email(headers={"": "b"}), 422, "validation_error", "`headers`"),
    ("message id that is none", email(headers={"Message-ID": "x"}), 422, "validation_error", "Message-ID"),
    ("date that is none", email(headers={"Date": "tomorrow"}), 422, "validation_error", "Date"),
    ("a header of 40 kB", email(headers={"X-A": "b " * 20_000}), 422, "validation_error", "`headers`"),
    ("remote attachment", email(attachments=[{"path": "https://x.example"}]), 422, "invalid_attachment", "[0].path`"),
    ("broken base64", email(attachments=[{"filename": "a", "content": "what?"}]), 422, "invalid_attachment", "base64"),
    ("base64 cut off", email(attachments=[{"filename": "a", "content": "Zml"}]), 422, "invalid_attachment", "base64"),
    ("no bytes", email(attachments=[{"filename": "a", "content": [256]}]), 422, "invalid_attachment", "255"),
    ("a number", email(attachments=[{"filename": "a", "content": 5}]), 422, "invalid_attachment", "[0].content`"),
    ("attachment without content", email(attachments=[{"filename": "a"}]), 422, "missing_required_field", "content"),
    ("attachment is a text", email(attachments=["x"]), 422, "validation_error", "`attachments[0]`"),
    ("content id with a blank", email(attachments=[{"filename": "a", "content": "Zg==", "content_id": "a b"}]),
     422, "invalid_attachment", "content_id"),
]  # fmt: skip
CASES += [
    (f"{name} as a header", email(headers={name: "x"}), 422, "validation_error", name)
    for name in ("Bcc", "DKIM-Signature", "Return-Path", "Received", "From", "To", "CC", "subject", "Sender",
                 "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "Resent-Bcc")
]  # fmt: skip
for broken in LINE_BREAKS:
    evil = f"x{broken}Bcc: eve@evil.example"
    CASES += [
        (f"{broken!r} in the subject", email(subject=evil), 422, "validation_error", "`subject`"),
        (f"{broken!r} in a header", email(headers={"X-A": evil}), 422, "validation_error", "`headers`"),
        (f"{broken!r} in a header name", email(headers={evil: "x"}), 422, "validation_error", "`headers`"),
        (f"{broken!r} in the sender", email(sender=f"A{broken} <a@acme.example>"), 422, "validation_error", "`from`"),
        (f"{broken!r} in a recipient", email(to=f"B{broken} <b@b.example>"), 422, "validation_error", "`to`"),
        (f"{broken!r} in reply-to", email(reply_to=f"B{broken} <b@b.example>"), 422, "validation_error", "`reply_to`"),
        (f"{broken!r} in a tag", email(tags=[{"name": "a", "value": evil}]), 422, "validation_error", "tags[0].value"),
        (f"{broken!r} in a filename", email(attachments=[{"filename": evil, "content": "Zg=="}]),
         422, "invalid_attachment", "filename"),
        (f"{broken!r} in a media type", email(attachments=[{"filename": "a", "content": "Zg==", "content_type": evil}]),
         422, "invalid_attachment", "content_type"),
    ]  # fmt: skip

RAW: list[tuple[str, bytes, int, str]] = [
    ("no body", b"", 400, "validation_error"),
    ("no JSON", b"hello", 400, "validation_error"),
    ("JSON cut off", b'{"from": "a@acme.exam', 400, "validation_error"),
    ("not UTF-8", b'{"from": "\xff"}', 400, "validation_error"),
    ("half a character", b'{"subject": "\\ud800"}', 400, "validation_error"),
    ("a list", b"[]", 422, "validation_error"),
    ("a text", b'"x"', 422, "validation_error"),
    ("null", b"null", 422, "validation_error"),
    ("deeper than any email", b'{"x":' * 5000 + b"1" + b"}" * 5000, 400, "validation_error"),
]


async def emails_stored(database: Database) -> int:
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM emails")).fetchone()
        assert row
        return int(row[0])


async def test_each_bad_email_is_refused_by_name(client: httpx.AsyncClient, database: Database) -> None:
    """One test for all: a database a case would take a minute. Every failure is listed."""
    wrong = []
    for name, body, status, error, text in CASES:
        answer = await client.post("/emails", json=body)
        got = answer.json()
        if (answer.status_code, got.get("name"), got.get("statusCode")) != (status, error, status):
            wrong.append(f"{name}: {answer.status_code} {got}")
        elif text.lower() not in got["message"].lower():
            wrong.append(f"{name}: {text} is not in {got['message']!r}")
        elif any(ord(c) < 32 for c in got["message"]):
            wrong.append(f"{name}: the message holds a control character: {got['message']!r}")
    assert not wrong, "\n".join(wrong)
    assert await emails_stored(database) == 0


@pytest.mark.parametrize("path", ["/emails", "/emails/batch"])
async def test_a_body_that_is_no_email_is_refused(client: httpx.AsyncClient, database: Database, path: str) -> None:
    wrong = []
    for name, raw, status, error in RAW:
        answer = await client.post(path, content=raw)
        if (answer.status_code, answer.json()["name"]) != (status, error):
            wrong.append(f"{name}: {answer.status_code} {answer.json()}")
    assert not wrong, "\n".join(wrong)
    assert await emails_stored(database) == 0


async def test_a_wrong_key_comes_before_everything_else(client: httpx.AsyncClient) -> None:
    answer = await client.post("/emails", content=b"no json", headers={"authorization": "Bearer pl_wrong"})
    assert answer.status_code == 403


class TestSize:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"max_message_bytes": 3_000_000})

    async def test_an_email_over_the_limit(self, client: httpx.AsyncClient, database: Database) -> None:
        file = base64.b64encode(bytes(1_600_000)).decode()
        files = [{"filename": "a", "content": file}, {"filename": "b", "content": file}]
        assert (await client.post("/emails", json=email(attachments=files[:1]))).status_code == 200
        answer = await client.post("/emails", json=email(attachments=files))
        assert (answer.status_code, answer.json()["name"]) == (413, "payload_too_large")
        assert await emails_stored(database) == 1

    async def test_a_body_that_says_it_is_over_the_limit(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/emails", content=b"x" * 5_100_000)
        assert (answer.status_code, answer.json()["name"]) == (413, "payload_too_large")

    async def test_a_body_that_does_not_say_how_long_it_is(self, client: httpx.AsyncClient) -> None:
        sent = 0

        async def endless() -> Any:
            nonlocal sent
            while sent < 50_000_000:
                sent += 100_000
                yield b"x" * 100_000

        answer = await client.post("/emails", content=endless())
        assert (answer.status_code, answer.json()["name"]) == (413, "payload_too_large")
        assert sent < 6_000_000, "the rest is not read"


async def test_the_batch_has_its_own_rules(client: httpx.AsyncClient, database: Database) -> None:
    for body, status, text in (
        ([], 422, "empty"),
        ([email()] * 1001, 422, "1000"),
        ({"data": [email()]}, 422, "list"),
        ([email(), email(to="bob")], 422, "[1]"),
        ([email(), 5], 422, "[1]"),
        ([email(), email(sender="a@unknown.example")], 403, "[1]"),
    ):
        answer = await client.post("/emails/batch", json=body)
        assert answer.status_code == status, answer.text
        assert text in answer.json()["message"]
    odd = await client.post("/emails/batch", json=[email()], headers={"x-batch-validation": "lax"})
    assert (odd.status_code, odd.json()["name"]) == (422, "invalid_parameter")
    assert await emails_stored(database) == 0


async def test_a_huge_header_of_the_request_is_not_a_server_error(client: httpx.AsyncClient) -> None:
    for key in ("", "x" * 257):
        answer = await client.post("/emails", json=email(), headers={"idempotency-key": key})
        assert (answer.status_code, answer.json()["name"]) == (400, "invalid_idempotency_key")
    assert json.loads((await client.post("/emails", json=email(), headers={"idempotency-key": "x" * 256})).text)["id"]
