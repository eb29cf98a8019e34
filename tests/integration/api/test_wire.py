"""Rules of the wire that hold for every route: order of errors, HEAD, ids, empty texts, clients that leave."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client import REGISTRY

from store.database import Database
from tests.integration.api.account import Account, email
from tests.openapi_document import document

DOCUMENT = document()
ID = "01999999-9999-7999-8999-999999999999"


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, found) for path, all_ in DOCUMENT["paths"].items() for method, found in all_.items()]


def filled(path: str, value: str = ID) -> str:
    while "{" in path:
        path = path[: path.index("{")] + value + path[path.index("}") + 1 :]
    return path


async def test_the_key_is_asked_for_before_anything_else(client: httpx.AsyncClient) -> None:
    """Whatever is wrong besides: path, parameters, a body that is no JSON or far too long."""
    keyed = [(method, path) for method, path, found in operations() if found.get("security") != []]
    assert len(keyed) > 60
    for method, path in keyed:
        for authorization, status, name in (
            ("Basic x", 401, "missing_api_key"),
            ("Bearer ", 401, "missing_api_key"),
            ("Bearer pl_unknown", 403, "invalid_api_key"),
        ):
            answer = await client.request(
                method,
                filled(path, "%00") + "?limit=x&days=x&scope=x",
                content=b"[" * 70_000,
                headers={"authorization": authorization, "content-type": "application/json"},
            )
            assert (answer.status_code, answer.json()["name"]) == (status, name), (method, path)


async def test_a_body_without_a_key_is_not_read(app: FastAPI) -> None:
    """10 MB of `[],` without a key cost 1.9 s of CPU."""
    asked = 0

    async def receive() -> dict[str, Any]:
        nonlocal asked
        asked += 1
        return {"type": "http.request", "body": b"[]," * 1000, "more_body": True}

    async def send(message: dict[str, Any]) -> None:
        assert message.get("status", 401) == 401

    for method, path, found in operations():
        if found.get("security") != [] and method != "get":
            scope = {
                "type": "http", "method": method.upper(), "path": filled(path), "raw_path": b"", "query_string": b"",
                "headers": [], "root_path": "", "scheme": "http", "server": ("api", 80), "http_version": "1.1",
            }  # fmt: skip
            await app(scope, receive, send)  # type: ignore[arg-type]
    assert asked == 0


async def test_head_answers_as_get_does_without_the_content(
    client: httpx.AsyncClient, ops: httpx.AsyncClient, account: Account
) -> None:
    sent = (await client.post("/emails", json=email())).json()["id"]
    for path in ("/healthz", "/metrics", "/", "/docs", "/emails", f"/emails/{sent}", "/domains", "/openapi.json"):
        got, asked = await client.get(path), await client.head(path)
        assert (asked.status_code, asked.content) == (200, b""), path
        assert asked.headers["content-type"] == got.headers["content-type"]
    for method, path, found in operations():
        if method == "get":
            caller = ops if "does not operate" in str(found["responses"].get("403", "")) else client
            assert (await caller.head(filled(path))).status_code in (200, 404, 422), path
    wrong = await client.head("/suppressions/batch")
    assert wrong.status_code == (await client.get("/suppressions/batch")).status_code == 404
    assert "HEAD" in (await client.put("/emails")).headers["allow"]


async def test_what_is_no_id_names_nothing(client: httpx.AsyncClient, ops: httpx.AsyncClient) -> None:
    """Not 422: to an application that asks for what we do not have, it is a 404."""
    paths = [
        (method, path, "does not operate" in str(found["responses"].get("403", "")))
        for method, path, found in operations()
        if any(one["in"] == "path" and one["schema"].get("format") == "uuid" for one in found.get("parameters", ()))
    ]  # fmt: skip
    assert len(paths) >= 10
    for method, path, operators in paths:
        caller = ops if operators else client
        for odd in ("latest", "1", "x" * 300):
            answer = await caller.request(method, filled(path, odd), json={"name": "n", "scheduled_at": "in 1 hour"})
            assert (answer.status_code, answer.json()["name"]) == (404, "not_found"), (method, path, odd)
    odd = await client.get("/suppressions/neither")
    assert (odd.status_code, odd.json()["name"]) == (404, "not_found")


async def test_ids_that_a_body_repeats_are_ignored(client: httpx.AsyncClient, account: Account) -> None:
    """SDKs send `id` in the body beside the path; a misspelt field of a key is refused all the same."""
    made = await client.post("/api-keys", json={"name": "a", "api_key_id": "x"})
    assert made.status_code == 201
    key = made.json()["id"]
    renamed = await client.patch(f"/api-keys/{key}", json={"name": "b", "id": key, "key_id": 5})
    assert renamed.status_code == 200
    assert (await client.patch(f"/domains/{account.domain_id}", json={"id": "x"})).status_code == 200
    added = await client.post("/suppressions", json={"email": "a@b.example", "id": None, "suppression_id": "x"})
    assert added.status_code == 201
    later = (await client.post("/emails", json=email(scheduled_at="in 1 hour", id="x"))).json()["id"]
    moved = await client.patch(f"/emails/{later}", json={"id": later, "scheduled_at": "in 2 hours"})
    assert moved.status_code == 200
    assert (await client.post(f"/emails/{later}/cancel", json={"id": "x"})).status_code == 200
    assert (await client.post("/api-keys", json={"name": "a", "domainId": "x"})).status_code == 422


RESENDS: dict[str, dict[str, object]] = {
    "topics": {"name": "News", "default_subscription": "opt_in"},
    "segments": {"name": "All"},
    "contacts": {"email": "ann@one.example"},
    "api-keys": {"name": "web"},
    "webhooks": {"endpoint": "https://shop.example/hook"},
    "templates": {"name": "Hello", "html": "<p>Hello</p>"},
    "suppressions": {"email": "gone@one.example"},
    "broadcasts": {"from": "Acme <news@acme.example>"},
    "events": {"name": "user.created"},
    "contact-properties": {"key": "plan", "type": "string"},
}
"""Nouns of Resend with the least that makes one."""


@pytest.mark.parametrize("noun", RESENDS)
async def test_a_field_of_a_newer_sdk_breaks_nothing(client: httpx.AsyncClient, noun: str) -> None:
    made = await client.post(f"/{noun}", json={**RESENDS[noun], "newer": {"than": ["we"]}})
    assert made.status_code == 201, made.text
    if noun != "suppressions":
        name = {"name": "b"} if noun == "api-keys" else {}
        changed = await client.patch(f"/{noun}/{made.json()['id']}", json={"newer": 1, **name})
        assert changed.status_code == 200, changed.text


async def test_steps_of_automations_pass_over_the_same(client: httpx.AsyncClient) -> None:
    steps = [
        {"key": "a", "type": "trigger", "config": {"event_name": "user.created"}, "newer": 1},
        {"key": "b", "type": "delay", "config": {"duration": "1 day"}},
    ]
    ways = [{"from": "a", "to": "b", "newer": 1}]
    refused = await client.post("/automations", json={"name": "a", "newer": 1, "steps": steps, "connections": ways})
    assert "nothing is sent: one of them must be of type send_email" in refused.json()["message"]


async def test_fields_that_cannot_be_changed_and_misspelt_ones_that_would_do_harm_are_named(
    client: httpx.AsyncClient,
) -> None:
    topic = (await client.post("/topics", json=RESENDS["topics"])).json()["id"]
    key = (await client.post("/contact-properties", json=RESENDS["contact-properties"])).json()["id"]
    said = [
        (await client.patch(f"/topics/{topic}", json={"default_subscription": "opt_out"})),
        (await client.patch(f"/contact-properties/{key}", json={"type": "number"})),
        (await client.post("/api-keys", json={"name": "a", "domainId": "x"})),
        (await client.post("/suppressions", json={"email": "a@b.example", "scpoe": "marketing"})),
    ]
    assert [(one.status_code, one.json()["name"]) for one in said] == [(422, "validation_error")] * 4
    assert [one.json()["message"] for one in said] == [
        "`default_subscription` cannot be changed. Make another topic: people have chosen about this one.",
        "`type` cannot be changed. Make another property: contacts have values of this type.",
        "There is no field `domainId`; `domain_id` is meant.",
        "There is no field `scpoe`; `scope` is meant.",
    ]


async def test_a_body_of_ours_keeps_to_its_fields(ops: httpx.AsyncClient) -> None:
    assert (await ops.post("/pools", json={"name": "news", "stream": "marketing", "newer": 1})).status_code == 422


class TestEmptyTexts:
    """`""` is an absent part, but where absence sends mail another way (`web/absent.Said`)."""

    @pytest.mark.parametrize(("given", "kept"), [("text", ("html", None)), ("html", ("text", None))])
    async def test_of_a_body(self, client: httpx.AsyncClient, given: str, kept: tuple[str, None]) -> None:
        """`{"text": "…", "html": ""}` showed a blank mail."""
        body = email(text=None) | {given: "Thank you.", kept[0]: ""}
        sent = (await client.post("/emails", json=body)).json()["id"]
        found = (await client.get(f"/emails/{sent}")).json()
        assert (found[given], found[kept[0]]) == ("Thank you.", None)

    async def test_of_everything_that_may_be_left_out(self, client: httpx.AsyncClient, database: Database) -> None:
        body = email(
            cc="", bcc=[""], reply_to="", pool="", template="", html="",
            to=["bob@example.com", ""], headers={"X-Empty": "", "X-Full": "1"},
            attachments=[{"filename": "a.txt", "content": "Zg==", "content_type": "", "path": "", "content_id": ""}],
        )  # fmt: skip
        answer = await client.post("/emails", json=body)
        assert answer.status_code == 200, answer.text
        found = (await client.get(f"/emails/{answer.json()['id']}")).json()
        assert (found["to"], found["cc"], found["bcc"], found["reply_to"]) == (["bob@example.com"], [], [], [])
        assert (found["scheduled_at"], found["stream"]) == (None, "transactional")
        async with database.connection() as connection:
            rows = await (await connection.execute("SELECT headers FROM contents")).fetchall()
        assert str(rows).count("X-") == 1

    async def test_in_both_parts_is_no_email(self, client: httpx.AsyncClient) -> None:
        answer = await client.post("/emails", json=email(text="", html=""))
        assert (answer.status_code, answer.json()["name"]) == (422, "missing_required_field")
        nobody = await client.post("/emails", json=email(to=[""]))
        assert (nobody.status_code, nobody.json()["name"]) == (422, "missing_required_field")

    async def test_of_parameters(self, client: httpx.AsyncClient) -> None:
        for path in ("/emails?limit=&after=&before=", "/domains?after=", "/suppressions?q=&reason=&scope=&origin="):
            assert (await client.get(path)).status_code == 200, path


async def test_a_client_that_leaves_is_no_error_of_ours(app: FastAPI, account: Account) -> None:
    """It counted as a 500, on every route that reads a body."""

    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        pass

    def counted(status: str) -> float:
        samples = [s for m in REGISTRY.collect() if m.name == "postlane_api_answers" for s in m.samples]
        return sum(s.value for s in samples if s.name.endswith("_total") and s.labels["status"] == status)

    before, gone = counted("500"), counted("499")
    paths = [("POST", "/emails"), ("POST", "/emails/batch"), ("POST", "/domains"), ("PATCH", f"/emails/{ID}")]
    for method, path in paths:
        scope = {
            "type": "http", "method": method, "path": path, "raw_path": b"", "query_string": b"", "root_path": "",
            "headers": [(b"authorization", b"Bearer " + account.full.encode())], "scheme": "http",
            "server": ("api", 80), "http_version": "1.1",
        }  # fmt: skip
        await app(scope, receive, send)  # type: ignore[arg-type]
    assert (counted("500") - before, counted("499") - gone) == (0, len(paths))


async def test_a_base_url_that_ends_in_a_slash_works(client: httpx.AsyncClient) -> None:
    base = str(client.base_url)
    sent = await client.post(f"{base}//emails", json=email())
    assert sent.status_code == 200
    assert (await client.get(f"{base}//emails/{sent.json()['id']}")).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/emails/{ID}/share"), ("GET", f"/emails/{ID}/attachments"), ("GET", "/emails/receiving"),
        ("GET", "/usage"), ("GET", "/inboxes"), ("POST", "/inboxes"), ("GET", "/oauth/grants"),
        ("POST", "/domains/claim"),
        ("GET", f"/domains/{ID}/claim"),
    ],
)  # fmt: skip
async def test_what_resend_has_and_we_have_not_says_so(client: httpx.AsyncClient, method: str, path: str) -> None:
    answer = await client.request(method, path, json={"name": "shop.example"} if method == "POST" else None)
    assert (answer.status_code, answer.json()["name"]) == (404, "not_found")
    assert answer.json()["message"].startswith(f"{path} does not exist here. ")
