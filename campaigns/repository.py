"""The table of campaigns: reading, writing drafts, and the one statement that moves a state.

Every function works on the caller's connection and never commits.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from campaigns import archive, experiment, plan, tallies, utm
from campaigns.archive import Access, Archive
from campaigns.following import Follow, Whom
from campaigns.model import Campaign, Draft, Words, texts
from campaigns.states import Act, CampaignState, sources, target
from core.ids import uuid7
from core.logs import get_logger
from core.paging import Page, Window, cut
from core.refusal import Refused, conflict, not_found
from core.visible import on_one_line
from messages import halted
from store import arrays
from store.database import Connection
from store.paging import newest_first

_log = get_logger(__name__)

_AS_STORED: Final = (
    "id", "application_id", "name", "reason", "segment_id", "topic_id", "pool_id", "open_tracking", "click_tracking",
    "capture", "scheduled_at", "fixed_at", "started_at", "ended_at", "created_at", "heard_since", "retried_at",
    "template_id",
)  # fmt: skip
_NAMES: Final = (
    *_AS_STORED, "state", "sender", "subject", "preview_text", "reply_to", "html", "body", "tags", "plan",
    "experiment", "utm", "archive", "languages", "follows", "follows_whom", "now",
)  # fmt: skip
_COLUMNS: Final = f"{', '.join(_NAMES[:-1])}, now()"
_COMPOSED: Final[dict[str, Any]] = {
    "tags": [], "plan": {}, "experiment": {}, "utm": {}, "archive": {}, "languages": {}, "follows": None
}  # fmt: skip
"""What is left out of a campaign that this version cannot read."""
_STRANGE: Final = (Refused, ValueError, TypeError, KeyError, AttributeError)
"""What reading says to a document of another version, or that somebody wrote by hand."""

_WRITTEN: Final = (
    "name", "segment_id", "topic_id", "pool_id", "sender", "subject", "preview_text", "reply_to", "html", "body",
    "tags", "open_tracking", "click_tracking", "plan", "experiment", "utm", "archive", "languages", "follows",
    "follows_whom", "template_id",
)  # fmt: skip

_INSERT: Final = f"""
INSERT INTO campaigns (id, application_id, capture, {", ".join(_WRITTEN)})
VALUES (%(id)s, %(application)s, %(capture)s, {", ".join(f"%({name})s" for name in _WRITTEN)}) RETURNING {_COLUMNS}
"""

_UPDATE: Final = f"""
UPDATE campaigns SET {", ".join(f"{name} = %({name})s" for name in _WRITTEN)}, updated_at = now()
 WHERE id = %(id)s AND application_id = %(application)s AND state = 'draft' RETURNING {_COLUMNS}
"""

_MOVE: Final = f"""
UPDATE campaigns SET state = %(to)s, reason = %(reason)s, updated_at = now(),
       scheduled_at = CASE WHEN %(schedule)s THEN %(at)s ELSE scheduled_at END,
       started_at = CASE WHEN %(to)s = 'sending' THEN coalesce(started_at, now()) ELSE started_at END,
       ended_at = CASE WHEN %(to)s IN ('finished', 'cancelled') THEN now() END
 WHERE id = %(id)s AND state = ANY(%(sources)s) AND deleted_at IS NULL RETURNING {_COLUMNS}
"""

_RELATED: Final = """
SELECT k.id FROM campaigns me JOIN campaigns k ON k.id <> me.id
   AND (k.follows = me.id AND k.follows_whom = %(missed)s OR me.follows_whom = %(missed)s
        AND (k.id = me.follows OR k.follows = me.follows AND k.follows_whom = %(missed)s))
 WHERE me.id = %(id)s AND k.application_id = me.application_id ORDER BY k.id
