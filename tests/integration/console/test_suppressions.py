"""Suppressions: search, add, remove with what the locks ask for, history; what somebody of one application sees."""

from uuid import UUID

from accounts import repository as accounts
from accounts import users
from accounts.audit import Wanted, page
from accounts.roles import Role
from core.paging import Window
from store.database import Database
from suppression import adding
from suppression.entries import Addition
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from tests.integration.console.conftest import Person

HOSTILE = "550 5.1.1 <script>alert(1)</script>"


async def _fill(database: Database) -> UUID:
    async with database.transaction() as connection:
        shop = await accounts.create_application(connection, "shop")
        assert shop is not None
        for address, reason in (("dead@gone.example", Reason.HARD_BOUNCE), ("angry@mail.example", Reason.COMPLAINT)):
            entry = SuppressionEntry(SuppressionScope.ALL, reason, Source.SMTP, HOSTILE)
            await adding.add(connection, [Addition(address, entry, shop.id)])
    return shop.id


async def _open(admin: Person, text: str) -> str:
    """The address of the panel of the one entry that a search finds."""
    found = (await admin.get(f"/suppressions?q={text}")).text
    return "/suppressions?open=" + found.partition("open=")[2].partition('"')[0]


async def test_entries_are_added_found_and_removed_with_a_reason(admin: Person, database: Database) -> None:
    assert "postlane suppressions import" in (await admin.get("/suppressions")).text
    await _fill(database)
    listed = (await admin.get("/suppressions")).text
    assert "dead@" in listed
    assert "mailbox does not exist" in listed
    assert (
        "dead@gone.example gets no mail: mailbox does not exist"
        in (await admin.get("/suppressions?q=dead@gone.example")).text
    )
    assert "ann@gone.example is not suppressed" in (await admin.get("/suppressions?q=ann@gone.example")).text

    panel = await _open(admin, "angry")
    text = (await admin.get(panel)).text
    assert "called our mail spam" in text
    assert "<script>alert" not in text
    identifier = panel.partition("open=")[2]
    kept = await admin.post(f"/suppressions/{identifier}/remove", panel)
    assert kept.status_code == 422
    assert "a complaint is locked" in kept.text
    gone = await admin.post(f"/suppressions/{identifier}/remove", panel, why="wrote to us and asked")
    assert gone.status_code == 303
    assert "wrote to us and asked" in (await admin.get(gone.headers["location"])).text

    wrong = await admin.post("/suppressions", "/suppressions/new", emails="a@b.example\nnobody", only_for="everybody")
    assert wrong.status_code == 422
    assert "Line 2" in wrong.text
    made = await admin.post(
        "/suppressions", "/suppressions/new", emails="a@b.example\n@c.example", only_for="everybody", days="30"
    )
    assert made.status_code == 303
    assert "2 addresses are suppressed" in (await admin.get("/suppressions")).text
    async with database.connection() as connection:
        newest = (await page(connection, Wanted(), Window(2))).entries
    assert [one.action for one in newest] == ["suppression.add", "suppression.remove"]
    assert newest[1].subject == identifier
    for named in (".example", "550 5"):  # whoever is erased does not stay here
        assert named not in "".join(f"{one.before} {one.after}" for one in newest)


async def test_somebody_of_one_application_works_on_its_list_only(viewer: Person, database: Database) -> None:
    shop = await _fill(database)
    async with database.transaction() as connection:
        other = await accounts.create_application(connection, "other")
        assert other is not None
        assert viewer.user is not None
        await users.set_role(connection, viewer.user, Role.VIEWER, (other.id,))

    assert "dead@" not in (await viewer.get("/suppressions")).text
    assert (await viewer.get("/suppressions/new")).status_code == 403

    async with database.transaction() as connection:
        await users.set_role(connection, viewer.user, Role.VIEWER, (shop,))
    assert "dead@" in (await viewer.get("/suppressions")).text

    async with database.transaction() as connection:
        await users.set_role(connection, viewer.user, Role.OPERATOR, (shop,))
    fields = {"emails": "ann@mail.example", "only_for": str(other.id)}
    stale = await viewer.post("/suppressions", "/suppressions/new", **fields)
    assert (stale.status_code, "none of yours" in stale.text) == (422, True), "it is done to no other application"
