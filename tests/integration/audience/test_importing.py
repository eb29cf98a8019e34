"""Imports of contacts: whom they make, whom they ask, and whom never; stopped and begun again each line counts once."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from audience import contact_history, contacts
from audience.checks import Problem
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes, Contact, Status
from audience.importing import imports, slices
from audience.importing.merging import Consent, Terms, stored, terms_of
from audience.importing.rows import ContactReader
from audience.importing.slices import SLICE, Domains, Progress, Work
from audience.topics import Subscription
from core.ids import uuid7
from core.refusal import Refused
from store.database import Database
from suppression import repository as suppressions
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from tests.integration.messages.emails import rows

SHOP = UUID(int=71)
CONSENT = Consent("trade fair", datetime(2026, 5, 1, tzinfo=UTC), "I want the letter")
BY_API = ContactAct(ContactSource.API)


class Records:
    """DNS: what begins with `dead` has no mail server."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def mx(self, name: str) -> list[tuple[int, str]]:
        self.asked.append(name)
        return [] if name.startswith("dead") else [(10, f"mx.{name}")]

    async def addresses(self, _name: str) -> list[str]:
        return []


async def brought(database: Database, lines: Iterable[str], **changes: object) -> Progress:
    dry = bool(changes.pop("dry", False))
    terms = replace(Terms(SHOP, "a test"), **changes)  # type: ignore[arg-type]
    async with database.transaction() as connection:
        made = await imports.begin(connection, SHOP, "list.csv", "a test", stored(terms))
    work = Work(made.id, terms, ContactReader(iter(lines), {}), Domains(Records()), dry)
    return await slices.run(database, work, lambda _: None)


async def contact(database: Database, address: str) -> Contact | None:
    async with database.connection() as connection:
        return await contacts.find(connection, SHOP, address)


async def asked(database: Database) -> list[str]:
    found = await rows(database, "SELECT address FROM confirmations WHERE next_mail = 'confirm' ORDER BY address")
    return [address for (address,) in found]


async def test_people_are_unconfirmed_and_asked_once(database: Database) -> None:
    lines = ["email,first_name\n", "Ann@example.com,Ann\n", "bob@example.com,\n", "ANN@example.com,Anna\n"]
    first = await brought(database, lines)
    again = await brought(database, lines)

    ann = await contact(database, "ann@example.com")
    assert ann is not None
    assert (ann.email, ann.first_name, ann.status) == ("Ann@example.com", "Ann", Status.UNCONFIRMED)
    assert (first.created, first.confirmations, first.reasons) == (2, 2, {"duplicate": 1})
    assert (again.created, again.skipped, again.confirmations, again.total) == (0, 3, 0, 3)
    assert await asked(database) == ["ann@example.com", "bob@example.com"]


async def test_what_cannot_be_a_person_s_mailbox_is_sorted_out(database: Database) -> None:
    bad = {
        "nobody": "syntax", "a@dead.example": "no_mail_server", "a@mailinator.com": "disposable",
        "info@example.com": "role", "a@gmial.com": "typo", "gone@example.com": "suppressed",
        "left@example.com": "suppressed",
    }  # fmt: skip
    async with database.transaction() as connection:
        bounced = SuppressionEntry(SuppressionScope.ALL, Reason.HARD_BOUNCE, Source.SMTP, "")
        left = SuppressionEntry(SuppressionScope.MARKETING, Reason.UNSUBSCRIBE, Source.LINK, "")
        additions = [Addition("gone@example.com", bounced), Addition("left@example.com", left, only_for=SHOP)]
        await suppressions.add(connection, additions)
    done = await brought(database, ["email\n", *(f"{one}\n" for one in bad), "fine@example.com\n"])

    assert dict(done.reasons) == {
        "syntax": 1,
        "no_mail_server": 1,
        "disposable": 1,
        "role": 1,
        "typo": 1,
        "suppressed": 2,
    }
    assert (done.failed, done.skipped, done.created) == (5, 2, 1)
    assert await rows(database, "SELECT address FROM contacts") == [("fine@example.com",)]
    assert await asked(database) == ["fine@example.com"]
    assert {fault["text"] for fault in done.faults} == set(bad) - {"gone@example.com", "left@example.com"}


async def test_proof_of_consent_asks_nobody_and_is_kept(database: Database) -> None:
    done = await brought(database, ["email\n", "ann@example.com\n", "info@example.com\n"], consent=CONSENT)
    ann = await contact(database, "ann@example.com")
    assert ann is not None
    async with database.connection() as connection:
        past = (await contact_history.page(connection, ann.id)).entries

    assert (ann.status, done.created, done.confirmations) == (Status.CONFIRMED, 2, 0)
    proof = next(one.detail for one in past if one.what == "confirmed")
    assert (proof["source"], proof["text"]) == ("trade fair", "I want the letter")
    assert await asked(database) == []


async def test_who_is_unsubscribed_in_the_list_is_so_here(database: Database) -> None:
    await brought(database, ["email,unsubscribed\n", "ann@example.com,true\n", "bob@example.com,false\n"])
    ann = await contact(database, "ann@example.com")
    assert ann is not None
    async with database.connection() as connection:
        left = await contacts.unsubscribed(connection, [ann])

    assert left == {ann.id}
    assert await asked(database) == ["bob@example.com"]


