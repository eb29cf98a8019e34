"""Writing a campaign: whom it goes to, from whom, and how, in a plain form (what it says: `content`). Looking at it as
somebody gets it, and sending it to oneself.

A preview is made by what makes the mail (`campaigns/trying`), and shown as a foreign page: in a frame without scripts.
Links lead nowhere in it, and nothing is loaded from elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import repository as accounts
from accounts.audit import Entry
from accounts.roles import Right
from alarms import seeds
from audience import segments, topics
from campaigns import repository, sources, steering, trying
from campaigns.model import Campaign, Draft, Words
from campaigns.trying import Preview, To
from campaigns.written import written
from console.campaigns import words
from console.campaigns.content import BLOCKS, begun, is_mjml, published
from console.campaigns.door import the_one, values
from console.choosing import chosen_id, picked
from console.editor.previews import of_campaign, some_people, whose_of
from console.frames import framed
from console.guard import ConsoleRoute, largest_form, needs
from console.owners import chosen, options_of, owners
from console.rendering import page
from console.shown import plural
from console.visit import Visit, Visiting
from core.paging import Window
from core.queues import Lane
from core.refusal import Refused, conflict, invalid
from store.database import Connection
from templates import images, service
from templates.model import Template

router = APIRouter(route_class=ConsoleRoute)

_LARGEST: Final = 5 * 1024 * 1024
"""Bytes of a form, as of a body of the API."""
_ASKED: Final = ("as", "language", "variant", "width")
"""What the address of a preview says."""
_SENDERS: Final = 20
"""That are suggested."""
_TRACKING: Final = {"": None, "yes": True, "no": False}


@dataclass(frozen=True, slots=True)
class _Choices:
    """What a form offers."""

    segments: Sequence[tuple[str, str]]
    topics: Sequence[tuple[str, str]]
    templates: Sequence[tuple[str, str]]
    senders: Sequence[str]
    sender: str
    """The one to begin with: the last of the only domain there is."""


@router.get("/campaigns/new")
@needs(Right.CAMPAIGNS_CHANGE)
async def new(visit: Visiting) -> Response:
    """A form for a new draft."""
    return await _form(visit)


@router.post("/campaigns")
@needs(Right.CAMPAIGNS_CHANGE)
@largest_form(_LARGEST)
async def create(visit: Visiting) -> Response:
    """Makes a draft."""
    try:
        async with visit.given.database.transaction() as connection:
            owner = await _owner(connection, visit)
            draft = await _draft(connection, visit, owner, Draft(Words("")))
            made = await steering.create(connection, owner, draft)
            source = await _begin(connection, visit, made)
            await visit.note(connection, Entry("campaign.create", str(made.id), None, values(made), owner))
    except Refused as error:
        return await _form(visit, error=error)
    if source is not None:
        return visit.go(f"/templates/{source.id}/edit", "Saved as a draft. Write here what it says.")
    return visit.go(f"/campaigns/{made.id}/preview", "Saved as a draft. This is how it looks.")


@router.get("/campaigns/{campaign_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
async def edit(visit: Visiting, campaign_id: UUID) -> Response:
    """The same form for a draft that is there."""
    async with visit.given.database.connection() as connection:
        found = await the_one(connection, visit, campaign_id)
    return await _form(visit, found)


@router.post("/campaigns/{campaign_id}/edit")
@needs(Right.CAMPAIGNS_CHANGE)
@largest_form(_LARGEST)
async def save(visit: Visiting, campaign_id: UUID) -> Response:
    """Writes a draft anew."""
    async with visit.given.database.connection() as connection:
        known = await the_one(connection, visit, campaign_id)
    try:
        async with visit.given.database.transaction() as connection:
            draft = await _draft(connection, visit, known.application_id, steering.draft_of(known))
            now = await steering.update(connection, known, draft)
            source = await _begin(connection, visit, now)
            changed = Entry("campaign.update", str(known.id), values(known), values(now), known.application_id)
            await visit.note(connection, changed)
    except Refused as error:
        return await _form(visit, known, error)
    if source is not None:
        return visit.go(f"/templates/{source.id}/edit", "Saved. Write here what it says.")
    return visit.go(f"/campaigns/{known.id}/preview", "Saved. This is how it looks.")


@router.get("/campaigns/{campaign_id}/preview")
@needs(Right.MAIL_CONTENT)
async def preview(visit: Visiting, campaign_id: UUID) -> Response:
    """The mail as somebody gets it."""
    return await _preview(visit, campaign_id)


@router.get("/campaigns/{campaign_id}/frame")
@needs(Right.MAIL_CONTENT)
async def frame(visit: Visiting, campaign_id: UUID) -> Response:
    """Its HTML, for the frame that it is shown in."""
    async with visit.given.database.connection() as connection:
        found = await the_one(connection, visit, campaign_id)
        made = await of_campaign(connection, visit, found)
    return framed(made.html or "", images.below(visit.given.settings.public_url))


@router.post("/campaigns/{campaign_id}/test")
@needs(Right.CAMPAIGNS_CHANGE)
async def send_test(visit: Visiting, campaign_id: UUID) -> Response:
    """To some addresses and seed accounts, as this person would get it."""
    to = visit.field("to").replace(",", " ").split()
    try:
        async with visit.given.database.transaction() as connection:
            found = await the_one(connection, visit, campaign_id)
            whose = await whose_of(connection, visit, found)
            simulated = visit.given.settings.sandbox_domain
            wanted = To(to, bool(visit.field("seeds")))
            mails = await trying.send_all(connection, found, wanted, simulated, whose)
            after = {"mails": [str(mail.id) for mail in mails]}
            await visit.note(connection, Entry("campaign.test", str(found.id), None, after, found.application_id))
    except Refused as error:
        return await _preview(visit, campaign_id, error)
    return visit.go(f"/messages/{mails[0].id}", f"{plural(len(mails), 'test mail')} on the way.")


async def _preview(visit: Visit, campaign_id: UUID, error: Refused | None = None) -> Response:
    made: Preview | None = None
    async with visit.given.database.connection() as connection:
        found = await the_one(connection, visit, campaign_id)
        people = await some_people(connection, visit, found.application_id)
        probed = len(await seeds.active(connection, Lane.MARKETING))
        try:
            made = await of_campaign(connection, visit, found)
        except Refused as refusal:
            error = error or refusal
    asked = {name: visit.asked(name) for name in _ASKED}
    asked["as"] = made.person if made else asked["as"]
    return page(
        visit, "campaigns/preview.html", 200 if error is None else 422, one=found, made=made, words=words,
        error=error, asked=asked, seeds=probed, people=people,
    )  # fmt: skip


async def _form(visit: Visit, found: Campaign | None = None, error: Refused | None = None) -> Response:
    if found is not None and found.state.value != "draft":
        raise conflict(f"only a draft can be changed, and this campaign is {found.state}", "Duplicate it.")
    async with visit.given.database.connection() as connection:
        mine = await chosen(connection, visit)
        choices = await _choices(connection, found.application_id if found else mine.chosen)
        source = await sources.of(connection, found) if found else None
    given = _given(visit) if visit.form else _known(found)
    if found is None and not visit.form:
        given |= {"from": choices.sender}
    return page(
        visit, "campaigns/edit.html", 200 if error is None else 422, one=found, given=given, choices=choices,
        owners=mine.options, owner=str(mine.chosen), error=error, words=words, source=source,
    )  # fmt: skip


async def _owner(connection: Connection, visit: Visit) -> UUID:
    """Whose it will be. Raises Refused."""
    options = options_of(await owners(connection, visit))
    return UUID(picked(options, visit.field("application"), "application"))


async def _choices(connection: Connection, application_id: UUID) -> _Choices:
    lists = await segments.page(connection, application_id, Window(segments.MOST))
    kinds = [one for one in await topics.every(connection, application_id) if one.lane is Lane.MARKETING]
    made = await published(connection, application_id)
    domains = await accounts.domains(connection, application_id)
    earlier = await repository.page(connection, application_id, Window(20))
    senders = [one.words.sender for one in earlier.entries] + [f"news@{one.name}" for one in domains.entries]
    senders = list(dict.fromkeys(one for one in senders if one))
    return _Choices(
        [(str(one.id), one.name) for one in lists.entries],
        [(str(one.id), one.name) for one in kinds],
        made,
        senders[:_SENDERS],
        senders[0] if len(domains.entries) == 1 else "",
    )


_FIELDS: Final = (
    "name", "from", "reply_to", "subject", "preview_text", "segment_id", "topic_id", "template", "html", "text",
    "open_tracking", "click_tracking", "per_hour",
)  # fmt: skip


def _given(visit: Visit) -> dict[str, str]:
    return {name: _text(visit, name) for name in _FIELDS}


def _text(visit: Visit, name: str) -> str:
    """A field as it was typed: what stands at the ends of a content is part of it."""
    return (visit.form.get(name) or ("",))[0] if name in ("html", "text") else visit.field(name)


def _known(found: Campaign | None) -> dict[str, str]:
    if found is None:
        return dict.fromkeys(_FIELDS, "")
    said = found.words
    switch = {None: "", True: "yes", False: "no"}
    return {
        "name": found.name, "from": said.sender, "reply_to": ", ".join(said.reply_to), "subject": said.subject,
        "preview_text": said.preview_text, "segment_id": str(found.segment_id or ""),
        "topic_id": str(found.topic_id or ""), "template": "", "html": said.html or "", "text": said.text or "",
        "open_tracking": switch[found.open_tracking], "click_tracking": switch[found.click_tracking],
        "per_hour": str(found.plan.per_hour or ""),
    }  # fmt: skip


async def _draft(connection: Connection, visit: Visit, owner: UUID, known: Draft) -> Draft:
    """The draft as the form has it; what the form does not show stays. Raises Refused."""
    given = await _meant(connection, visit, owner)
    html, text = _lines(given["html"]) or None, _lines(given["text"]) or None
    if "html" not in visit.form:  # it is written in the editor
        html, text = known.words.html, known.words.text
    said = Words(
        given["from"], given["subject"], given["preview_text"], _addresses(given["reply_to"]),
        None if is_mjml(html or "") else html, text,
    )  # fmt: skip
    is_new = (said.html, said.text) != (known.words.html, known.words.text)
    draft = replace(
        known, words=said, template_id=None if is_new else known.template_id, name=given["name"],
        topic_id=_id("topic_id", given["topic_id"]),
        segment_id=known.segment_id if known.follow else _id("segment_id", given["segment_id"]),
        open_tracking=_TRACKING.get(given["open_tracking"]), click_tracking=_TRACKING.get(given["click_tracking"]),
        plan=replace(known.plan, per_hour=_per_hour(given["per_hour"])),
    )  # fmt: skip
    if given["template"] in ("", BLOCKS):
        return draft
    return await _templated(connection, owner, draft, given["template"])


async def _meant(connection: Connection, visit: Visit, owner: UUID) -> dict[str, str]:
    """The form with the ids of what was named in it. Raises Refused."""
    kinds = {"segment_id": "Segment", "topic_id": "Topic", "template": "Template"}
    found = {
        name: await chosen_id(connection, visit, name, kind, owner)
        for name, kind in kinds.items()
        if visit.field(name) != BLOCKS
    }
    return _given(visit) | found


async def _begin(connection: Connection, visit: Visit, known: Campaign) -> Template | None:
    """What it is written from, where the form says another beginning: blocks, a template, MJML. Raises Refused."""
    given = await _meant(connection, visit, known.application_id)
    if given["template"] or is_mjml(given["html"]):
        return await begun(connection, known, given["template"], _lines(given["html"]))
    return None


async def _templated(connection: Connection, owner: UUID, draft: Draft, template: str) -> Draft:
    """The words of a published template, in all its languages, in the place of what stood there."""
    made = written(await service.published(connection, owner, template))
    said = replace(
        draft.words, subject=draft.words.subject or made.subject, html=made.html, text=made.text,
        reply_to=draft.words.reply_to or made.reply_to,
    )  # fmt: skip
    return replace(draft, words=said, languages=made.languages, template_id=made.template_id)


def _lines(text: str) -> str:
    """Browsers send a form's lines with two signs at their ends."""
    return text.replace("\r\n", "\n")


def _addresses(text: str) -> tuple[str, ...]:
    return tuple(one.strip() for one in text.split(",") if one.strip())


def _id(name: str, text: str) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        raise invalid(name, "choose one of the list") from None


def _per_hour(text: str) -> int | None:
    digits = text.replace(",", "").replace(" ", "")
    if not digits:
        return None
    if not (digits.isascii() and digits.isdigit() and len(digits) < 10 and int(digits)):
        raise invalid("per_hour", "it must be a whole number of mails an hour")
    return int(digits)
