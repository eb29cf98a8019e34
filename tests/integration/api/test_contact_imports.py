"""`/contacts/imports`: a foreign list gets one mail that asks, through the pool kept for it, and nothing else."""

import gzip
import hashlib
import io
import json
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
import resend

from audience import confirmations, topics
from audience.importing import asking, imports
from audience.links import ConfirmLink
from audience.topics import NewTopic, Subscription
from core.ids import uuid7
from core.settings import Settings
from messages import signing_up
from messages.signing_up import Yes
from store.database import Database
from tests.clients.node import installed, run
from tests.integration.api.account import Account
from tests.integration.api.conftest import Server
from tests.integration.messages.emails import make_partitions, rows
from tests.integration.pages.signups import tools_of
from workers.bringing_in import bring_in

CLIENT = Path(__file__).parents[2] / "clients" / "resend"
LIST = b"Email,Vorname\nAnn@example.com,Ann\nbob@example.com,Bob\nnobody,\nann@example.com,Again\n"


class Records:
    """DNS where every domain takes mail."""

    async def mx(self, name: str) -> list[tuple[int, str]]:
        return [(10, f"mx.{name}")]

    async def addresses(self, _name: str) -> list[str]:
        return []


@pytest.fixture
def settings(settings: Settings) -> Settings:
    own = {"public_url": "https://mail.acme.example", "confirmation_pool": "asking"}
    return settings.model_copy(update=own)


@pytest.fixture
async def pool(database: Database, account: Account) -> UUID:
    """The pool that is kept for confirmations, with an IP."""
    identifier, ip = uuid7(), uuid7()
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO pools (id, name, lane, reserved) VALUES (%s, 'asking', 'transactional', true)", [identifier]
        )
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, '192.0.2.7', '192.0.2.7', 'a')",
            [ip],
        )
        await connection.execute("INSERT INTO pool_ips (pool_id, egress_ip_id) VALUES (%s, %s)", [identifier, ip])
    return identifier


async def sent(client: httpx.AsyncClient, content: bytes = LIST, **fields: str) -> httpx.Response:
    return await client.post("/contacts/imports", files={"file": ("people.csv", content)}, data=fields)


async def imported(client: httpx.AsyncClient, database: Database, content: bytes = LIST, **fields: str) -> Any:
    answer = await sent(client, content, **fields)
    assert answer.status_code == 201, answer.text
    await bring_in(database, Records())
    return (await client.get(f"/contacts/imports/{answer.json()['id']}")).json()


async def mails(database: Database, **tools: Any) -> list[tuple[str, UUID | None]]:
    """To whom confirmations left, and through which pool; as many as are due now."""
    await signing_up.write_due(tools_of(database))
    await signing_up.write_due_of_imports(tools_of(database, pool="asking", an_hour=100_000, **tools))
    return await rows(
        database, "SELECT m.address, e.pool_id FROM messages m JOIN emails e ON e.id = m.email_id ORDER BY m.address"
    )


@pytest.mark.usefixtures("pool")
async def test_one_process_at_a_time_uses_the_pace(client: httpx.AsyncClient, database: Database) -> None:
    """Else one counts what has left, then the other writes, then the first writes as much again."""
    await imported(client, database)
    tools = tools_of(database, pool="asking", an_hour=600)
    async with database.transaction() as other:
        await other.execute("SELECT pg_advisory_xact_lock(hashtextextended('confirmations of imports', 0))")
        assert await signing_up.write_due_of_imports(tools) == 0

    assert await signing_up.write_due_of_imports(tools) == 2


@pytest.mark.usefixtures("pool")
async def test_an_application_has_few_uploads_that_wait(client: httpx.AsyncClient, database: Database) -> None:
    for _ in range(imports.MOST_OPEN):
        assert (await sent(client)).status_code == 201
    refused = await sent(client)
    await bring_in(database, Records())

    assert refused.status_code == 409
    assert "wait to be imported" in refused.json()["message"]
    assert (await sent(client)).status_code == 201


async def test_one_list_of_each_application_has_its_turn(database: Database) -> None:
    first, second = uuid7(), uuid7()
    async with database.transaction() as connection:
        for name, owner in (("a", first), ("b", first), ("c", second)):
            made = await imports.begin(connection, owner, name, "a test", "{}")
            await imports.keep_part(connection, made.id, 0, b"x")
        waiting = await imports.uploaded(connection)

    assert [one.name for one in waiting] == ["a", "c"]


