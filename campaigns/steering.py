"""What people do to campaigns: write them, start, schedule, pause and cancel them, try again what failed.

The one door for the API and the command line. Every function works in the caller's transaction, never commits, and
raises Refused for what cannot be. What follows from it is done in the background (`campaigns/work`), within a second.
"""

import asyncio
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from psycopg.types.json import Jsonb

from audience import properties, segments, topics
from campaigns import contents, feed, repository, retrying, showing, sources, speaking, tallies, windows
from campaigns.archive import Archive
from campaigns.checking import audience, wording
from campaigns.experiment import Winner
from campaigns.following import Follow, Whom, repeated
from campaigns.model import MAX_NAME, Campaign, Draft, Words
from campaigns.states import OPEN, Act, CampaignState
from campaigns.watching import forgiven
from core.addresses import AddressError, parse_mailbox
from core.queues import Lane
from core.refusal import Refused, conflict, invalid, not_found
from messages import halted
from store.database import Connection
from templates import service
from templates.model import Template

NOBODY_CAN_HAVE: Final = "unknown_variables"
"""Code of the refusal of a placeholder that no contact can fill."""
_MOST_NAMED: Final = 10
_WITHOUT_SEGMENT: Final = invalid(
    "segment_id", "a broadcast needs a segment: whom it goes to", "missing_required_field"
)


@dataclass(frozen=True, slots=True)
class Retried:
    """How many people are tried again."""

    campaign: Campaign
    people: int


async def create(connection: Connection, application_id: UUID, draft: Draft, *, capture: bool = False) -> Campaign:
    """A new draft; what is missing may come later."""
    await _check(connection, application_id, draft, capture=capture)
    return await repository.insert(connection, application_id, draft, capture=capture)


async def update(connection: Connection, known: Campaign, draft: Draft) -> Campaign:
    """A draft, written anew; what the new one leaves as `known` had it stays as it is now, whoever changed it since."""
    before, known = draft_of(known), await _as_it_is(connection, known)
    _refuse_if_unreadable(known)
    if known.state is not CampaignState.DRAFT:
        raise conflict(f"only a draft can be changed, and this broadcast is {known.state}", "Duplicate it.")
    if known.follow is not None and draft.segment_id != known.segment_id:
        raise invalid("segment_id", "it goes to people of an earlier broadcast, and to nobody else")
    draft = _changed(before, draft, draft_of(known))
    await _check(connection, known.application_id, draft, capture=known.capture)
    return await repository.rewrite(connection, known, draft)


def _changed(before: Draft, wanted: Draft, now: Draft) -> Draft:
    """What stands now, with what somebody changed who had read it as it was before."""
    words = replace(now.words, **_differing(before.words, wanted.words))
    return replace(now, **(_differing(before, wanted) | {"words": words}))


def _differing(before: Draft | Words, wanted: Draft | Words) -> dict[str, Any]:
    names = (one.name for one in fields(wanted))
    return {name: getattr(wanted, name) for name in names if getattr(wanted, name) != getattr(before, name)}


async def may_follow(connection: Connection, source: Template) -> None:
    """Raises Refused when the campaign's words were written elsewhere since: they are not overwritten."""
    assert source.campaign_id is not None, "it belongs to a campaign"
    known = await repository.get(connection, source.application_id, source.campaign_id)
    if known.state is CampaignState.DRAFT and await sources.of(connection, known) is None:
        raise conflict(
            "the words of this campaign were changed elsewhere, through the API or a form",
            hint="Open its content and choose what to begin with.",
            code="changed_elsewhere",
        )


async def follow(connection: Connection, source: Template) -> None:
    """The draft that is written from a template says what the template says. Raises Refused: it has begun."""
    assert source.campaign_id is not None, "it belongs to a campaign"
    known = await repository.get(connection, source.application_id, source.campaign_id)
    said = await sources.words_of(connection, source)
    draft = draft_of(known)
    words = replace(draft.words, html=said.html, text=said.text)
    await update(connection, known, replace(draft, words=words, languages=said.languages))


