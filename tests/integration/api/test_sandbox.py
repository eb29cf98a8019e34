"""Test keys and the sandbox over HTTP: what they may, what they see, and the mailbox in Resend's shapes."""

from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from messages.model import MessageRef
from sandbox import mailbox
from sandbox.mailbox import CapturedMail
from store.database import Database
from tests.integration.api.account import Account, email
from tests.integration.messages.emails import rows

RAW = (
    b"From: hello@acme.example\r\nTo: bob@example.com\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nX-A: 1\r\nX-A: 2\r\n"
    b'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n'
    b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nThank you.\r\n"
    b'--b\r\nContent-Type: text/html; name="x.html"\r\nContent-Disposition: attachment; filename="x.html"\r\n\r\n'
    b"<script>\r\n--b--\r\n"
)


@pytest.fixture
async def tester(app: FastAPI, client: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """Calls with a test key of the same application."""
    made = (await client.post("/api-keys", json={"name": "ci", "test": True})).json()
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    headers = {"authorization": f"Bearer {made['token']}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as http:
        yield http


async def keep(database: Database, account: Account, email_id: str, to: str = "bob@example.com") -> None:
    """What a worker does at the end."""
    async with database.transaction() as connection:
        mail = CapturedMail(MessageRef(UUID(email_id), 0), account.application_id, "b@bounce.acme.example", to, RAW)
        await mailbox.keep(connection, [mail])


async def test_a_test_key_is_shown_as_one(client: httpx.AsyncClient, tester: httpx.AsyncClient) -> None:
    keys = {key["name"]: key for key in (await client.get("/api-keys")).json()["data"]}

    assert (keys["ci"]["test"], keys["k"]["test"]) == (True, False)
    assert keys["ci"]["hint"].startswith("pl_test_")
    assert len(keys["ci"]["hint"]) == len("pl_test_") + 5
    assert tester.headers["authorization"].startswith(f"Bearer {keys['ci']['hint']}")


async def test_all_that_a_test_key_sends_is_captured(tester: httpx.AsyncClient, database: Database) -> None:
    people = ["a@x.example", "b@y.example"]
    single = await tester.post("/emails", json=email(to=people, cc="c@z.example", sender="a@new.example"))
    batch = await tester.post("/emails/batch", json=[email(), email(scheduled_at="in 1 hour")])

    assert (single.status_code, batch.status_code) == (200, 200)
    assert {row[0] for row in await rows(database, "SELECT capture FROM delivery_queue")} == {True}
    assert {row[0] for row in await rows(database, "SELECT capture FROM messages")} == {True}
    assert {row[0] for row in await rows(database, "SELECT capture FROM emails")} == {True}
    shown = (await tester.get(f"/emails/{single.json()['id']}")).json()
    assert shown["test"]
    assert all(one["captured"] for one in shown["recipients"])
    later = batch.json()["data"][1]["id"]
    assert (await tester.patch(f"/emails/{later}", json={"scheduled_at": "in 1 min"})).status_code == 200
    assert (await tester.post(f"/emails/{later}/cancel")).status_code == 200
    assert await rows(database, "SELECT count(*) FROM emails WHERE NOT capture") == [(0,)]


async def test_a_sender_that_is_not_there_is_found_by_tests(
    tester: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    for who in (tester, client):
        refused = await who.post("/emails", json=email(sender="a@stranger.example"))
        assert (refused.status_code, refused.json()["name"]) == (403, "invalid_from_address")
    assert "need not be verified" in (await tester.post("/emails", json=email(sender="a@no.example"))).json()["message"]


async def test_a_test_key_sees_and_changes_no_real_mail(client: httpx.AsyncClient, tester: httpx.AsyncClient) -> None:
    real = (await client.post("/emails", json=email(scheduled_at="in 1 hour"))).json()["id"]
    mine = (await tester.post("/emails", json=email())).json()["id"]

    assert [one["id"] for one in (await tester.get("/emails")).json()["data"]] == [mine]
    assert [(one["id"], one["test"]) for one in (await client.get("/emails")).json()["data"]] == [
        (mine, True), (real, False),
    ]  # fmt: skip
    for answer in (
        await tester.get(f"/emails/{real}"),
        await tester.get(f"/emails/{real}/events"),
        await tester.patch(f"/emails/{real}", json={"scheduled_at": "in 1 min"}),
        await tester.post(f"/emails/{real}/cancel"),
    ):
        assert answer.status_code == 404
    assert (await client.get(f"/emails/{real}")).json()["last_event"] == "scheduled"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api-keys", {"name": "live"}),
        ("GET", "/sandbox/rules", None),
        ("POST", "/sandbox/rules", {"pattern": "*"}),
        ("DELETE", "/sandbox/rules/01a20446-b6a1-7000-8a97-c8c4fb13728d", None),
        ("POST", "/suppressions", {"email": "a@x.example"}),
        ("GET", "/suppressions", None),
        ("DELETE", "/suppressions/a@x.example", None),
        ("GET", "/api-keys", None),
        ("POST", "/domains", {"name": "mine.example"}),
    ],
)
async def test_a_test_key_does_nothing_else(
    tester: httpx.AsyncClient, method: str, path: str, body: dict[str, str] | None
) -> None:
    answer = await tester.request(method, path, json=body)

    assert (answer.status_code, answer.json()["name"]) == (401, "restricted_api_key")
    assert "for tests" in answer.json()["message"]


async def test_an_idempotency_key_is_not_used_up_by_a_test(
    client: httpx.AsyncClient, tester: httpx.AsyncClient, database: Database
) -> None:
    headers = {"idempotency-key": "order-7"}

    ids = [(await who.post("/emails", json=email(), headers=headers)).json()["id"] for who in (tester, client) * 2]

    assert ids[0] == ids[2] != ids[1] == ids[3]
    assert await rows(database, "SELECT capture FROM emails ORDER BY id") == [(True,), (False,)]


async def test_rules_capture_mail_of_live_keys(client: httpx.AsyncClient, database: Database) -> None:
    made = await client.post("/sandbox/rules", json={"pattern": "*@QA.example"})
    again = await client.post("/sandbox/rules", json={"pattern": "qa.example"})
    wrong = await client.post("/sandbox/rules", json={"pattern": "nobody"})

    assert (made.status_code, made.json()["pattern"], again.json()["id"]) == (201, "*@qa.example", made.json()["id"])
    assert (wrong.status_code, "`pattern`" in wrong.json()["message"]) == (422, True)
    assert [one["pattern"] for one in (await client.get("/sandbox/rules")).json()["data"]] == ["*@qa.example"]
    sent = (await client.post("/emails", json=email(to=["ann@qa.example", "bob@x.example"]))).json()["id"]
    shown = (await client.get(f"/emails/{sent}")).json()
    assert (shown["test"], [one["captured"] for one in shown["recipients"]]) == (False, [True, False])
    assert (await client.delete(f"/sandbox/rules/{made.json()['id']}")).json()["deleted"]
    await client.post("/emails", json=email(to="ann@qa.example"))
    assert (await rows(database, "SELECT capture FROM delivery_queue ORDER BY email_id, position"))[-1] == (False,)


async def test_simulated_recipients_on_a_live_key(client: httpx.AsyncClient, database: Database) -> None:
    sent = await client.post("/emails", json=email(to=["bounced+7@sandbox.example", "delivered@resend.dev"]))
    typo = await client.post("/emails", json=email(to="bounce@sandbox.example"))

    assert sent.status_code == 200
    assert await rows(database, "SELECT capture FROM delivery_queue") == [(True,), (True,)]
    assert (typo.status_code, "bounced@" in typo.json()["message"]) == (422, True)


async def test_the_mailbox(
    client: httpx.AsyncClient, tester: httpx.AsyncClient, account: Account, database: Database
) -> None:
    sent = (await tester.post("/emails", json=email())).json()["id"]
    await keep(database, account, sent)

    [listed] = (await tester.get("/sandbox/emails", params={"to": "BOB@example.com", "email_id": sent})).json()["data"]
    assert (listed["email_id"], listed["subject"], listed["test"]) == (sent, "Your receipt", True)
    assert listed["envelope"] == {"from": "b@bounce.acme.example", "to": "bob@example.com"}
    assert (await tester.get("/sandbox/emails", params={"to": "eve@example.com"})).json()["data"] == []
    found = (await client.get(f"/sandbox/emails/{listed['id']}")).json()
    assert (found["text"], found["html"], found["headers"]["Subject"]) == ("Thank you.", None, "Grüße")
    assert found["headers"]["X-A"] == "1\n2"
    [attachment] = found["attachments"]
    assert (attachment["filename"], attachment["content_type"]) == ("x.html", "text/html")
    assert (await tester.get(found["raw"]["download_url"])).content == RAW
    file = await tester.get(attachment["download_url"])
    assert (file.content, file.headers["content-type"]) == (b"<script>", "application/octet-stream")
    assert file.headers["content-disposition"].startswith("attachment;")
    assert (await tester.delete(f"/sandbox/emails/{listed['id']}")).json()["deleted"]
    assert (await tester.get(f"/sandbox/emails/{listed['id']}")).status_code == 404
    await keep(database, account, sent)
    assert (await tester.delete("/sandbox/emails")).json() == {"object": "sandbox_emails", "deleted": 1}
    assert (await tester.get(f"/emails/{sent}")).status_code == 200


async def test_nobody_sees_the_mailbox_of_another_application(
    client: httpx.AsyncClient, tester: httpx.AsyncClient, account: Account, database: Database
) -> None:
    sent = (await tester.post("/emails", json=email())).json()["id"]
    await keep(database, account, sent)
    [listed] = (await client.get("/sandbox/emails")).json()["data"]
    stranger = {"authorization": f"Bearer {account.stranger}"}

    for path in ("", "/raw", "/attachments/1"):
        assert (await client.get(f"/sandbox/emails/{listed['id']}{path}", headers=stranger)).status_code == 404
    assert (await client.delete("/sandbox/emails", headers=stranger)).json()["deleted"] == 0
    assert (await client.delete(f"/sandbox/emails/{listed['id']}", headers=stranger)).status_code == 404
    sending = {"authorization": f"Bearer {account.sending}"}
    assert (await client.get("/sandbox/emails", headers=sending)).status_code == 401


async def test_a_test_key_reads_no_captured_mail_of_live_keys(
    client: httpx.AsyncClient, tester: httpx.AsyncClient, account: Account, database: Database
) -> None:
    real = (await client.post("/emails", json=email())).json()["id"]
    mine = (await tester.post("/emails", json=email())).json()["id"]
    for email_id in (real, mine):
        await keep(database, account, email_id)
    every = {one["email_id"]: one["id"] for one in (await client.get("/sandbox/emails")).json()["data"]}
    assert every.keys() == {real, mine}
    assert [one["id"] for one in (await tester.get("/sandbox/emails")).json()["data"]] == [every[mine]]
    for url in (f"/sandbox/emails/{every[real]}", f"/sandbox/emails/{every[real]}/raw"):
        assert (await tester.get(url)).status_code == 404
    assert (await tester.delete(f"/sandbox/emails/{every[real]}")).status_code == 404
    assert (await tester.delete("/sandbox/emails")).status_code == 200
    assert [one["id"] for one in (await client.get("/sandbox/emails")).json()["data"]] == [every[real]]
