"""Choosing one of a thousand: the page stays small, a name is typed, and a part of one that several have is refused."""

from dataclasses import dataclass
from uuid import UUID

import pytest

from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.reach import Reach, fill
from tests.integration.messages.emails import execute

BUDGET = 40 * 1024
MANY = 1_000
"""Domains, segments and templates of one application; and so many applications."""


@dataclass(frozen=True, slots=True)
class Crowd:
    """What there is."""

    application_id: UUID
    reach: Reach


@pytest.fixture
async def crowd(database: Database) -> Crowd:
    reach = await fill(database)
    async with database.connection() as connection:
        cursor = await connection.execute("SELECT application_id FROM segments WHERE id = %s", [reach.segment_id])
        row = await cursor.fetchone()
    assert row is not None
    numbers = "generate_series(1, %s) n"
    given: list[object] = [row[0], MANY]
    await execute(
        database,
        "INSERT INTO domains (id, application_id, name, return_path_domain, status) SELECT gen_random_uuid(), %s,"
        f" 'd' || lpad(n::text, 4, '0') || '.example', 'b.example', 'verified' FROM {numbers}",
        given,
    )
    await execute(
        database,
        "INSERT INTO segments (id, application_id, name)"
        f" SELECT gen_random_uuid(), %s, 'Buyers ' || lpad(n::text, 4, '0') FROM {numbers}",
        given,
    )
    await execute(
        database,
        "INSERT INTO applications (id, name)"
        f" SELECT gen_random_uuid(), 'tenant ' || lpad(n::text, 4, '0') FROM {numbers}",
        [MANY],
    )
    return Crowd(row[0], reach)


async def test_pages_that_choose_among_a_thousand_stay_small_and_lead_to_each(admin: Person, crowd: Crowd) -> None:
    of = f"application={crowd.application_id}"
    weights = {}
    for path in (
        "/keys", "/snippets", f"/snippets?{of}", "/domains", "/logs", "/reports", "/alarms", "/flags?open=request_log",
        f"/people?{of}", f"/people/imports?{of}", f"/segments?{of}", f"/templates?{of}", f"/topics?{of}",
        f"/forms?{of}", "/webhooks", "/webhooks/new", f"/sandbox?{of}", "/suppressions/new",
        f"/campaigns/new?{of}", f"/templates/new?{of}", "/applications",
    ):  # fmt: skip
        answer = await admin.get(path)
        assert answer.status_code == 200, path
        weights[path] = len(answer.content)

    assert {path: weight for path, weight in weights.items() if weight > BUDGET} == {}
    shown = (await admin.get("/snippets?domain=D0777")).text
    assert "hello@d0777.example" in shown
    assert "1,001 of them: type a name" in shown
    several = (await admin.get("/snippets?domain=d077")).text
    assert "“d077” may be 10 of them: " in several
    suggested = (await admin.get("/find/names?of=Domain&application=&domain=d0777")).text
    assert suggested == '<option value="d0777.example"></option>'
    narrowed = (await admin.get("/keys?application=tenant 0777")).text
    assert 'value="tenant 0777"' in narrowed


async def test_what_is_typed_in_a_form_is_the_one_that_is_called_so(
    admin: Person, crowd: Crowd, database: Database
) -> None:
    given = {"name": "web", "mode": "live", "permission": "sending_access", "application": str(crowd.application_id)}

    refused = await admin.post("/keys", "/keys", **given, domain="d077")
    made = await admin.post("/keys", "/keys", **given, domain="d0777.example")

    assert refused.status_code == 422
    assert "“d077” may be 10 of them" in refused.text
    assert "d0777.<wbr>example" in made.text
    assert "Its token is shown this once" in made.text
    draft = {"application": str(crowd.application_id), "name": "Autumn", "from": "a@d0001.example", "subject": "Hi"}
    campaign = await admin.post("/campaigns", "/campaigns/new", **draft, html="<p>Hi</p>", segment_id="buyers 0042")
    assert campaign.status_code == 303, campaign.text
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT s.name FROM campaigns c JOIN segments s ON s.id = c.segment_id WHERE c.name = 'Autumn'"
        )
        assert await cursor.fetchall() == [("Buyers 0042",)]


async def test_a_text_that_names_no_application_or_several_shows_the_choice_alone(admin: Person, crowd: Crowd) -> None:
    """Everything, or the one that was made last, would be taken for what was asked for."""
    for path in ("/people", "/keys", "/domains", "/logs", "/webhooks", "/segments", "/campaigns/new", "/reports"):
        for text, said in (("tenant 07", "may be 100 of them"), ("nobody", "othing here is called “nobody”")):
            answer = await admin.get(f"{path}?application={text}")
            assert (answer.status_code, said in answer.text) == (200, True), (path, text)
            assert f'action="{path}"' in answer.text
            assert "<table" not in answer.text
    one = await admin.get("/keys?application=ant 0777")
    assert (one.status_code, 'value="tenant 0777"' in one.text) == (200, True), "to look, a part of one name is enough"


async def test_a_form_takes_no_part_of_a_name(admin: Person, crowd: Crowd, database: Database) -> None:
    """Whoever types "prod" writes into no "prod-eu"."""
    given = {"name": "web", "mode": "live", "permission": "sending_access"}

    refused = await admin.post("/keys", "/keys", **given, application="ant 0777")
    domain = await admin.post("/keys", "/keys", **given, application=str(crowd.application_id), domain="0777.example")
    made = await admin.post("/keys", "/keys", **given, application="Tenant 0777")

    assert (refused.status_code, domain.status_code) == (422, 422)
    assert "“ant 0777” is only a part of “tenant 0777”: type the whole name" in refused.text
    assert "“0777.example” is only a part of “d0777.example”" in domain.text
    assert "Its token is shown this once" in made.text
    async with database.connection() as connection:
        cursor = await connection.execute(
            "SELECT a.name FROM api_keys k JOIN applications a ON a.id = k.application_id WHERE k.name = 'web'"
        )
        assert await cursor.fetchall() == [("tenant 0777",)]


async def test_people_of_a_segment_that_is_not_named_are_not_everybody(admin: Person, crowd: Crowd) -> None:
    of = f"/people?application={crowd.application_id}"

    answer = await admin.get(f"{of}&segment=buyers")

    assert "ann0@<wbr>people" in (await admin.get(of)).text
    assert answer.status_code == 422
    assert "“buyers” may be " in answer.text
    assert "ann0@<wbr>people" not in answer.text