async def test_a_contact_that_is_there_keeps_or_gets(database: Database) -> None:
    async with database.transaction() as connection:
        changes = Changes({"first_name": "Ann"}, confirm=True)
        await contacts.create(connection, SHOP, "ann@example.com", changes, BY_API)
    lines = ["email,first_name,last_name\n", "ann@example.com,,Lee\n"]
    skipped = await brought(database, lines)
    updated = await brought(database, lines, upsert=True)
    same = await brought(database, lines, upsert=True)
    ann = await contact(database, "ann@example.com")

    assert ann is not None
    assert (ann.first_name, ann.last_name, ann.status) == ("Ann", "Lee", Status.CONFIRMED)
    assert [(one.skipped, one.updated) for one in (skipped, updated, same)] == [(1, 0), (0, 1), (1, 0)]
    assert await asked(database) == []


async def test_proof_that_comes_later_confirms_who_is_there(database: Database) -> None:
    lines = ["email\n", "ann@example.com\n"]
    await brought(database, lines, asks=False)
    kept = await brought(database, lines, consent=CONSENT)
    done = await brought(database, lines, upsert=True, consent=CONSENT)
    ann = await contact(database, "ann@example.com")

    assert ann is not None
    assert ann.status is Status.CONFIRMED
    assert (kept.updated, done.updated) == (0, 1)


async def test_lists_and_topics_of_an_import(database: Database) -> None:
    letter, offers, news = uuid7(), uuid7(), uuid7()
    topics = {offers: Subscription.OPT_OUT, news: Subscription.OPT_IN}
    await brought(database, ["email\n", "ann@example.com\n"], segments=(letter,), topics=topics)
    ann = await contact(database, "ann@example.com")
    assert ann is not None

    assert await rows(database, "SELECT contact_id, segment_id, status FROM segment_members") == [
        (ann.id, letter, "unconfirmed")
    ]
    assert await rows(database, "SELECT topic_id, subscription FROM choices") == [(offers, "opt_out")]
    ((wanted,),) = await rows(database, "SELECT wanted FROM confirmations")
    assert wanted == {"topics": [str(news)], "segments": [str(letter)]}


async def test_a_dry_run_keeps_nothing(database: Database) -> None:
    done = await brought(database, ["email\n", "ann@example.com\n", "nobody\n"], dry=True)

    assert (done.created, done.failed) == (1, 1)
    assert await rows(database, "SELECT count(*) FROM contacts") == [(0,)]
    assert await rows(database, "SELECT count(*) FROM contact_history") == [(0,)]


async def test_a_stopped_import_goes_on_and_counts_each_line_once(database: Database) -> None:
    lines = ["email\n", *(f"p{n}@example.com\n" for n in range(SLICE + 500))]
    terms = Terms(SHOP, "a test", asks=False)

    def work(import_id: UUID) -> Work:
        return Work(import_id, terms, ContactReader(iter(lines), {}), Domains(Records()))

    def stop(_: Progress) -> None:
        raise _KilledError

    async with database.transaction() as connection:
        made = await imports.begin(connection, SHOP, "l", "a test", stored(terms), "same")
    with pytest.raises(_KilledError):
        await slices.run(database, work(made.id), stop)
    async with database.transaction() as connection:
        again = await imports.begin(connection, SHOP, "l", "a test", stored(terms), "same")
    done = await slices.run(database, work(again.id), lambda _: None)

    assert (again.id, again.line, again.created) == (made.id, SLICE + 1, SLICE)
    assert (done.created, done.total, done.resumed_at) == (SLICE + 500, SLICE + 500, SLICE + 1)
    async with database.connection() as connection:
        assert (await imports.get(connection, SHOP, made.id)).status == "completed"


async def test_two_imports_of_the_same_people_at_one_time(database: Database) -> None:
    people = [f"p{n}@example.com\n" for n in range(3000)]
    one, other = await asyncio.gather(
        brought(database, ["email\n", *people]), brought(database, ["email\n", *reversed(people)])
    )

    assert one.created + other.created == 3000
    assert one.confirmations + other.confirmations == 3000


async def test_one_import_is_worked_on_by_one_process(database: Database) -> None:
    async with database.transaction() as connection:
        made = await imports.begin(connection, SHOP, "l", "a test", stored(Terms(SHOP, "a test")))
    async with database.connection() as holder:
        assert await imports.alone(holder, made.id)
        work = Work(made.id, Terms(SHOP, "a test"), ContactReader(iter(["email\n"]), {}), Domains(Records()))
        with pytest.raises(Refused, match="under way"):
            await slices.run(database, work, lambda _: None)
        await imports.let_go(holder, made.id)


async def test_a_domain_is_asked_about_once() -> None:
    records = Records()
    book = Domains(records)
    first = await book.troubles(["dead.example", "a.example", "a.example"])
    await book.troubles(["a.example", "dead.example"])

    assert first == {"dead.example": Problem.NO_DOMAIN}
    assert sorted(records.asked) == ["a.example", "dead.example"]


def test_terms_come_back_as_they_were() -> None:
    import orjson

    terms = Terms(SHOP, "me", True, (uuid7(),), {uuid7(): Subscription.OPT_IN}, CONSENT, False, uuid7())

    assert terms_of(SHOP, orjson.loads(stored(terms))) == terms


class _KilledError(Exception):
    pass