@pytest.mark.usefixtures("pool")
async def test_people_are_asked_only_where_a_domain_can_ask_them(client: httpx.AsyncClient, database: Database) -> None:
    async with database.transaction() as connection:
        await connection.execute("UPDATE domains SET status = 'failed'")
    refused = await sent(client)

    assert refused.status_code == 409
    assert "no verified domain" in refused.json()["message"]
    assert (await sent(client, confirm="false")).status_code == 201


@pytest.mark.usefixtures("pool")
async def test_what_unpacks_to_too_much_ends(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MOST_UNPACKED", 2 * 1024 * 1024)
    found = await imported(client, database, gzip.compress(LIST + b"#" * 4 * 1024 * 1024))

    assert found["status"] == "failed"
    assert "unpacks to more than 2 MB" in found["failure"]


@pytest.mark.usefixtures("pool")
async def test_a_list_is_taken_and_says_what_became_of_it(client: httpx.AsyncClient, database: Database) -> None:
    found = await imported(client, database)

    assert (found["status"], found["name"], found["confirmations"]) == ("completed", "people.csv", 2)
    assert found["counts"] == {"total": 4, "created": 2, "updated": 0, "skipped": 1, "failed": 1}
    assert (found["reasons"], found["faults"][0]["line"]) == ({"syntax": 1, "duplicate": 1}, 4)
    assert await rows(database, "SELECT count(*) FROM contact_import_parts") == [(0,)]
    ann = (await client.get("/contacts/ann@example.com")).json()
    assert (ann["first_name"], ann["email"]) == ("Ann", "Ann@example.com")


async def test_a_foreign_list_gets_one_mail_each_through_that_pool_alone(
    client: httpx.AsyncClient, database: Database, pool: UUID, account: Account
) -> None:
    """Traps and dead addresses are among them; nobody can tell which."""
    await make_partitions(database)
    people = [f"trap{n}@example.com" for n in range(20)]
    foreign = "\n".join(["email", *people, "dead@bounced.example"]).encode()
    async with database.transaction() as connection:
        wanted = NewTopic(account.application_id, "News", Subscription.OPT_IN)
        await topics.create(connection, wanted)
    await imported(client, database, foreign)
    assert sorted(await mails(database)) == sorted((one, pool) for one in [*people, "dead@bounced.example"])

    for _ in range(3):  # time passes, the list is brought in again, and again
        async with database.transaction() as connection:
            await connection.execute("UPDATE confirmations SET mailed_at = mailed_at - interval '8 days'")
        await imported(client, database, foreign, on_conflict="upsert")
        assert len(await mails(database)) == 21
    assert await rows(database, "SELECT DISTINCT status FROM contacts") == [("unconfirmed",)]
    assert await rows(database, "SELECT DISTINCT lane, pool_id FROM emails") == [("transactional", pool)]


@pytest.mark.usefixtures("pool")
async def test_a_wrong_list_is_stopped_and_nobody_more_is_asked(client: httpx.AsyncClient, database: Database) -> None:
    await make_partitions(database)
    found = await imported(client, database, LIST, language="de")
    await client.delete("/contacts/bob@example.com")
    assert [address for address, _ in await mails(database)] == ["ann@example.com"]
    ((subject,),) = await rows(database, "SELECT subject FROM emails")
    assert subject.startswith("Darf ")

    later = await imported(client, database, b"email\nzoe@example.com\n")
    stopped = await client.post(f"/contacts/imports/{later['id']}/stop")
    assert (stopped.status_code, stopped.json()["status"]) == (200, "completed")
    assert len(await mails(database)) == 1
    waiting = (await sent(client)).json()["id"]
    assert (await client.post(f"/contacts/imports/{waiting}/stop")).json()["status"] == "failed"
    assert await bring_in(database, Records()) == 0
    assert (await client.get(f"/contacts/imports/{found['id']}")).json()["status"] == "completed"


@pytest.mark.usefixtures("pool")
async def test_who_leaves_while_they_wait_is_not_asked(client: httpx.AsyncClient, database: Database) -> None:
    """By whatever mail of the application, or taken off by it: they never asked for anything."""
    await make_partitions(database)
    found = await imported(client, database)
    await client.patch("/contacts/bob@example.com", json={"unsubscribed": True})

    assert [address for address, _ in await mails(database)] == ["ann@example.com"]
    asking = (await client.get(f"/contacts/imports/{found['id']}")).json()["asking"]
    assert (asking["asked"], asking["unsent"]) == (1, 1)


@pytest.mark.usefixtures("pool")
async def test_confirmations_of_imports_keep_their_pace(client: httpx.AsyncClient, database: Database) -> None:
    await make_partitions(database)
    people = "\n".join(["email", *(f"p{n}@example.com" for n in range(50))]).encode()
    await imported(client, database, people)
    tools = tools_of(database, pool="asking", an_hour=600)

    assert [await signing_up.write_due_of_imports(tools) for _ in range(3)] == [10, 0, 0]
    async with database.transaction() as connection:
        await connection.execute("UPDATE confirmations SET mailed_at = mailed_at - interval '1 minute'")
    assert await signing_up.write_due_of_imports(tools) == 10


async def test_nobody_waits_behind_the_list_of_another_application(database: Database) -> None:
    async with database.transaction() as connection:
        for people, since in ((40, "2 days"), (3, "1 minute")):
            await connection.execute(
                "INSERT INTO confirmations (id, application_id, address, email, import_id, language, asked_at,"
                " expires_at, next_mail, mail_at) SELECT gen_random_uuid(), %(one)s, n || '@example.com', '', %(one)s,"
                " 'en', now(), now(), 'confirm', now() - %(since)s::interval FROM generate_series(1, %(people)s) n",
                {"one": uuid7(), "people": people, "since": since},
            )
        found = await confirmations.due_of_imports(connection, 10)
        all_of_them = await confirmations.due_of_imports(connection, 100)

    assert sorted(Counter(one.application_id for one in found).values()) == [3, 7]
    assert len(all_of_them) == 43


async def test_who_says_yes_to_an_import_is_confirmed(
    client: httpx.AsyncClient, database: Database, pool: UUID, account: Account
) -> None:
    await make_partitions(database)
    await imported(client, database, b"email\nann@example.com\n")
    assert await mails(database) == [("ann@example.com", pool)]
    ((identifier,),) = await rows(database, "SELECT id FROM confirmations")
    async with database.transaction() as connection:
        yes = Yes(ConfirmLink(account.application_id, identifier), "203.0.113.1")
        assert await signing_up.confirm(connection, yes) is not None
        row = await confirmations.find(connection, account.application_id, identifier)

    assert row is not None
    assert row.confirmed_at is not None
    assert (await client.get("/contacts/ann@example.com")).json()["status"] == "confirmed"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE pools SET name = 'other' WHERE name = 'asking'", "There is no pool 'asking'"),
        ("UPDATE pools SET reserved = false", "--reserved"),
        ("UPDATE pools SET overflow_pool_id = (SELECT id FROM pools WHERE name = 'main') WHERE reserved", "overflow"),
        ("DELETE FROM pool_ips", "postlane pools attach asking"),
    ],
)
@pytest.mark.usefixtures("pool")
async def test_without_such_a_pool_it_is_said_what_to_do(
    client: httpx.AsyncClient, database: Database, change: str, told: str
) -> None:
    async with database.transaction() as connection:
        await connection.execute(change)
    answer = await sent(client)
    assert answer.status_code == 409
    assert told in answer.json()["message"]

    found = await imported(client, database, confirm="false")
    assert (found["counts"]["created"], found["confirmations"]) == (2, 0)


