"""A probe is sent to a seed account, found in its mailbox, and told of when it is not in the inbox."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import trustme

from alarms import duty, seeds
from alarms.repository import open_alarms
from alarms.seeds import Account, NewSeed, Seed
from core.ids import uuid7
from core.queues import Lane
from core.refusal import Refused
from core.secrets import InstanceSecret
from mta.guard import Guard, networks
from store import folding
from store.database import Database
from tests.imap_server import KINDS, PASSWORD, USER, Mailbox, mailbox
from tests.integration.messages.emails import APPLICATION, execute, make_partitions, rows
from workers import seeding
from workers.seeding import Reading

SECRET = InstanceSecret.from_text("5e" * 32)
HERE = Guard(networks(["127.0.0.0/8"]))
ADDRESS = "seed@gmail.example"


@pytest.fixture(autouse=True)
async def _sender(database: Database) -> None:
    await make_partitions(database)
    await execute(database, "INSERT INTO applications (id, name) VALUES (%s, 'acme')", [APPLICATION])
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain, status)"
        " VALUES (%s, %s, 'acme.example', 'x', 'verified')",
        [uuid7(), APPLICATION],
    )


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(params=KINDS)
async def box(request: pytest.FixtureRequest, authority: trustme.CA) -> AsyncIterator[Mailbox]:
    async with mailbox(request.param, authority.issue_cert("127.0.0.1")) as running:
        yield running


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(file))
    return file


async def added(database: Database, port: int, password: str = PASSWORD) -> Seed:
    wanted = NewSeed(
        ADDRESS, "gmail", Account("127.0.0.1", port, "tls", USER, password), "News <news@acme.example>",
        Lane.MARKETING, 60,
    )  # fmt: skip
    async with database.transaction() as connection:
        return await seeds.add(connection, wanted, SECRET)


async def newest(database: Database) -> Seed:
    async with database.connection() as connection:
        return await seeds.find(connection, ADDRESS)


async def told(database: Database, folder: Path) -> list[tuple[str, str]]:
    await duty.judge_all(database, duty.Certificates(folder))
    async with database.connection() as connection:
        return [(one.kind, one.severity) for one in await open_alarms(connection) if one.kind == "seed_missing"]


async def again(database: Database) -> None:
    """Time passes."""
    await execute(database, "UPDATE seed_probes SET look_at = now() - interval '1 s'")
    await execute(database, "UPDATE seeds SET due_at = now()")


async def test_from_the_probe_to_the_alarm_and_back(
    database: Database, box: Mailbox, trusted: Path, tmp_path: Path
) -> None:
    await added(database, box.tls)
    assert [await seeding.probe(database), await seeding.probe(database)] == [1, 0]
    ((message_id, lane),) = await rows(database, "SELECT message_id, lane FROM emails")
    assert (lane, await rows(database, "SELECT recipient FROM delivery_queue")) == ("marketing", [(ADDRESS,)])
    await seeding.look(database, Reading(SECRET, HERE, trusted))
    assert ((await newest(database)).placement, await told(database, tmp_path)) == (None, [])

    box.deliver(message_id, "Junk")
    await again(database)
    await seeding.look(database, Reading(SECRET, HERE, trusted))
    assert ((await newest(database)).placement, (await newest(database)).folder) == ("spam", "Junk")
    assert await told(database, tmp_path) == [("seed_missing", "warning")]

    await seeding.probe(database)
    await execute(database, "UPDATE seed_probes SET sent_at = sent_at - interval '31 min' WHERE placement IS NULL")
    await execute(database, "UPDATE seed_probes SET sent_at = sent_at - interval '2 h' WHERE placement = 'spam'")
    await seeding.look(database, Reading(SECRET, HERE, trusted))
    assert await told(database, tmp_path) == [("seed_missing", "critical")]

    await again(database)
    await seeding.probe(database)
    ((message_id,),) = await rows(database, "SELECT message_id FROM seed_probes WHERE placement IS NULL")
    box.deliver(message_id)
    await seeding.look(database, Reading(SECRET, HERE, trusted))
    assert ((await newest(database)).placement, await told(database, tmp_path)) == ("inbox", [])
    async with database.connection() as connection:
        placements = [probe.placement for probe in await seeds.probes(connection, (await newest(database)).id)]
    assert placements == ["inbox", "missing", "spam"]
    assert await folding.fold(database) > 0  # probes are mail as any other


async def test_a_mailbox_that_cannot_be_read_loses_no_probe(
    database: Database, box: Mailbox, trusted: Path, tmp_path: Path
) -> None:
    await added(database, box.tls, "wrong")
    await seeding.probe(database)
    await execute(database, "UPDATE seed_probes SET sent_at = sent_at - interval '40 min'")
    await seeding.look(database, Reading(SECRET, HERE, trusted))
    seed = await newest(database)

    assert (seed.placement, seed.trouble.startswith("127.0.0.1: ")) == (None, True)
    assert await told(database, tmp_path) == [("seed_missing", "warning")]


async def test_what_cannot_be_names_its_field(database: Database) -> None:
    await added(database, 993)
    with pytest.raises(Refused, match="there is a seed account"):
        await added(database, 993)
    stored = await rows(database, "SELECT sealed_password FROM seeds")
    assert PASSWORD.encode() not in bytes(stored[0][0])
    good, bad = (Account(host, 993, "tls", "u", "p") for host in ("h", ""))
    for wanted, field in (
        (NewSeed("nobody", "gmail", good, "a@acme.example", Lane.MARKETING, 60), "address"),
        (NewSeed("a@b.example", "gmail", good, "nobody", Lane.MARKETING, 60), "sender"),
        (NewSeed("a@b.example", "gmail", good, "a@acme.example", Lane.MARKETING, 1), "every_minutes"),
        (
            NewSeed("a@b.example", "gmail", bad, "a@acme.example", Lane.MARKETING, 60),
            "host",
        ),
    ):
        with pytest.raises(Refused) as refused:
            seeds.checked(wanted)
        assert refused.value.field == field


async def test_without_a_sender_the_account_says_what_is_missing(database: Database, tmp_path: Path) -> None:
    await added(database, 993)
    await execute(database, "DELETE FROM domains")

    assert await seeding.probe(database) == 0
    assert "no verified domain" in (await newest(database)).trouble
