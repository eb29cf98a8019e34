"""System: what runs, what waits, which settings hold; and nothing secret."""

from core.in_force import HIDDEN
from store.database import Database
from tests.integration.console.conftest import SECRET, Person
from tests.integration.messages.emails import execute

HOSTILE = "<script>alert(1)</script>"


async def test_the_system_is_shown_without_its_secrets(admin: Person, viewer: Person, database: Database) -> None:
    text = (await admin.get("/system")).text
    assert "every server answers" in text or "No process has been heard of" in text
    assert "PostgreSQL" in text
    assert HIDDEN in text
    assert SECRET not in text
    assert "POSTLANE_API_PORT" not in text
    every = (await admin.get("/system?settings=all")).text
    assert "POSTLANE_API_PORT" in every
    assert SECRET not in every
    assert (await viewer.get("/system")).status_code == 403


async def test_who_is_silent_is_named(admin: Person, database: Database) -> None:
    await execute(
        database,
        "INSERT INTO heartbeats (id, name, host, pid, version, seen_at, trouble) VALUES (gen_random_uuid(), %s, 'one',"
        " 7, %s, now() - interval '1 minute', %s)",
        [f"scheduler{HOSTILE}", HOSTILE, HOSTILE],
    )
    text = (await admin.get("/system")).text
    assert "on one is silent" in text
    assert "A silent process was killed" in text
    assert HOSTILE not in text