"""

NO_CAMPAIGN: Final = "Broadcast not found"


async def insert(connection: Connection, application_id: UUID, draft: Draft, *, capture: bool = False) -> Campaign:
    """A new draft."""
    names = _values(draft) | {"id": uuid7(), "application": application_id, "capture": capture}
    row = await (await connection.execute(_INSERT, names)).fetchone()
    assert row is not None, "RETURNING gives the row"
    return _campaign(row)


async def rewrite(connection: Connection, known: Campaign, draft: Draft) -> Campaign:
    """A draft with other words. Raises Refused: it is none any more."""
    names = _values(draft) | {"id": known.id, "application": known.application_id}
    row = await (await connection.execute(_UPDATE, names)).fetchone()
    if row is None:
        raise conflict(f"only a draft can be changed, and this broadcast is {known.state}", "Duplicate it.")
    return _campaign(row)


async def find(connection: Connection, application_id: UUID | None, identifier: UUID) -> Campaign | None:
    """A campaign of the application; None: of any."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM campaigns WHERE id = %(id)s AND deleted_at IS NULL"
        " AND (%(application)s::uuid IS NULL OR application_id = %(application)s)",
        {"id": identifier, "application": application_id},
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    found = await tallies.of(connection, [identifier])
    return replace(_campaign(row), tallies=found.get(identifier, {}))


async def get(connection: Connection, application_id: UUID | None, identifier: UUID) -> Campaign:
    """The same. Raises Refused when there is none."""
    found = await find(connection, application_id, identifier)
    if found is None:
        raise not_found(NO_CAMPAIGN)
    return found


async def page(connection: Connection, application_id: UUID | None, window: Window[UUID]) -> Page[Campaign]:
    """Campaigns of an application, newest first; None: of any."""
    return await page_of(connection, [application_id] if application_id else [], window)


async def page_of(connection: Connection, applications: Sequence[UUID], window: Window[UUID]) -> Page[Campaign]:
    """Campaigns of some applications, newest first; none of them named: of all."""
    condition, order, names = newest_first(window)
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM campaigns WHERE {condition} AND deleted_at IS NULL"
        " AND (%(applications)s::uuid[] = '{}' OR application_id = ANY(%(applications)s::uuid[]))"
        f" ORDER BY id {order} LIMIT %(limit)s",
        names | {"applications": arrays.uuids(applications)},
    )
    found = cut([_campaign(row) for row in await cursor.fetchall()], window)
    counted = await tallies.of(connection, [one.id for one in found.entries])
    return found.map(lambda one: replace(one, tallies=counted.get(one.id, {})))


async def in_states(connection: Connection, states: Iterable[CampaignState]) -> list[Campaign]:
    """All in one of these states that can be read, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM campaigns WHERE state = ANY(%s) AND state NOT IN ('draft', 'finished')"
        " AND deleted_at IS NULL ORDER BY id",
        [[state.value for state in states]],
    )
    every = [_campaign(row) for row in await cursor.fetchall()]
    for one in every:
        if one.unreadable:
            _log.error("campaign_unreadable", campaign=str(one.id), error=one.unreadable)
    found = [one for one in every if not one.unreadable]
    counted = await tallies.of(connection, [one.id for one in found]) if found else {}
    return [replace(one, tallies=counted.get(one.id, {})) for one in found]


async def move(
    connection: Connection, known: Campaign, act: Act, reason: str = "", schedule: tuple[datetime | None] | None = None
) -> Campaign:
    """Do `act` to it, whatever it was when it was read. Raises Refused when its state does not allow that."""
    names = {
        "id": known.id, "to": target(act).value, "reason": reason, "sources": sources(act),
        "schedule": schedule is not None, "at": schedule[0] if schedule else None,
    }  # fmt: skip
    row = await (await connection.execute(_MOVE, names)).fetchone()
    if row is None:
        raise await _not_now(connection, known, act)
    return _campaign(row)


async def require(connection: Connection, known: Campaign, act: Act) -> None:
    """Raises Refused when its state does not allow that, for whoever has much to ask first."""
    if known.state.value not in sources(act):
        raise await _not_now(connection, known, act)


async def move_quietly(connection: Connection, known: Campaign, act: Act, reason: str = "") -> bool:
    """The same for whoever only tries: whether it was done."""
    names = {
        "id": known.id, "to": target(act).value, "reason": reason, "sources": sources(act), "schedule": False,
        "at": None,
    }  # fmt: skip
    return await (await connection.execute(_MOVE, names)).fetchone() is not None


async def stop(connection: Connection, known: Campaign, reason: str) -> None:
    """Something is wrong with it: nothing of it leaves until somebody lets it go on."""
    if await move_quietly(connection, known, Act.STOP, reason):
        await halted.halt(connection, known.id, reason)


async def went_on(connection: Connection, identifier: UUID) -> None:
    """Mail of it may leave again that was held: claims that are under way are looked after for a while."""
    await connection.execute("UPDATE campaigns SET updated_at = now() WHERE id = %s", [identifier])


async def is_sending(connection: Connection, application_id: UUID) -> bool:
    """Whether a campaign of the application is."""
    cursor = await connection.execute(
        "SELECT FROM campaigns WHERE application_id = %s AND state = 'sending' LIMIT 1", [application_id]
    )
    return await cursor.fetchone() is not None


async def cancel_all(connection: Connection, application_id: UUID, reason: str) -> None:
    """Nothing leaves any more of any campaign of the application, and none begins, from the caller's commit on."""
    cursor = await connection.execute(
        "UPDATE campaigns SET state = 'cancelled', reason = %s, updated_at = now(), ended_at = now()"
        " WHERE application_id = %s AND state = ANY(%s) AND deleted_at IS NULL RETURNING id",
        [reason, application_id, sources(Act.CANCEL)],
    )
    for (identifier,) in await cursor.fetchall():
        await halted.halt(connection, identifier, reason)