@pytest.mark.usefixtures("pool")
async def test_a_pool_that_is_lost_later_stops_the_mail_and_nothing_leaves_elsewhere(
    client: httpx.AsyncClient, database: Database
) -> None:
    await make_partitions(database)
    await imported(client, database)
    async with database.transaction() as connection:
        await connection.execute("UPDATE pools SET reserved = false")

    assert await mails(database) == []
    ((identifier,),) = await rows(database, "SELECT id FROM contact_imports")
    asking = (await client.get(f"/contacts/imports/{identifier}")).json()["asking"]
    assert (asking["waiting"], asking["asked"]) == (2, 0)
    assert "not reserved" in asking["held"]


@pytest.mark.usefixtures("pool")
async def test_what_cannot_be_is_refused_at_once(client: httpx.AsyncClient) -> None:
    for fields, told in (
        ({"column_map": "{"}, "no JSON"),
        ({"column_map": "[]"}, "an object"),
        ({"column_map": '{"email": "Nowhere"}'}, "there are Email, Vorname"),
        ({"column_map": '{"shoe": "Email"}'}, "no field"),
        ({"column_map": '{"properties": {"city": "Vorname"}}'}, "no property"),
        ({"segments": '[{"id": "x"}]'}, "`segments`"),
        ({"segments": json.dumps([{"id": str(uuid7())}])}, "no such segment"),
        ({"topics": json.dumps([{"id": str(uuid7())}])}, "no such topic"),
        ({"on_conflict": "merge"}, "skip or upsert"),
        ({"form_id": str(uuid7())}, "Form not found"),
        ({"form_id": str(uuid7()), "language": "de"}, "Form not found"),
        ({"consent": "{}"}, "operator"),
    ):
        answer = await sent(client, **fields)
        assert answer.status_code in (404, 422), answer.text
        assert told in answer.json()["message"]
    for content in (b"", b"nothing\nhere\n", b"PK\x03\x04zip"):
        assert (await sent(client, content)).status_code == 422
    assert (await client.post("/contacts/imports", content=b"x")).status_code == 422