async def start(connection: Connection, known: Campaign, *, pages: bool = True) -> Campaign:
    """Send it now. Its words are fixed here, its audience a moment later. `pages`: there are public pages, through
    which opens and clicks come."""
    known = await _as_it_is(connection, known)
    await _fix_words(connection, known, pages)
    await _refuse_if_nobody_has(connection, known)
    return await repository.move(connection, known, Act.START)


async def schedule(
    connection: Connection, known: Campaign, at: datetime | None, now: datetime, *, pages: bool = True
) -> Campaign:
    """Send it at an instant, or at the local time that its plan has (`at` is None then). `pages` as in `start`."""
    known = await _as_it_is(connection, known)
    if at is None and known.plan.local is None:
        raise invalid("scheduled_at", "it needs an instant, or a local time in its plan")
    begins = known.plan.begins(at)
    if begins is not None and begins < now:
        raise invalid("scheduled_at", "it lies in the past" + (" where the day begins first" if at is None else ""))
    await _fix_words(connection, known, pages)
    return await repository.move(connection, known, Act.SCHEDULE, schedule=(at,))


async def repeat(connection: Connection, known: Campaign, at: datetime, name: str, *, pages: bool = True) -> Campaign:
    """A copy of it that begins at an instant which has just come; how late it may begin its plan says."""
    made = await duplicate(connection, known, name)
    await _fix_words(connection, made, pages)
    return await repository.move(connection, made, Act.SCHEDULE, schedule=(at,))


async def pause(connection: Connection, known: Campaign) -> Campaign:
    """Nothing of it leaves from the commit on, but for what is on the wire."""
    moved = await repository.move(connection, known, Act.PAUSE)
    await halted.halt(connection, known.id, "paused")
    return moved


async def resume(connection: Connection, known: Campaign) -> Campaign:
    """It goes on where it was; what was held is due at once. One that was stopped is judged anew from here on."""
    _refuse_if_unreadable(known)
    if known.topic_id is not None and await topics.find(connection, known.application_id, known.topic_id) is None:
        raise conflict(feed.NO_TOPIC, "Duplicate it, and give it another one.")
    moved = await repository.move(connection, known, Act.RESUME)
    if known.state is CampaignState.STOPPED:
        await tallies.add(connection, {(known.id, name): n for name, n in forgiven(known.tallies).items()})
    await halted.let_go(connection, known.id)
    await windows.shut(connection, moved)
    return moved


async def cancel(connection: Connection, known: Campaign) -> Campaign:
    """One that is scheduled is a draft again, as in Resend. Of one that has begun nothing leaves any more, and whoever
    has no mail yet gets none: their rows end in the background."""
    if known.state is CampaignState.SCHEDULED:
        return await repository.move(connection, known, Act.UNSCHEDULE, schedule=(None,))
    moved = await repository.move(connection, known, Act.CANCEL)
    await halted.halt(connection, known.id, "cancelled")
    return moved


async def retry(connection: Connection, known: Campaign) -> Retried:
    """Try again those whose mail could not be made, whose time ran out, or whose server refused it for no fault of
    theirs. Not those who may not get it."""
    _refuse_if_unreadable(known)
    moved = await repository.move(connection, known, Act.RETRY)
    counted = await tallies.of(connection, [known.id])
    people = retrying.people(counted.get(known.id, {})) - await retrying.elsewhere(connection, known.id)
    if not people:
        raise conflict("there is nobody to try again", "Only failed and expired mail, and what was refused for now.")
    await retrying.ask(connection, known.id)
    return Retried(moved, people)


async def choose(connection: Connection, known: Campaign, variant: int) -> None:
    """Let a variant win: those who wait for the winner get it."""
    if known.state not in (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.STOPPED):
        raise conflict(f"a broadcast that is {known.state} has nobody who waits for a winner")
    if not 0 <= variant < known.experiment.arms:
        raise invalid("variant", f"there are the variants 0 to {known.experiment.arms - 1}")
    if not known.experiment.waits or not await repository.choose(connection, known.id, variant):
        raise conflict("nobody waits for a winner", "One has won, or everybody is in the test.")


