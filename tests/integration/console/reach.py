"""An application that writes to people: a segment with everybody, some contacts, and a campaign under way."""

import io
from dataclasses import dataclass
from uuid import UUID

from accounts import repository as accounts
from audience import contacts, membership, segments
from audience.contact_history import ContactAct, ContactSource
from audience.contacts import Changes
from audience.importing import uploads
from audience.membership import MemberStatus, OnList
from campaigns import repository, steering, tallies
from campaigns.model import Draft, Words
from core.ids import uuid7
from store.database import Connection, Database

HOSTILE = "<script>alert(1)</script>"
HTML = f"<p>Hello {{{{ first_name | default('you') }}}} {HOSTILE}</p>"
GUESTS = f"Email,First name,Note {HOSTILE}\nzoe@people.example,Zoe {HOSTILE},=1+1\nnobody,x,y\n".encode()
OUTCOMES = (
    ("delivered", None, None), ("delivered", None, None), ("bounced", "550 5.1.1 no such user", "invalid_recipient"),
    ("suppressed", "complaint", None), ("failed", f"no value {HOSTILE}", None), ("waiting", None, None),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Reach:
    """What is there."""

    application_id: UUID
    segment_id: UUID
    campaign_id: UUID
    draft_id: UUID
    people: tuple[UUID, ...]


async def fill(database: Database, name: str = "shop") -> Reach:
    """All of it; the campaign has one person for each of `OUTCOMES`, and was started."""
    async with database.transaction() as connection:
        made = await accounts.create_application(connection, name)
        assert made is not None
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, status, return_path_domain)"
            " VALUES (%s, %s, %s, 'verified', %s)",
            [uuid7(), made.id, f"{name}.example", f"bounce.{name}.example"],
        )
        segment = await segments.create(connection, made.id, f"News {HOSTILE}")
        people = [await _person(connection, made.id, segment.id, n) for n in range(len(OUTCOMES))]
        draft = Draft(
            Words(f"Shop <news@{name}.example>", f"Spring {HOSTILE}", html=HTML, text="Hello"), "", segment.id
        )
        begun = await steering.create(connection, made.id, draft)
        written = await steering.create(connection, made.id, draft)
        await steering.start(connection, await repository.get(connection, None, begun.id))
        for person, (state, reason, klass) in zip(people, OUTCOMES, strict=True):
            await _row(connection, begun.id, person, (state, reason, klass))
        await tallies.add(connection, {(begun.id, "opened"): 1, (begun.id, "bounced_for_good"): 1})
        await uploads.keep(connection, made.id, f"guests {HOSTILE}.csv", "a test", io.BytesIO(GUESTS))
    return Reach(made.id, segment.id, begun.id, written.id, tuple(people))


async def _person(connection: Connection, application: UUID, segment: UUID, n: int) -> UUID:
    act = ContactAct(ContactSource.CLI, "a test")
    changes = Changes({"first_name": f"Ann {n} {HOSTILE}"}, {}, True, {"text": "Asked at the fair"})
    made = await contacts.create(connection, application, f"ann{n}@people.example", changes, act)
    await membership.put(connection, OnList(segment, application, act), [made.contact.id], MemberStatus.CONFIRMED)
    return made.contact.id


async def _row(
    connection: Connection, campaign: UUID, person: UUID, became: tuple[str, str | None, str | None]
) -> None:
    state, reason, klass = became
    ended = "NULL" if state == "waiting" else "now()"
    sent = uuid7() if state in ("delivered", "bounced") else None
    await connection.execute(
        "INSERT INTO campaign_recipients (campaign_id, contact_id, destination, state, reason, class, email_id,"
        " variant, provider, ended_at, due_at)"
        f" VALUES (%s, %s, 'people.example', %s, %s, %s, %s, 0, 'gmail', {ended}, now())",
        [campaign, person, state, reason, klass, sent],
    )
    await tallies.add(connection, {(campaign, state): 1})
