"""`/people/imports/new`: a list is uploaded, looked at, tried and begun, and nobody is trusted for it."""

import io
import re
import zipfile
from collections.abc import AsyncIterator

import httpx
import pytest

from accounts import users
from accounts.audit import Wanted, page
from accounts.roles import Role
from audience import contacts, properties
from audience.importing import asking, imports, uploads
from core.ids import uuid7
from core.paging import Window
from core.settings import Settings
from store.database import Database
from tests.dns_table import DnsTable
from tests.integration.api.test_contact_imports import Records
from tests.integration.console.conftest import KEY, Person
from tests.integration.console.reach import HOSTILE, Reach, fill
from tests.integration.messages.emails import rows
from workers.bringing_in import bring_in

NEW = "/people/imports/new"
LIST = (
    b"E-Mail;Vorname;Town;Points\nAnn@people.example;Ann;Wien;3\nbob@people.example;Bob;Graz;4\nnobody;;;\n"
    b"ann@people.example;Again;;\n"
)


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    async with DnsTable({("people.example", "MX"): ["10 mx.people.example."]}) as table:
        yield table


@pytest.fixture
def settings(settings: Settings, dns: DnsTable) -> Settings:
    own = {
        "public_url": "https://mail.acme.example",
        "confirmation_pool": "asking",
        "dns_servers": (dns.address,),
    }
    return settings.model_copy(update=own)


@pytest.fixture
async def shop(database: Database) -> Reach:
    """An application that may ask people."""
    pool, ip = uuid7(), uuid7()
    async with database.transaction() as connection:
        await connection.execute(
            "INSERT INTO pools (id, name, lane, reserved) VALUES (%s, 'asking', 'transactional', true)", [pool]
        )
        await connection.execute(
            "INSERT INTO egress_ips (id, address, bind_address, ehlo_name) VALUES (%s, '192.0.2.7', '192.0.2.7', 'a')",
            [ip],
        )
        await connection.execute("INSERT INTO pool_ips (pool_id, egress_ip_id) VALUES (%s, %s)", [pool, ip])
    return await fill(database)


async def send(person: Person, content: bytes, name: str = "people.csv", **fields: str) -> httpx.Response:
    """The form of the first step, as a browser sends it."""
    found = KEY.search((await person.get(NEW)).text)
    assert found is not None
    given = {"form_key": found[1], **fields}
    headers = {"sec-fetch-site": "same-origin"}
    return await person.http.post(NEW, data=given, files={"file": (name, content)}, headers=headers)


async def uploaded(person: Person, content: bytes = LIST, name: str = "people.csv", **fields: str) -> str:
    answer = await send(person, content, name, **fields)
    assert answer.status_code == 303, answer.text
    return answer.headers["location"]


async def test_a_list_is_mapped_tried_begun_and_read(admin: Person, database: Database, shop: Reach) -> None:
    at = await uploaded(admin)
    text = (await admin.get(at)).text

    assert "5 lines. Of 4 entries, 2 can be people; the others are 1 without an address, 1 named before." in text
    assert taken(text) == {1: "email", 2: "first_name", 3: "-", 4: "-"}
    assert "Wien, Graz" in text
    assert "through the pool asking that is kept for that, at most 1,000 an hour" in text
    said = "c1=email&c2=first_name&c3=new.string&c4=-&list=" + str(shop.segment_id)
    tried = (await admin.get(f"{at}?{said}&dry=yes")).text
    assert "2 people become contacts" in tried
    assert "2 people get a mail that asks them." in tried
    assert "town: Wien" in tried, "as it would be read"
    async with database.connection() as connection:
        assert not await properties.known(connection, shop.application_id), "looking makes nothing"
        assert await imports.under_way(connection, shop.application_id) == (0, 0)

    fields = {"c1": "email", "c2": "first_name", "c3": "new.string", "c4": "-", "list": str(shop.segment_id)}
    begun = await admin.post(at, at, **fields)
    assert begun.status_code == 303, begun.text
    assert (await admin.get(at)).status_code == 404, "nobody begins it twice"
    progress = (await admin.get(begun.headers["location"])).text
    assert 'hx-trigger="every 2s"' in progress
    assert "It waits for its turn" in progress
    await bring_in(database, Records())
    done = (await admin.get(begun.headers["location"])).text
    assert "4 lines: 2 new, 0 changed, 1 left as they were, 1 no good." in done
    assert "Without an address" in done
    assert 'hx-trigger="every 2s"' not in done
    async with database.connection() as connection:
        ann = await contacts.find(connection, shop.application_id, "ann@people.example")
        logged = (await page(connection, Wanted(), Window(2))).entries
    assert ann is not None
    assert (ann.status.value, ann.first_name, dict(ann.properties)) == ("unconfirmed", "Ann", {"town": "Wien"})
    assert [one.action for one in logged] == ["import.begin", "import.upload"]
    placed = await rows(database, "SELECT status FROM segment_members WHERE contact_id = %s", [ann.id])
    assert placed == [("unconfirmed",)]


