"""The request log: answers, filters, one request at the side; user agents and paths are text; who sees whose."""

from uuid import UUID

import pytest

from accounts import repository as accounts
from accounts import users
from accounts.roles import Role
from requestlog.gathering import Gatherer, Rates
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.messages.emails import rows
from tests.integration.requestlog.requests import asked as asked_for

HOSTILE = '"><script>alert(1)</script>'


@pytest.fixture
async def asked(database: Database) -> tuple[UUID, UUID]:
    """Two applications that asked for something."""
    async with database.transaction() as connection:
        shop = await accounts.create_application(connection, "shop")
        other = await accounts.create_application(connection, "other")
        assert shop is not None
        assert other is not None
    gatherer = Gatherer(database, Rates(10))
    gatherer.put(asked_for(shop.id, user_agent=HOSTILE))
    gatherer.put(asked_for(shop.id, user_agent=HOSTILE, status=422, path=f"/segments/{HOSTILE}"))
    gatherer.put(asked_for(other.id, path="/domains", response=b""))
    await gatherer.flush()
    return shop.id, other.id


async def test_requests_are_told_and_one_is_opened(admin: Person, database: Database, asked: tuple[UUID, UUID]) -> None:
    text = (await admin.get("/logs")).text
    assert "3 requests in the last hour, 1 of them refused or failed (33.3 %)." in text
    assert "422 validation_error at POST /segments/" in text
    assert text.count("<tr class=") == 3
    assert "<script>alert" not in text
    [(refused,)] = await rows(database, "SELECT id FROM request_log WHERE status = 422")

    panel = (await admin.get(f"/logs?open={refused}")).text
    assert "(8 characters)" in panel
    assert "marketing" in panel
    assert "&lt;script&gt;no" in panel
    assert "<script>alert" not in panel
    assert (await admin.get(f"/find?q={refused}")).headers["location"] == f"/logs?period=all&open={refused}"

    for query, count in (
        ("status=failed", 1), ("status=2xx", 2), ("method=GET", 0), ("path=/em", 1), ("period=all", 3),
        (f"application={asked[1]}", 1), ("status=odd&method=odd&period=odd", 3),
    ):  # fmt: skip
        assert (await admin.get(f"/logs?{query}")).text.count("<tr class=") == count, query
    assert "Nothing fits" in (await admin.get("/logs?method=GET")).text


async def test_somebody_of_one_application_sees_its_requests_only(
    viewer: Person, database: Database, asked: tuple[UUID, UUID]
) -> None:
    [(theirs,)] = await rows(database, "SELECT id FROM request_log WHERE path = '/emails'")
    async with database.transaction() as connection:
        assert viewer.user is not None
        await users.set_role(connection, viewer.user, Role.DEVELOPER, (asked[1],))

    text = (await viewer.get(f"/logs?open={theirs}")).text
    assert "1 request in the last hour, all of them done." in text
    assert "/emails</code>" not in text
    assert 'id="panel"' not in text
    assert "/emails</code>" not in (await viewer.get(f"/logs?application={asked[0]}")).text
    assert "location" not in (await viewer.get(f"/find?q={theirs}")).headers
