"""POST /emails: what is stored, what is answered, and who may."""

import base64
from typing import Any

import httpx
import pytest

from store.database import Database
from tests.integration.api.account import Account, email


async def one(database: Database, statement: str, *values: object) -> Any:
    async with database.connection() as connection:
        return await (await connection.execute(statement, values)).fetchone()


async def rows(database: Database, statement: str, *values: object) -> list[Any]:
    async with database.connection() as connection:
        return await (await connection.execute(statement, values)).fetchall()


async def test_an_email_is_stored_with_one_message_per_recipient(client: httpx.AsyncClient, database: Database) -> None:
    body = email(
        to=["Bob <bob@Example.com>", "eve@example.net"],
        cc="Carl <carl@example.org>",
        bcc=["dora@example.com", "bob@example.com"],
        reply_to="help@acme.example",
        html="<p>Thank you.</p>",
        headers={"X-Entity-Ref-ID": "42"},
        tags=[{"name": "category", "value": "receipt"}],
        attachments=[{"filename": "a.txt", "content": base64.b64encode(b"file").decode()}],
    )
    answer = await client.post("/emails", json=body)
    assert answer.status_code == 200
    identifier = answer.json()["id"]
    assert answer.json() == {"id": identifier}

    found = await rows(
        database,
        "SELECT recipient, address, kind, state FROM messages WHERE email_id = %s ORDER BY position",
        identifier,
    )
    assert found == [
        ("bob@example.com", "bob@example.com", "to", "queued"),
        ("eve@example.net", "eve@example.net", "to", "queued"),
        ("carl@example.org", "carl@example.org", "cc", "queued"),
        ("dora@example.com", "dora@example.com", "bcc", "queued"),
    ], "who stands in `to` and `bcc` gets it once"
    queue = await rows(
        database, "SELECT destination, lane FROM delivery_queue WHERE email_id = %s ORDER BY position", identifier
    )
    assert queue == [(name, "transactional") for name in ("example.com", "example.net", "example.org", "example.com")]
    stored = await one(
        database,
        'SELECT sender, subject, "to", cc, bcc, reply_to, tags, message_id, html, body, headers, attachment_count'
        " FROM emails e JOIN contents c ON c.id = e.content_id WHERE e.id = %s",
        identifier,
    )
    assert stored == (
        "Acme <hello@acme.example>", "Your receipt", ["Bob <bob@Example.com>", "eve@example.net"],
        ["Carl <carl@example.org>"], ["dora@example.com", "bob@example.com"], ["help@acme.example"],
        [["category", "receipt"]], f"<{identifier.replace('-', '')}@acme.example>", "<p>Thank you.</p>", "Thank you.",
        [["X-Entity-Ref-ID", "42"]], 1,
    )  # fmt: skip
    assert await one(database, "SELECT filename, content_type, data FROM attachments") == (
        "a.txt",
        "text/plain",
        b"file",
    )


async def test_international_addresses_are_accepted(client: httpx.AsyncClient, database: Database) -> None:
    body = email(sender="Bücher <hallo@bücher.example>", to=["用户@例子.example", "user@bücher.example"])
    answer = await client.post("/emails", json=body)
    assert answer.status_code == 200, answer.text
    found = await rows(database, "SELECT recipient FROM messages ORDER BY position")
    assert found == [("用户@xn--fsqu00a.example",), ("user@xn--bcher-kva.example",)]


