"""What the content of a campaign is written from: a template that belongs to the campaign alone, and is in no list.

Blocks, MJML and a history to undo are a template's; a campaign holds what they became. A campaign whose words were
written elsewhere since (by the API, in a form) has no such source any more: another text than its template's is not
overwritten. Every function works on the caller's connection and never commits.
"""

from campaigns.model import Campaign
from campaigns.written import Written, written
from store.database import Connection
from templates import service
from templates.build import Kind, Source
from templates.editing import MAX_NAME
from templates.model import DEFAULT, Edit, LanguageEdit, Template, Writing


async def of(connection: Connection, known: Campaign) -> Template | None:
    """The template that it is written from; None when it says something else by now, or was never written so."""
    found = await service.of_campaign(connection, known.id)
    if found is None:
        return None
    made = await words_of(connection, found)
    return found if (known.words.html, known.words.text) == (made.html, made.text) else None


async def words_of(connection: Connection, source: Template) -> Written:
    """What a campaign says that is written from it."""
    _, version = await service.get(connection, source.application_id, str(source.id))
    return written(version)


async def begin(connection: Connection, known: Campaign, writing: Writing) -> Template:
    """Another beginning: what it was written from before is gone. Raises Refused."""
    await service.forget_campaign(connection, known.id)
    languages = {tag: _content(one) for tag, one in writing.sources.items() if tag != DEFAULT}
    edit = Edit(
        name=_name(known), sender="", variables=writing.variables, content=_content(writing.sources[DEFAULT]),
        layout=str(writing.layout_id) if writing.layout_id else None, languages=languages,
    )  # fmt: skip
    return await service.create(connection, known.application_id, edit, campaign_id=known.id)


async def copy(connection: Connection, known: Campaign, made: Campaign) -> None:
    """The source of a campaign for a copy of it."""
    found = await of(connection, known)
    if found is not None:
        _, version = await service.get(connection, found.application_id, str(found.id))
        await begin(connection, made, version.writing)


def as_it_stands(known: Campaign) -> Writing:
    """The words that it has, as HTML."""
    languages = {
        tag: Source(Kind.HTML, said["html"], said.get("subject", ""), said.get("text"))
        for tag, said in known.languages.items()
        if said.get("html")
    }
    return Writing({DEFAULT: Source(Kind.HTML, known.words.html or "", "", known.words.text), **languages})


def _content(source: Source) -> LanguageEdit:
    return LanguageEdit((source.kind, source.body), source.subject, source.text)


def _name(known: Campaign) -> str:
    text = known.name or known.words.subject
    return "".join(sign for sign in text if sign.isprintable()).strip()[:MAX_NAME] or "A campaign"