async def duplicate(connection: Connection, known: Campaign, name: str | None = None) -> Campaign:
    """A new draft with the same words."""
    copied = (name if name is not None else f"{known.name} (copy)" if known.name else "")[:MAX_NAME]
    draft = replace(draft_of(known), name=copied)
    made = await repository.insert(connection, known.application_id, draft, capture=known.capture)
    await sources.copy(connection, known, made)
    return made


async def again(connection: Connection, known: Campaign, whom: Whom, name: str | None = None) -> Campaign:
    """A new draft of the same content, that goes to those who did not get this one, or did not open it, and to nobody
    else: whoever that is when it begins."""
    if known.started_at is None:
        raise conflict(f"this broadcast is {known.state}: nobody has missed it yet", "Send it first.")
    if whom is Whom.UNOPENED and not await _is_tracked(connection, known, "open_tracking"):
        raise conflict(
            "its opens were not tracked: nobody knows who did not open it",
            "Only a broadcast with `open_tracking`, its own or of the sender's domain, can say.",
            "opens_not_tracked",
        )
    words, when, tested = repeated(known.words, known.plan, known.experiment)
    called = (name if name is not None else f"{known.name} ({whom})" if known.name else "")[:MAX_NAME]
    draft = replace(
        draft_of(known), words=words, name=called, plan=when, experiment=tested, follow=Follow(known.id, whom)
    )
    made = await repository.insert(connection, known.application_id, draft, capture=known.capture)
    await sources.copy(connection, known, made)
    return made


