"""A machine whose clock is an hour wrong neither delays mail nor hastens it."""

import httpx
import pytest
from fastapi import FastAPI

from api.app import create_app
from core.settings import Settings
from tests.chaos.lane import opened, pretend
from tests.integration.api.account import email, make_account


@pytest.mark.parametrize("wrong", ["+ interval '1 hour'", "- interval '1 hour'"])
async def test_due_times_are_the_databases(settings: Settings, database_url: str, wrong: str) -> None:
    """The database's clock is moved here: the machine is then wrong by the same hour the other way."""
    pretend(database_url, "now", f"pg_catalog.now() {wrong}")
    async with opened(database_url) as database:
        account = await make_account(database)
        app = create_app(settings)
        async with app.router.lifespan_context(app):
            await _send(app, account.full, email(expires_in=3600))
            await _send(app, account.full, email(scheduled_at="in 1 hour", expires_in=60))
        async with database.connection() as connection:
            cursor = await connection.execute(
                "SELECT round(extract(epoch FROM q.due_at - now()) / 60)::int, e.scheduled_at IS NULL,"
                " round(extract(epoch FROM q.expires_at - now()) / 60)::int,"
                " round(extract(epoch FROM e.created_at - now()) / 60)::int"
                " FROM emails e JOIN delivery_queue q ON q.email_id = e.id ORDER BY q.due_at"
            )
            found = await cursor.fetchall()
    assert found == [(0, True, 60, 0), (60, False, 61, 0)]


async def _send(app: FastAPI, key: str, body: dict[str, object]) -> None:
    transport = httpx.ASGITransport(app=app)
    headers = {"authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://api", headers=headers) as client:
        answer = await client.post("/emails", json=body)
    assert answer.status_code == 200, answer.text
