"""The application as a whole: health, pages, unknown paths, bugs, a database or Redis that is away, the hint."""

import asyncio
import json
import re
import time

import httpx
import psycopg
import pytest
import redis
from fastapi import FastAPI
from structlog.testing import capture_logs

from api.app import create_app
from api.errors import ERRORS
from core.settings import Settings
from store.database import Database
from tests.integration.api.account import Account, email
from tests.servers import TestServers, disconnect_all


async def test_health_and_metrics(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz", headers={"authorization": ""})).json() == {"status": "ok"}
    await client.post("/emails", json=email())
    metrics = (await client.get("/metrics")).text
    assert re.search(r'postlane_api_seconds_count\{route="/emails"\} [1-9]', metrics)
    assert re.search(r'postlane_api_answers_total\{route="/emails",status="200"\} [1-9]', metrics)


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/docs.js", "/docs/pages.css"])
async def test_pages_load_nothing_from_elsewhere(client: httpx.AsyncClient, path: str) -> None:
    page = await client.get(path, headers={"authorization": ""})
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert not re.search(r"""(src|href|url)\s*[=(]\s*["']?(https?:)?//""", page.text)
    for local in re.findall(r'(?:src|href)="(/[^"]*)"', page.text):
        assert (await client.get(local)).status_code == 200, local


async def test_unknown_paths_and_methods(client: httpx.AsyncClient) -> None:
    for path in ("/nothing", "/emails/", "/emails/x/y"):
        answer = await client.get(path)
        assert (answer.status_code, answer.json()["name"]) == (404, "not_found"), path
    for method, path in (
        ("DELETE", "/emails"),
        ("GET", "/emails/batch/x"),
        ("PUT", "/emails/batch"),
        ("POST", "/healthz"),
    ):
        answer = await client.request(method, path)
        assert answer.status_code in (404, 405), f"{method} {path}"
        assert answer.json()["name"] in ("not_found", "method_not_allowed")
    refused = await client.delete("/emails")
    assert (refused.status_code, sorted(refused.headers["allow"].split(", "))) == (405, ["GET", "HEAD", "POST"])


async def test_a_bug_is_answered_with_a_number_and_nothing_else(client: httpx.AsyncClient, app: FastAPI) -> None:
    async def broken(*_arguments: object) -> None:
        raise RuntimeError("the secret inside")

    object.__setattr__(app.state.deps.directory, "caller", broken)
    for method, path in (("POST", "/emails"), ("GET", "/emails")):
        with capture_logs() as logs:
            answer = await client.request(method, path, json=email())
        assert (answer.status_code, answer.json()["name"]) == (500, "application_error")
        assert "secret" not in answer.text
        assert answer.headers["x-request-id"] in answer.json()["message"]
        crashed = [line for line in logs if line["event"] == "request_crashed"]
        assert [line["request_id"] for line in crashed] == [answer.headers["x-request-id"]]


async def test_a_hint_follows_the_commit(client: httpx.AsyncClient, redis_url: str) -> None:
    await client.post("/emails", json=email(to=["a@one.example", "b@two.example"]))
    await client.post("/emails", json=email(to="c@three.example", scheduled_at="in 1 hour"))
    with redis.Redis.from_url(redis_url) as store:
        deadline = time.monotonic() + 5
        while not store.llen("transactional") and time.monotonic() < deadline:
            time.sleep(0.01)
        markers = {bytes(key).decode() for key in store.keys("postlane:hint:*")}
    assert markers == {"postlane:hint:transactional:one.example", "postlane:hint:transactional:two.example"}


async def test_mail_is_accepted_without_redis(settings: Settings, account: Account, database: Database) -> None:
    app = create_app(settings.model_copy(update={"redis_url": "redis://127.0.0.1:1/0"}))
    transport = httpx.ASGITransport(app=app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://api") as http:
        answer = await http.post("/emails", json=email(), headers={"authorization": f"Bearer {account.full}"})
    assert answer.status_code == 200
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM delivery_queue")).fetchone()
    assert row == (1,)


async def test_without_the_database_everything_says_so(settings: Settings) -> None:
    app = create_app(settings.model_copy(update={"database_url": "postgresql://nobody@127.0.0.1:1/none"}))
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        headers = {"authorization": "Bearer pl_any"}
        async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers, timeout=30) as http:
            for method, path in (("GET", "/healthz"), ("POST", "/emails")):
                answer = await http.request(method, path, json=email())
                assert (answer.status_code, answer.json()["name"]) == (503, "service_unavailable"), path
                assert int(answer.headers["retry-after"]) >= 1
            assert (await http.get("/openapi.json")).status_code == 200


async def test_a_database_that_goes_away_and_comes_back(
    client: httpx.AsyncClient, account: Account, database_url: str, servers: TestServers
) -> None:
    """The key is still remembered, so the request reaches the commit, and that one must not be answered with 2xx."""
    name = database_url.split("?")[0].rsplit("/", 1)[1]
    assert (await client.post("/emails", json=email())).status_code == 200
    with psycopg.connect(servers.database_url, autocommit=True) as admin:
        admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false'.encode())
        disconnect_all(admin, name)
        away = await client.post("/emails", json=email(), headers={"idempotency-key": "k"})
        assert (away.status_code, away.json()["name"]) == (503, "service_unavailable")
        admin.execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true'.encode())
    deadline = time.monotonic() + 20
    while (back := await client.post("/emails", json=email(), headers={"idempotency-key": "k"})).status_code == 503:
        assert time.monotonic() < deadline
    assert back.status_code == 200, "a 503 is never kept as the answer of a key"
    listed = (await client.get("/emails")).json()["data"]
    assert len(listed) == 2


async def test_while_postgresql_is_slow_requests_wait_and_are_accepted_once(
    client: httpx.AsyncClient, database: Database, database_url: str
) -> None:
    """Somebody holds a table. Who waits for it gets an answer; who asks again with a key sends it once."""
    keyed = {"idempotency-key": "k"}
    async with await psycopg.AsyncConnection.connect(database_url) as holder:
        await holder.execute("LOCK TABLE messages IN ACCESS EXCLUSIVE MODE")
        waiting = [asyncio.ensure_future(client.post("/emails", json=email(), headers=given)) for given in (keyed, {})]
        await asyncio.sleep(0.5)
        assert not any(one.done() for one in waiting)
        assert (await client.post("/emails", json=email(), headers=keyed)).status_code == 409, "it is under way"
        assert (await client.get("/healthz")).status_code == 200
        await holder.rollback()
        answers = await asyncio.gather(*waiting)

    again = await client.post("/emails", json=email(), headers=keyed)
    assert [one.status_code for one in (*answers, again)] == [200, 200, 200]
    assert again.json() == answers[0].json()
    async with database.connection() as connection:
        row = await (await connection.execute("SELECT count(*) FROM delivery_queue")).fetchone()
    assert row == (2,)


async def test_openapi_names_every_error_of_every_route(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    assert "x-guard" not in text
    wanted = {
        ("/emails", "post"): {200, 400, 401, 403, 409, 413, 422, 429, 500, 503},
        ("/emails/batch", "post"): {200, 400, 401, 403, 409, 413, 422, 429, 500, 503},
        ("/emails", "get"): {200, 401, 403, 422, 429, 500, 503},
        ("/emails/{email_id}", "get"): {200, 401, 403, 404, 429, 500, 503},
        ("/emails/{email_id}", "patch"): {200, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503},
        ("/emails/{email_id}/cancel", "post"): {200, 401, 403, 404, 409, 413, 429, 500, 503},
        ("/emails/{email_id}/events", "get"): {200, 401, 403, 404, 429, 500, 503},
    }
    for (path, method), statuses in wanted.items():
        assert set(map(int, document["paths"][path][method]["responses"])) == statuses, f"{method} {path}"
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            for status, answer in operation["responses"].items():
                if int(status) < 400:
                    continue
                media = answer["content"]["application/json"]
                assert media["schema"] == {"$ref": "#/components/schemas/Error"}, f"{method} {path} {status}"
                for name, example in media["examples"].items():
                    assert name in ERRORS
                    assert example["value"]["statusCode"] == int(status)
                if operation.get("security") != []:
                    assert "ratelimit-limit" in answer["headers"]
            assert "retry-after" in operation["responses"]["503"]["headers"]