async def put_archive(connection: Connection, identifier: UUID, page: Archive) -> None:
    """Whether it stands on the web, whatever its state."""
    await connection.execute(
        "UPDATE campaigns SET archive = %s WHERE id = %s", [Jsonb(archive.to_json(page)), identifier]
    )


async def on_the_web(connection: Connection, application_id: UUID, before: UUID | None, limit: int) -> list[Campaign]:
    """What the application has sent and shows to everybody, newest first; older than `before`."""
    cursor = await connection.execute(
        f"SELECT {_COLUMNS} FROM campaigns WHERE application_id = %(application)s AND deleted_at IS NULL"
        " AND started_at IS NOT NULL AND archive->>'access' = %(access)s"
        " AND (%(before)s::uuid IS NULL OR id < %(before)s) ORDER BY id DESC LIMIT %(limit)s",
        {"application": application_id, "access": Access.INDEXED.value, "before": before, "limit": limit},
    )
    return [one for row in await cursor.fetchall() if not (one := _campaign(row)).unreadable]


async def refuse_if_followed(connection: Connection, identifier: UUID) -> None:
    """Raises Refused while a campaign that has not begun goes to people of this one."""
    cursor = await connection.execute(
        "SELECT name, id FROM campaigns WHERE follows = %s AND deleted_at IS NULL AND fixed_at IS NULL"
        " AND state <> 'cancelled' LIMIT 1",
        [identifier],
    )
    row = await cursor.fetchone()
    if row is not None:
        raise conflict(f"the broadcast {row[0] or row[1]} goes to people of this one", "Send or delete that one first.")


async def related(connection: Connection, identifier: UUID) -> list[UUID]:
    """Campaigns with the same content for those who missed it: the one that it follows, others that follow that one,
    those that follow it."""
    cursor = await connection.execute(_RELATED, {"id": identifier, "missed": Whom.MISSED.value})
    return [row[0] for row in await cursor.fetchall()]


async def alone_with(connection: Connection, *campaigns: UUID) -> None:
    """Until the end of the transaction nobody is tried again in these, and nobody gets a row in what follows them: the
    two would not see each other's, and somebody would get both mails. Nobody's pause waits for this."""
    for identifier in sorted(campaigns):
        await connection.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('missed ' || %s::text, 0))", [str(identifier)]
        )


async def hold(connection: Connection, identifier: UUID, *states: CampaignState) -> bool:
    """Whether it is in one of these states, and stays so to the end of the transaction."""
    cursor = await connection.execute(
        "SELECT FROM campaigns WHERE id = %s AND state = ANY(%s) AND deleted_at IS NULL FOR UPDATE",
        [identifier, list(states)],
    )
    return await cursor.fetchone() is not None


