"""Providers: how they treat us, the rules that fired, and what a reply means."""

from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import REST, fill


async def test_providers_are_read_and_a_reply_is_explained(admin: Person, database: Database) -> None:
    assert "No provider has had mail of ours" in (await admin.get("/providers")).text
    await fill(database)

    listed, one = (await admin.get("/providers")).text, (await admin.get("/providers/gmail")).text
    assert f"{REST} has rested there for" in listed
    assert "gmail defers" in listed
    assert "of the attempts for" in one
    assert "<code>gmail-rate</code>" in one
    assert "2 times, 1 IP" in one
    assert "<b>from your IP</b>" not in one

    told = (await admin.get("/providers/gmail?reply=550+5.1.1+%3Cb%3EUser+unknown%3C/b%3E")).text
    assert "suppressed: it gets no more mail" in told
    assert "<b>User" not in told
    assert "begins with its code" in (await admin.get("/providers?reply=what&provider=gmail")).text
    assert (await admin.get("/providers/nobody")).status_code == 404