@pytest.mark.usefixtures("pool")
async def test_a_property_with_a_type_is_made(client: httpx.AsyncClient, database: Database) -> None:
    columns = {"properties": {"city": {"column": "Vorname", "type": "string"}}}
    await imported(client, database, column_map=json.dumps(columns))

    ann = (await client.get("/contacts/ann@example.com")).json()
    assert ann["properties"]["city"]["value"] == "Ann"


async def test_a_damaged_upload_fails_and_says_so(client: httpx.AsyncClient, database: Database) -> None:
    packed = gzip.compress(b"email\n" + b"".join(b"%d@example.com\n" % n for n in range(100_000)))
    found = await imported(client, database, packed[: len(packed) // 2], confirm="false")

    assert found["status"] == "failed"
    assert "cannot be read" in found["failure"]


def with_lzma(damaged: slice) -> bytes:
    """A zip archive of a long list, some of its bytes wrong."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_LZMA) as archive:
        digests = (hashlib.sha256(b"%d" % n).hexdigest() for n in range(5_000))
        archive.writestr("list.csv", "email\n" + "".join(f"{one}@example.com\n" for one in digests))
    packed = bytearray(made.getvalue())
    packed[damaged] = bytes(byte ^ 0xFF for byte in packed[damaged])
    return bytes(packed)


async def test_no_damaged_list_holds_up_those_behind_it(client: httpx.AsyncClient, database: Database) -> None:
    """LZMA has an error of its own; and what nobody thought of is the import's own trouble, too."""
    torn = (await sent(client, with_lzma(slice(100_000, 100_040)), confirm="false")).json()["id"]
    strange = (await sent(client, b"email\nzoe@example.com\n", confirm="false")).json()["id"]
    async with database.transaction() as connection:
        await connection.execute("UPDATE contact_imports SET terms = '{}' WHERE id = %s", [strange])
    assert (await imported(client, database, confirm="false"))["status"] == "completed"

    told = [(await client.get(f"/contacts/imports/{one}")).json() for one in (torn, strange)]
    assert [one["status"] for one in told] == ["failed", "failed"]
    assert "cannot be read" in told[0]["failure"]
    assert "internal error: KeyError" in told[1]["failure"]
    assert await bring_in(database, Records()) == 0


async def test_a_list_that_is_damaged_where_it_begins_is_refused(client: httpx.AsyncClient) -> None:
    head = gzip.compress(b"email\nann@example.com\n")
    for content in (with_lzma(slice(60, 100)), head[:12], head[:10] + b"\xff" * 20):
        answer = await sent(client, content, confirm="false")
        assert answer.status_code == 422
        assert "it is damaged" in answer.json()["message"]


@pytest.fixture
def sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)
    return iter((None,))


@pytest.mark.usefixtures("sdk", "pool")
async def test_resend_s_sdk_imports_lists_and_gets(database: Database) -> None:
    made = resend.Contacts.Imports.create(
        {"file": LIST, "column_map": {"email": "Email", "first_name": "Vorname"}, "on_conflict": "upsert"}
    )
    await bring_in(database, Records())
    got = resend.Contacts.Imports.get(made["id"])
    listed = resend.Contacts.Imports.list({"status": "completed", "limit": 1})

    assert (made["object"], got["status"], got["counts"]["created"]) == ("contact_import", "completed", 2)
    assert [one["id"] for one in listed["data"]] == [made["id"]]


@pytest.mark.usefixtures("pool")
def test_resend_s_sdk_for_node_imports_lists_and_gets(server: Server, account: Account, tmp_path: Path) -> None:
    folder = installed(CLIENT)
    (tmp_path / "imports.mjs").write_text((CLIENT / "imports.mjs").read_text())
    (tmp_path / "node_modules").symlink_to(folder / "node_modules")
    env = {"RESEND_BASE_URL": server.url, "RESEND_API_KEY": account.full, "LIST": LIST.decode()}
    told = json.loads(run("node", "imports.mjs", cwd=tmp_path, env=env))

    made = told["made"]["data"]
    assert (made["object"], told["got"]["data"]["status"]) == ("contact_import", "queued")
    assert [one["id"] for one in told["listed"]["data"]["data"]] == [made["id"]]