async def test_stream_pool_and_expiry(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post("/emails", json=email(stream="marketing", pool="bulk", expires_in=3600))
    assert answer.status_code == 200, answer.text
    found = await one(
        database,
        "SELECT e.lane, p.name, extract(epoch FROM e.expires_at - e.created_at)::int, q.lane,"
        " q.expires_at = e.expires_at"
        " FROM emails e JOIN pools p ON p.id = e.pool_id JOIN delivery_queue q ON q.email_id = e.id",
    )
    assert found == ("marketing", "bulk", 3600, "marketing", True)


async def test_expiry_counts_from_the_schedule(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post("/emails", json=email(scheduled_at="in 2 hours", expires_in=60))
    assert answer.status_code == 200, answer.text
    found = await one(
        database,
        "SELECT extract(epoch FROM e.scheduled_at - e.created_at)::int,"
        " extract(epoch FROM q.expires_at - q.due_at)::int, m.state"
        " FROM emails e JOIN delivery_queue q ON q.email_id = e.id JOIN messages m ON m.email_id = e.id",
    )
    assert found == (7200, 60, "scheduled")


async def test_the_message_id_of_the_application_wins(client: httpx.AsyncClient, database: Database) -> None:
    answer = await client.post("/emails", json=email(headers={"message-id": "<order-7@acme.example>"}))
    assert answer.status_code == 200
    assert await one(database, "SELECT message_id FROM emails") == ("<order-7@acme.example>",)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([102, 105, 108, 101], id="the Python SDK's list of numbers"),
        pytest.param({"type": "Buffer", "data": [102, 105, 108, 101]}, id="Node's Buffer"),
        pytest.param("Zml\r\nsZQ==", id="base64 with line breaks"),
    ],
)
async def test_attachments_come_in_several_forms(
    client: httpx.AsyncClient, database: Database, content: object
) -> None:
    body = email(attachments=[{"filename": "logo.png", "content": content, "content_id": "<logo>"}])
    assert (await client.post("/emails", json=body)).status_code == 200
    found = await one(database, "SELECT data, content_type, content_cid FROM attachments")
    assert found == (b"file", "image/png", "logo")


async def test_unknown_fields_are_ignored(client: httpx.AsyncClient) -> None:
    assert (await client.post("/emails", json=email(newer="b2d1", whatever=[1]))).status_code == 200


async def test_a_body_without_content_type_is_read(client: httpx.AsyncClient) -> None:
    body = b'{"from":"hello@acme.example","to":"bob@example.com","subject":"x","text":"y"}'
    answer = await client.post("/emails", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code == 200, "curl -d says it is a form"


async def test_a_key_is_needed_and_must_be_right(client: httpx.AsyncClient) -> None:
    none = await client.post("/emails", json=email(), headers={"authorization": ""})
    wrong = await client.post("/emails", json=email(), headers={"authorization": "Bearer pl_wrong"})
    assert (none.status_code, none.json()["name"]) == (401, "missing_api_key")
    assert (wrong.status_code, wrong.json()["name"]) == (403, "invalid_api_key")


async def test_a_sending_key_may_only_send(client: httpx.AsyncClient, account: Account) -> None:
    headers = {"authorization": f"Bearer {account.sending}"}
    sent = await client.post("/emails", json=email(), headers=headers)
    assert sent.status_code == 200
    identifier = sent.json()["id"]
    for method, path in (
        ("GET", "/emails"), ("GET", f"/emails/{identifier}"), ("GET", f"/emails/{identifier}/events"),
        ("POST", f"/emails/{identifier}/cancel"), ("PATCH", f"/emails/{identifier}"), ("GET", "/domains"),
    ):  # fmt: skip
        answer = await client.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["name"]) == (401, "restricted_api_key"), f"{method} {path}"


async def test_a_key_of_one_domain_sends_from_no_other(client: httpx.AsyncClient, account: Account) -> None:
    headers = {"authorization": f"Bearer {account.bound}"}
    own = await client.post("/emails", json=email(sender="a@other.example"), headers=headers)
    other = await client.post("/emails", json=email(), headers=headers)
    assert own.status_code == 200
    assert (other.status_code, other.json()["name"]) == (403, "invalid_from_address")


@pytest.mark.parametrize("sender", ["a@unknown.example", "a@new.example", "a@sub.acme.example"])
async def test_the_sender_is_a_verified_domain_of_ours(
    client: httpx.AsyncClient, database: Database, sender: str
) -> None:
    answer = await client.post("/emails", json=email(sender=sender))
    assert (answer.status_code, answer.json()["name"]) == (403, "invalid_from_address")
    assert await one(database, "SELECT count(*) FROM emails") == (0,)


async def test_another_application_has_none_of_our_domains(client: httpx.AsyncClient, account: Account) -> None:
    answer = await client.post("/emails", json=email(), headers={"authorization": f"Bearer {account.stranger}"})
    assert answer.status_code == 403


async def test_tracking_needs_pages_that_links_could_lead_to(client: httpx.AsyncClient) -> None:
    answer = await client.post("/emails", json=email(click_tracking=True))
    assert (answer.status_code, answer.json()["name"]) == (422, "validation_error")
    assert "`click_tracking`" in answer.json()["message"]
    assert (await client.post("/emails", json=email(click_tracking=False))).status_code == 200