async def test_only_an_operator_vouches_and_the_proof_is_kept(
    admin: Person, viewer: Person, database: Database, shop: Reach
) -> None:
    proof = {"consent_source": "fair, paper", "consent_date": "2026-03-31", "consent_text": "News by mail"}
    assert viewer.user is not None
    async with database.transaction() as connection:
        await users.set_role(connection, viewer.user, Role.MARKETER, ())
    at = await uploaded(viewer)
    assert 'name="consent_source"' not in (await viewer.get(at)).text
    refused = await viewer.post(at, at, **proof)
    assert (refused.status_code, "right of operators" in refused.text) == (422, True)

    half = await admin.post(at, at, **{**proof, "consent_text": ""})
    assert (half.status_code, "when, and to what" in half.text) == (422, True)
    assert (await admin.post(at, at, **proof)).status_code == 303
    await bring_in(database, Records())

    kept = await rows(
        database,
        "SELECT c.status, h.detail FROM contacts c JOIN contact_history h ON h.contact_id = c.id"
        " WHERE h.what = 'confirmed' AND c.address = 'bob@people.example'",
    )
    assert kept == [
        ("confirmed", {"source": "fair, paper", "asked_at": "2026-03-31T00:00:00+00:00", "text": "News by mail"})
    ]
    assert await rows(database, "SELECT FROM confirmations") == []


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "Choose a file"),
        (b"Name,Town\nAnn,Wien\n", "No column holds addresses; it begins with &#39;Name,Town&#39;"),
        (b"\n\n", "The list is empty"),
        (b"ip,email,created\n192.0.2.1,a@people.example,2026-01-01\n", "not people to write to"),
        (b"PK\x03\x04 torn", "The archive cannot be read"),
        (b"\x1f\x8b\x08 torn", "It is damaged"),
        (b"x" * (10 * 1024 * 1024), "No column holds addresses"),
    ],
)
async def test_what_is_no_list_is_refused_at_once(
    admin: Person, database: Database, shop: Reach, content: bytes, why: str
) -> None:
    answer = await send(admin, content)

    assert answer.status_code == 422
    assert why in answer.text
    async with database.connection() as connection:
        assert [one.name for one in await uploads.waiting(connection, shop.application_id)] == [f"guests {HOSTILE}.csv"]


@pytest.mark.usefixtures("shop")
async def test_a_list_is_packed_or_holds_a_line_of_ten_megabytes(admin: Person) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("people.csv", LIST)
    at = await uploaded(admin, packed.getvalue(), "people.zip")
    assert "Of 4 entries, 2 can be people" in (await admin.get(at)).text

    long = b"email,name\na@people.example,A\n" + b"x" * (10 * 1024 * 1024) + b"\nb@people.example,B\n"
    text = (await admin.get(await uploaded(admin, long))).text
    assert "4 lines. Of 3 entries, 2 can be people; the others are 1 without an address." in text
    assert len(text) < 40_000