async def _is_tracked(connection: Connection, known: Campaign, switch: str) -> bool:
    """Whether its `open_tracking` or `click_tracking` is on: its own, else that of the sender's domain."""
    own: bool | None = getattr(known, switch)
    if own is not None:
        return own
    cursor = await connection.execute(
        f"SELECT {switch} FROM domains WHERE application_id = %s AND name = %s",
        [known.application_id, _mailbox("from", known.words.sender)],
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def put_on_web(connection: Connection, known: Campaign, page: Archive) -> Campaign:
    """Switch its page on the web on or off, whatever its state. Raises Refused: it cannot be shown without a person."""
    known = await _as_it_is(connection, known)
    if known.state is not CampaignState.DRAFT:
        await _check_page(connection, replace(known, archive=page))
    await repository.put_archive(connection, known.id, page)
    return replace(known, archive=page)


async def remove(connection: Connection, known: Campaign) -> None:
    """Drafts and scheduled ones; also what has ended, with its report. Not while a segment asks who got it. Nobody sees
    it any more; its rows are kept for some days, for they count for how much mail each person had."""
    await segments.refuse_if_asked(connection, known.application_id, known.id, "got this broadcast")
    await _refuse_if_repeated(connection, known)
    await repository.refuse_if_followed(connection, known.id)
    allowed = (CampaignState.DRAFT, CampaignState.SCHEDULED, CampaignState.FINISHED, CampaignState.CANCELLED)
    if not await repository.hold(connection, known.id, *allowed):
        raise conflict(f"a broadcast that is {known.state} cannot be deleted", "Cancel it first.")
    open_rows = await tallies.of(connection, [known.id])
    if any(open_rows.get(known.id, {}).get(state, 0) for state in OPEN):
        raise conflict("some of its mail has not ended yet", "Ask again in a moment.")
    await repository.delete(connection, known)
    await service.forget_campaign(connection, known.id)


async def _refuse_if_repeated(connection: Connection, known: Campaign) -> None:
    cursor = await connection.execute(
        "SELECT a.name FROM automations a JOIN automation_versions v ON v.id = a.version_id WHERE a.application_id = %s"
        " AND a.state = 'enabled' AND v.steps @> %s LIMIT 1",
        [known.application_id, Jsonb([{"config": {"broadcast_id": str(known.id)}}])],
    )
    row = await cursor.fetchone()
    if row is not None:
        raise conflict(f"the automation {row[0]!r} repeats it", "Disable that one first.")


def draft_of(known: Campaign) -> Draft:
    """What was written in it. Raises Refused: this version cannot read it."""
    _refuse_if_unreadable(known)
    return Draft(
        known.words, known.name, known.segment_id, known.topic_id, known.pool_id, known.tags, known.open_tracking,
        known.click_tracking, known.plan, replace(known.experiment, chosen=None), known.utm,
        known.archive, known.languages, known.follow, known.template_id,
    )  # fmt: skip


def _refuse_if_unreadable(known: Campaign) -> None:
    if known.unreadable:
        raise conflict(
            f"this version of Postlane cannot read the broadcast: {known.unreadable}",
            "Use the version that wrote it, or cancel and delete it and write it anew.",
            code="unreadable",
        )


async def _check(connection: Connection, application_id: UUID, draft: Draft, *, capture: bool) -> None:
    if len(draft.name) > MAX_NAME or "\0" in draft.name:
        raise invalid("name", f"it must have at most {MAX_NAME} characters, and no NUL")
    if draft.follow is not None:
        await repository.get(connection, application_id, draft.follow.campaign_id)
    elif draft.segment_id is not None:
        await _segment(connection, application_id, draft.segment_id)
    if draft.topic_id is not None:
        await _topic(connection, application_id, draft.topic_id)
    await _sender(connection, application_id, draft.words.sender, capture=capture)
    for text in draft.words.reply_to:
        _mailbox("reply_to", text)
    if draft.experiment.waits and draft.plan.local is not None:
        raise invalid("experiment", "who waits for the winner has no local time: let everybody be in the test")
    for words in draft.experiment.words(draft.words):
        if words.sender != draft.words.sender:
            same = _mailbox("experiment.variants", words.sender) == _mailbox("from", draft.words.sender)
            if not same:
                raise invalid("experiment.variants", "another sender has to be of the same domain")
    speaking.check(draft)


async def _as_it_is(connection: Connection, known: Campaign) -> Campaign:
    """As it stands, and stays to the end of the transaction: what is sent is what was written last."""
    await repository.hold(connection, known.id, *CampaignState)
    return await repository.get(connection, known.application_id, known.id)


async def _fix_words(connection: Connection, known: Campaign, pages: bool) -> None:
    """Everything that a start needs, and the words as they are now."""
    for obstacle in await obstacles(connection, known, pages=pages):
        raise obstacle
    if known.topic_id is None:
        topic = await topics.default_of(connection, known.application_id)
        await connection.execute("UPDATE campaigns SET topic_id = %s WHERE id = %s", [topic, known.id])
    await contents.write(connection, known.id, await asyncio.to_thread(speaking.sent, known))


async def obstacles(connection: Connection, known: Campaign, *, pages: bool = True) -> list[Refused]:
    """All that forbids a start, the first of which it is refused with."""
    nobody = known.segment_id is None and known.follow is None
    found = [_WITHOUT_SEGMENT] if nobody else []
    found += await asyncio.to_thread(speaking.obstacles, known)
    found += await _unfillable(connection, known)
    try:
        await _check(connection, known.application_id, draft_of(known), capture=known.capture)
        await _check_page(connection, known)
        await _refuse_blind_winner(connection, known, pages)
    except Refused as error:
        found.append(error)
    return found


async def _unfillable(connection: Connection, known: Campaign) -> list[Refused]:
    """A placeholder that nobody can fill fails for everybody: that is no campaign."""
    wanted = await _placeholders(connection, known)
    if not wanted.unknown:
        return []
    names = ", ".join(f"`{name}`" for name in wanted.unknown[:_MOST_NAMED])
    told = (
        "Mend the name, define the contact property, or say what stands there instead:"
        f" {{{{{{contact.{wanted.unknown[0]}|there}}}}}}."
    )
    return [Refused("invalid", f"nobody has {names}: no mail can be made", hint=told, code=NOBODY_CAN_HAVE)]


async def _refuse_if_nobody_has(connection: Connection, known: Campaign) -> None:
    """Raises Refused for a placeholder that somebody could fill and nobody of its audience does: all would fail. Where
    that takes too long to ask it begins, and its end says why nobody got it."""
    wanted = (await _placeholders(connection, known)).of_people
    lacked = await audience.lacked_by_all(connection, known, wanted) if wanted else ()
    if lacked:
        told = f"Say what stands there instead, {{{{{{contact.{lacked[0]}|there}}}}}}, or give somebody a value."
        reason = f"nobody of its audience has a `{lacked[0]}`: no mail can be made"
        raise Refused("invalid", reason, hint=told, code="missing_variables")


async def _placeholders(connection: Connection, known: Campaign) -> audience.Variables:
    every = await asyncio.to_thread(speaking.every, known)
    required = await asyncio.to_thread(wording.required, list(every.values()))
    return await audience.variables(connection, known, required)


async def _refuse_blind_winner(connection: Connection, known: Campaign, pages: bool) -> None:
    """The first variant would win, whatever people do."""
    decides = known.experiment.winner
    switch = {Winner.OPENS: "open_tracking", Winner.CLICKS: "click_tracking"}.get(decides)
    if known.experiment.waits and switch and not pages:
        raise Refused(
            "invalid",
            f"there are no public pages, so no {decides} are seen: nobody would know which variant won",
            "experiment.winner",
            "Serve the public pages and set POSTLANE_PUBLIC_URL; or choose yourself: `winner` is `hand` then.",
            "no_public_pages",
        )
    if known.experiment.waits and switch and not await _is_tracked(connection, known, switch):
        raise Refused(
            "invalid",
            f"its {decides} are not tracked: nobody would know which variant won",
            "experiment.winner",
            f"Switch `{switch}` on, for it or for the sender's domain; or choose yourself: `winner` is `hand` then.",
            f"{decides}_not_tracked",
        )


async def _check_page(connection: Connection, known: Campaign) -> None:
    """What it says can be said on the web, to nobody in person."""
    if known.archive.is_on:
        definitions = await properties.known(connection, known.application_id)
        for words in (await asyncio.to_thread(speaking.every, known)).values():
            await asyncio.to_thread(showing.check, words, definitions)


async def _segment(connection: Connection, application_id: UUID, segment_id: UUID) -> None:
    cursor = await connection.execute(
        "SELECT FROM segments WHERE id = %s AND application_id = %s AND deleted_at IS NULL",
        [segment_id, application_id],
    )
    if await cursor.fetchone() is None:
        raise not_found("Segment not found")


async def _topic(connection: Connection, application_id: UUID, topic_id: UUID) -> None:
    found = await topics.find(connection, application_id, topic_id)
    if found is None:
        raise not_found("Topic not found")
    if found.lane is not Lane.MARKETING:
        raise invalid("topic_id", "a broadcast is marketing mail, and this topic is transactional: always on")


async def _sender(connection: Connection, application_id: UUID, sender: str, *, capture: bool) -> None:
    domain = _mailbox("from", sender)
    cursor = await connection.execute(
        "SELECT status FROM domains WHERE application_id = %s AND name = %s", [application_id, domain]
    )
    row = await cursor.fetchone()
    if row is None:
        raise invalid("from", f"the domain {domain} is not one of yours", code="invalid_from_address")
    if row[0] != "verified" and not capture:
        raise invalid("from", f"the domain {domain} is not verified: its status is {row[0]}", "invalid_from_address")


def _mailbox(field: str, text: str) -> str:
    try:
        return parse_mailbox(text).domain
    except AddressError as error:
        raise invalid(field, error.reason) from None
