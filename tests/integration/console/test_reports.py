"""Reports: figures by whatever one may ask, against the time before, as a page and as a file."""

import csv
import io

from accounts import repository as accounts
from accounts import users
from accounts.roles import Role
from store.database import Database
from tests.integration.console.conftest import Person
from tests.integration.console.machine import FINE, REST, fill

DIMENSIONS = ("provider", "ip", "pool", "stream", "topic", "tag", "domain", "application")


async def test_figures_are_asked_for_in_many_ways(admin: Person, database: Database) -> None:
    assert "Nothing was counted" in (await admin.get("/reports")).text
    shop = await fill(database, volume=40_000)

    text = (await admin.get("/reports?span=24h")).text
    assert "of what was decided;" in text
    assert "There was none in the time before." in text
    assert "0.1 %: look into it" in text
    assert "0.3 %: providers act" in text
    assert text.index(">gmail<") < text.index(">yahoo<"), "the largest comes first"
    for by in DIMENSIONS:
        for rate in ("open_rate", "bounce_rate"):
            answer = await admin.get(f"/reports?by={by}&span=30d&steps=week&rate={rate}")
            assert answer.status_code == 200, by
            assert "providers act" not in answer.text, "limits are those of complaints"
    by_ip = (await admin.get("/reports?by=ip&provider=gmail&stream=marketing")).text
    assert REST.replace(".", ".<wbr>") in by_ip
    assert "Provider: <b>gmail</b>" in by_ip
    one = (await admin.get(f"/reports?by=provider&ip={FINE}&application={shop}")).text
    assert f"IP: <b>{FINE.replace('.', '.<wbr>')}</b>" in one
    assert '<th scope="col" class="right">gmail</th>' in one, "a table stands behind the lines"


async def test_what_cannot_be_asked_together_is_said(admin: Person, database: Database) -> None:
    await fill(database)
    for query in ("by=domain&ip=203.0.113.5", "domain=nobody.example", "stream=fast"):
        answer = await admin.get(f"/reports?{query}")
        assert answer.status_code == 422, query
        assert "This cannot be asked together." in answer.text
        assert (await admin.get(f"/reports/figures.csv?{query}")).status_code in (404, 422), query
    unclear = await admin.get("/reports?application=nothing")
    assert unclear.status_code == 200
    assert "Show it</button>" in unclear.text, "the choice alone"
    assert "gmail" not in unclear.text
    no_file = await admin.get("/reports/figures.csv?application=nothing")
    assert "csv" not in no_file.headers["content-type"]
    odd = await admin.get("/reports?by=x&span=y&steps=z&rate=w&provider=%3Cscript%3Ealert(1)%3C/script%3E")
    assert odd.status_code == 200
    assert "<script>alert" not in odd.text


async def test_a_file_has_all_of_it(admin: Person, database: Database) -> None:
    await fill(database)
    answer = await admin.get("/reports/figures.csv?by=ip&span=24h")
    rows = list(csv.DictReader(io.StringIO(answer.text)))

    assert answer.headers["content-type"].startswith("text/csv")
    assert {row["ip"] for row in rows} >= {REST, FINE}
    assert int(rows[0]["delivered"]) >= int(rows[-1]["delivered"]) > 0
    assert float(rows[0]["delivery_rate"]) > 0.9
    each = list(csv.DictReader(io.StringIO((await admin.get("/reports/figures.csv?by=ip&span=24h&each=1")).text)))
    assert sum(int(row["delivered"]) for row in each) == sum(int(row["delivered"]) for row in rows)
    assert all(row["hour"].count(":") >= 2 for row in each)


async def test_somebody_of_one_application_sees_its_figures_alone(viewer: Person, database: Database) -> None:
    shop = await fill(database)
    assert viewer.user is not None
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        await users.set_role(connection, viewer.user, Role.VIEWER, (other.id,))

    for query in ("", "?by=application", "?by=ip"):
        text = (await viewer.get(f"/reports{query}")).text
        assert "Nothing was counted" in text, query
        assert "gmail" not in text
    assert (await viewer.get("/reports/figures.csv?by=ip")).text.count("\n") == 1
    for query in (f"application={shop}", "application=shop"):
        text = (await viewer.get(f"/reports?{query}")).text
        assert "Show it</button>" in text, "the choice alone"
        assert "gmail" not in text
        assert REST not in (await viewer.get(f"/reports/figures.csv?by=ip&{query}")).text