async def choose(connection: Connection, identifier: UUID, variant: int) -> bool:
    """Let a variant win, unless one has; whether it did."""
    cursor = await connection.execute(
        "UPDATE campaigns SET experiment = jsonb_set(experiment, '{chosen}', to_jsonb(%s::int)) WHERE id = %s"
        " AND experiment->>'chosen' IS NULL",
        [variant, identifier],
    )
    return cursor.rowcount == 1


async def delete(connection: Connection, known: Campaign) -> None:
    """Hide it for good; `forgetting` takes its rows, which may be a million. One that never began goes at once. The
    caller has seen that none is open."""
    await connection.execute(
        "UPDATE campaigns SET deleted_at = CASE WHEN started_at IS NULL THEN '-infinity' ELSE now() END WHERE id = %s",
        [known.id],
    )


async def _not_now(connection: Connection, known: Campaign, act: Act) -> Refused:
    found = await find(connection, known.application_id, known.id)
    if found is None:
        return not_found(NO_CAMPAIGN)
    return conflict(
        f"a broadcast that is {found.state} cannot be {_DONE[act]}", f"That is possible while it is {_list(act)}."
    )


_DONE: Final[Mapping[Act, str]] = {
    Act.SCHEDULE: "scheduled", Act.START: "sent", Act.PAUSE: "paused", Act.STOP: "stopped", Act.RESUME: "resumed",
    Act.FINISH: "finished", Act.CANCEL: "cancelled", Act.UNSCHEDULE: "made a draft again", Act.RETRY: "tried again",
    Act.ASK: "asked about",
}  # fmt: skip


def _list(act: Act) -> str:
    return " or ".join(sources(act))


def _values(draft: Draft) -> dict[str, object]:
    w = draft.words
    return {
        "name": draft.name, "segment_id": draft.segment_id, "topic_id": draft.topic_id, "pool_id": draft.pool_id,
        "sender": w.sender, "subject": w.subject, "preview_text": w.preview_text, "reply_to": list(w.reply_to),
        "html": w.html, "body": w.text, "tags": Jsonb([list(tag) for tag in draft.tags]),
        "open_tracking": draft.open_tracking, "click_tracking": draft.click_tracking,
        "plan": Jsonb(plan.to_json(draft.plan)), "experiment": Jsonb(experiment.to_json(draft.experiment)),
        "utm": Jsonb(utm.to_json(draft.utm)), "archive": Jsonb(archive.to_json(draft.archive)),
        "languages": Jsonb({tag: dict(said) for tag, said in draft.languages.items()}),
        "follows": draft.follow and draft.follow.campaign_id, "follows_whom": draft.follow and draft.follow.whom.value,
        "template_id": draft.template_id,
    }  # fmt: skip


def _campaign(row: Sequence[Any]) -> Campaign:
    """Where this version does not know what is stored, such as the time zone of its plan, it says so, and no other one
    waits with it."""
    stored = dict(zip(_NAMES, row, strict=True))
    try:
        return _read(stored)
    except _STRANGE as error:
        why = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        return replace(_read(stored | _COMPOSED), unreadable=on_one_line(why)[:300])


def _read(stored: Mapping[str, Any]) -> Campaign:
    """Raises one of `_STRANGE`."""
    words = Words(
        stored["sender"], stored["subject"], stored["preview_text"], texts(stored["reply_to"]), stored["html"],
        stored["body"],
    )  # fmt: skip
    planned, follows = plan.from_json(stored["plan"]), stored["follows"]
    return Campaign(
        **{name: stored[name] for name in _AS_STORED},
        state=CampaignState(stored["state"]),
        words=words,
        tags=tuple((name, value) for name, value in stored["tags"]),
        plan=planned,
        experiment=experiment.from_json(stored["experiment"]),
        utm=utm.from_json(stored["utm"]),
        archive=archive.from_json(stored["archive"]),
        languages={tag: dict(said) for tag, said in stored["languages"].items()},
        follow=Follow(follows, Whom(stored["follows_whom"])) if follows else None,
        window_opens_at=planned.waits_until(stored["now"]) if stored["state"] == CampaignState.SENDING else None,
    )
