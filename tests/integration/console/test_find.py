"""The search at the top: every id leads to its thing, every name is found, and nobody is led to what is not theirs."""

from html import unescape
from urllib.parse import quote
from uuid import UUID, uuid4

from fastapi import FastAPI

from accounts.roles import Role
from console.kinds import KINDS, Kind
from store.database import Database
from tests.integration.console.conftest import Person, browser_of, signed_in
from tests.integration.console.everything import dns, furnished, postlane, settings
from tests.integration.console.reach import fill
from tests.integration.webhooks.outbox import make_endpoint
from tests.integration.webhooks.test_pairs import append, pair, shown
from warmup import library
from warmup.plan import as_dict
from warmup.presets import PRESETS, preset

__all__ = ["dns", "furnished", "postlane", "settings"]


async def test_every_id_and_name_leads_to_its_page_and_strangers_nowhere(
    admin: Person, app: FastAPI, database: Database, furnished: None
) -> None:
    async with database.transaction() as connection:
        await library.create(connection, as_dict(preset(PRESETS[0].name)) | {"name": "ours"})
    known = {kind: await one_of(database, kind) for kind in KINDS}
    found = {kind: one for kind, one in known.items() if one is not None}
    assert {kind.title for kind in KINDS} - {kind.title for kind in found} == set()
    async with browser_of(app) as http:
        stranger = await signed_in(http, database, "sam@acme.example", Role.ADMIN)
        await limit(database, stranger, uuid4())
        for kind, (identifier, name) in found.items():
            answer = await admin.get(f"/find?q={quote(identifier)}")
            assert answer.status_code == 303, (kind.title, answer.text)
            shown = await admin.get(answer.headers["location"])
            assert shown.status_code == 200, (kind.title, shown.url)
            assert identifier in shown.text or name in unescape(shown.text), (kind.title, shown.url)
            assert "location" not in (await stranger.get(f"/find?q={quote(identifier)}")).headers, kind.title
            if kind.is_named and name and "@" not in name and "." not in name:
                assert await leads_to(admin, name[:60]), kind.title
                assert not await leads_to(stranger, name[:60]), kind.title


async def test_an_event_that_is_told_ahead_of_another_is_found_too(admin: Person, database: Database) -> None:
    """It has no row of its own."""
    endpoint = await make_endpoint(database)
    await append(database, pair("k"))
    for one in await shown(database, endpoint):
        answer = await admin.get(f"/find?q={one.id}")
        assert answer.headers["location"] == f"/webhooks/{endpoint}/events/{one.id}"
        page = await admin.get(answer.headers["location"])
        assert page.status_code == 200
        assert one.type in page.text


async def leads_to(person: Person, name: str) -> bool:
    """Whether something is called like that, for them."""
    answer = await person.get(f"/find?q={quote(name)}")
    return answer.status_code == 303 or ("called like" in answer.text and "Nothing here" not in answer.text)


async def test_a_part_of_a_name_lists_what_there_is_and_what_the_code_names(admin: Person, database: Database) -> None:
    reach = await fill(database)
    listed = (await admin.get("/find?q=m")).text

    for typed, path in (
        ("gmail", "/providers/gmail"),
        ("request_log", "/flags?open=request_log"),
        ("audit", "/audit"),
        (PRESETS[0].name, f"/warmup/plans/{PRESETS[0].name}"),
        (str(reach.segment_id), f"/segments/{reach.segment_id}"),
    ):
        assert (await admin.get(f"/find?q={typed}")).headers["location"] == path
    assert "things are called like" in listed
    assert '<a class="grow" href="/providers/gmail">gmail</a><span class="muted">Provider</span>' in listed
    assert len(listed) < 40 * 1024


async def one_of(database: Database, kind: Kind) -> tuple[str, str] | None:
    """Id and name of the newest of a kind."""
    key = kind.id or kind.name
    async with database.connection() as connection:
        cursor = await connection.execute(
            f"SELECT {key}::text, {kind.name}::text FROM {kind.table} WHERE {kind.where} ORDER BY {key} DESC LIMIT 1"
        )
        row = await cursor.fetchone()
    return (row[0], row[1]) if row else None


async def limit(database: Database, person: Person, application_id: UUID) -> None:
    """They see this application alone from now on."""
    assert person.user is not None
    async with database.transaction() as connection:
        await connection.execute(
            "UPDATE console_users SET applications = %s WHERE id = %s", [[application_id], person.user.id]
        )