@pytest.mark.usefixtures("shop")
async def test_hostile_names_and_cells_are_shown_and_nothing_more(admin: Person) -> None:
    cell = "=HYPERLINK(1) \u202egnp.exe"
    content = f"email,{HOSTILE},{HOSTILE}\nann@people.example,{HOSTILE},{cell}\n{HOSTILE},,\n".encode()
    at = await uploaded(admin, content, f"C:\\fakepath\\{HOSTILE}\u202e.csv")

    for text in ((await admin.get(at)).text, (await admin.get(f"{at}?dry=yes")).text, (await admin.get(NEW)).text):
        assert HOSTILE not in text
        assert "\u202e" not in text
        assert "fakepath" not in text
    two = (await admin.get(f"{at}?c1=email&c2=new.string&c3=new.string")).text
    assert "Another column is taken as that already" in two, "two columns of one name"


async def test_what_is_said_about_columns_is_checked(admin: Person, shop: Reach) -> None:
    at = await uploaded(admin)

    for said, why in (
        ({"c1": "-"}, "Say which column holds the addresses"),
        ({"c1": "email", "c2": "email"}, "Another column is taken as that already"),
        ({"c1": "email", "c3": "properties.nobody"}, "nothing here is called"),
        ({"list": str(shop.application_id)}, "it is gone, or none of yours"),
        ({"form": "nothing"}, "nothing here is called"),
    ):
        answer = await admin.post(at, at, **said)
        assert answer.status_code == 422
        assert why.lower() in answer.text.lower(), said
    moved = (await admin.get(f"{at}?c1=email&c2=-&c3=last_name&c4=-")).text
    assert taken(moved) == {1: "email", 2: "-", 3: "last_name", 4: "-"}
    assert "Ann Wien" not in moved
    assert ">Wien</td>" in moved


async def test_a_list_waits_for_a_second_look_and_is_thrown_away(
    admin: Person, database: Database, shop: Reach
) -> None:
    at = await uploaded(admin)
    assert f'href="{at}"' in (await admin.get("/people/imports")).text
    assert "2 lists wait for somebody to begin." in (await admin.get("/people/imports")).text
    for _ in range(uploads.MOST - 2):
        await uploaded(admin)
    full = await send(admin, LIST)
    assert (full.status_code, "wait for somebody to begin them" in full.text) == (422, True)

    assert (await admin.post(f"{at}/discard", at)).status_code == 303
    assert (await admin.get(at)).status_code == 404
    async with database.transaction() as connection:
        await connection.execute("UPDATE contact_uploads SET created_at = now() - interval '25 hours'")
        await uploads.forget(connection)
    assert await rows(database, "SELECT FROM contact_uploads") == []
    assert await rows(database, "SELECT FROM contact_import_parts") == []


async def test_without_right_application_or_room_nothing_comes_in(
    admin: Person, viewer: Person, database: Database, shop: Reach, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = await uploaded(admin)
    assert (await viewer.get(at)).status_code == 403
    assert NEW not in (await viewer.get("/people/imports")).text
    other = await fill(database, "other")
    assert viewer.user is not None
    async with database.transaction() as connection:
        await users.set_role(connection, viewer.user, Role.MARKETER, (other.application_id,))
    assert (await viewer.get(at)).status_code == 404
    assert (await viewer.post(at, NEW)).status_code == 404
    assert (await viewer.post(f"{at}/discard", NEW)).status_code == 404
    assert (await send(viewer, LIST, application=str(shop.application_id))).status_code == 422

    async def large() -> AsyncIterator[bytes]:
        for _ in range(asking.LARGEST // 2**20 + 2):
            yield b"x" * 2**20

    headers = {"sec-fetch-site": "same-origin", "content-type": "multipart/form-data; boundary=b"}
    refused = await admin.http.post(NEW, content=large(), headers=headers)
    assert (refused.status_code, "This is larger than 50 MB." in refused.text) == (413, True)
    forged = await admin.http.post(NEW, files={"file": ("a.csv", LIST)}, headers={"sec-fetch-site": "same-origin"})
    assert forged.status_code == 403


def taken(text: str) -> dict[int, str]:
    """What stands in the selects of columns."""
    found = re.findall(r'name="c(\d+)"[^>]*>(.*?)</select>', text, re.DOTALL)
    return {int(number): re.findall(r'value="([^"]*)" selected', options)[0] for number, options in found}
