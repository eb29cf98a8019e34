"""The overview's stream: one look for all who listen, bounded, and over with the session it was opened by."""

import asyncio
from collections.abc import Hashable

import httpx
from fastapi import FastAPI

from accounts import sessions
from accounts import users as people
from accounts.roles import Role
from console.live import GONE, MOST_OF_USER, Live, event_of
from console.overview.figures import View
from store.database import Connection, Database
from tests.integration.console.conftest import Person
from tests.integration.messages.emails import execute, rows

ACCEPT = {"accept": "text/html, text/event-stream", "sec-fetch-site": "same-origin"}
PATH = "/overview/stream"


async def _until(live: Live, listeners: int) -> None:
    async with asyncio.timeout(10):
        while len(live) != listeners:
            await asyncio.sleep(0.01)


def _listen(person: Person) -> "asyncio.Task[httpx.Response]":
    return asyncio.create_task(person.http.get(PATH, headers=ACCEPT))


async def test_a_stream_tells_what_is_new_and_ends_with_its_session(
    admin: Person, app: FastAPI, database: Database
) -> None:
    live: Live = app.state.deps.live
    assert (await admin.get(PATH)).status_code == 409, "it is for pages that listen"
    await execute(database, "UPDATE console_sessions SET seen_at = now() - interval '2 hours'")

    stream = _listen(admin)
    await _until(live, 1)
    await live.tick()
    [(kept_alive,)] = await rows(database, "SELECT seen_at > now() - interval '1 hour' FROM console_sessions")
    assert not kept_alive, "to listen is no use of a session"
    await execute(database, "DELETE FROM console_sessions")
    await live.tick()
    answer = await stream

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.text.startswith("data: ")
    assert "Is mail flowing, and does anything need me?" in answer.text
    assert answer.text.endswith(event_of("", GONE).decode())
    assert len(live) == 0
    assert (await admin.http.get(PATH, headers=ACCEPT)).status_code in (303, 401)


async def test_who_may_see_something_else_is_told_no_more(viewer: Person, app: FastAPI, database: Database) -> None:
    live: Live = app.state.deps.live
    stream = _listen(viewer)
    await _until(live, 1)
    assert viewer.user is not None
    async with database.transaction() as connection:
        await people.set_role(connection, viewer.user, Role.MARKETER, ())
    await live.tick()

    assert event_of("", GONE).decode() in (await stream).text


async def test_streams_of_a_user_are_bounded(admin: Person, app: FastAPI, database: Database) -> None:
    live: Live = app.state.deps.live
    streams = [_listen(admin) for _ in range(MOST_OF_USER)]
    await _until(live, MOST_OF_USER)

    assert (await admin.http.get(PATH, headers=ACCEPT)).status_code == 429
    await execute(database, "DELETE FROM console_sessions")
    await live.tick()
    assert [one.status_code for one in await asyncio.gather(*streams)] == [200] * MOST_OF_USER
    assert len(live) == 0


async def test_all_who_see_the_same_share_one_look(admin: Person, viewer: Person, database: Database) -> None:
    looks: list[Hashable] = []

    async def make(_connection: Connection, view: Hashable) -> str:
        looks.append(view)
        return f"look {len(looks)}\r\nof many"

    live = Live(database, make, seconds=60.0)
    assert admin.user is not None
    assert viewer.user is not None
    async with database.connection() as connection:
        mine = (await sessions.of_user(connection, admin.user.id))[0]
        theirs = (await sessions.of_user(connection, viewer.user.id))[0]
    listeners = [live.listen(mine.id, admin.user, "all") for _ in range(3)]
    listeners.append(live.listen(theirs.id, viewer.user, "all"))
    listeners.append(live.listen(theirs.id, viewer.user, View))

    told = [await one.waiting.get() for one in listeners if one is not None]
    await live.stop()
    assert (len(looks), set(looks)) == (2, {"all", View})
    assert [told.count(one) for one in told] == [4, 4, 4, 4, 1]
    assert set(told) == {b"data: look 1\ndata: of many\n\n", b"data: look 2\ndata: of many\n\n"}
