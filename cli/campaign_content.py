"""`postlane campaigns preview|archive`, and what `create` says of content: templates, tags of links. Registered by
`cli/commands/campaigns`."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

import typer

from audience import contacts
from campaigns import repository, steering, trying, utm
from campaigns.archive import Access, switched
from campaigns.model import Campaign, Draft, Words
from campaigns.trying import Whose
from campaigns.utm import Utm
from campaigns.written import written
from cli import context
from cli.application import ApplicationOption, chosen
from cli.ids import Candidate, the_one
from cli.output import CliError, JsonOption, print_json, say, tell, visible, wants_json
from cli.sessions import with_database
from core.paging import Window
from store.database import Connection, Database
from templates import service
from web.faces.broadcasts import broadcast_answer, preview_face

CampaignArgument = Annotated[
    str, typer.Argument(metavar="CAMPAIGN", help="Its name, its id, or the beginning of that.")
]
MOST = 1000
"""Campaigns, segments or topics among which one is named."""


def preview(
    campaign: CampaignArgument,
    language: Annotated[str, typer.Option("--language", help="In which: de.")] = "",
    variant: Annotated[
        int | None, typer.Option("--variant", help="Which; by default the one that won, else 0.")
    ] = None,
    whom: Annotated[
        str,
        typer.Option("--as", "--contact", help="As this contact gets it: address or id; else somebody of its segment."),
    ] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """What somebody gets, without sending it: the subject, and the text or the HTML.

    Example: postlane campaigns preview Spring --as ann@one.example --language de
    """

    async def work(database: Database) -> tuple[dict[str, object], str]:
        async with database.connection() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            if whom:
                contact = (await contacts.get(connection, known.application_id, contacts.named(whom))).id
                made = await trying.preview(connection, known, Whose(contact, language or None, variant))
            else:
                made = await trying.preview_for_somebody(connection, known, Whose(None, language or None, variant))
            return preview_face(known, made), made.person

    face, person = with_database(work)
    if wants_json(as_json):
        print_json(face)
        return
    say(f"As {visible(person) or 'somebody of whom nothing is known'} gets it:", style="dim")
    say(visible(str(face["subject"])), style="bold")
    say(visible(str(face["text"] or face["html"])))


def put_on_web(
    campaign: CampaignArgument,
    access: Annotated[Access, typer.Argument(help="off, link (for whoever has the address) or indexed.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Put it on the web without anybody's data, or take it off, also after it was sent.

    Example: postlane campaigns archive Spring link
    """
    page = switched(access, context.settings().public_url)

    async def work(database: Database) -> Campaign:
        async with database.transaction() as connection:
            known = await repository.get(connection, None, await named(connection, campaign, application))
            return await steering.put_on_web(connection, known, page)

    found = with_database(work)
    if wants_json(as_json):
        print_json(broadcast_answer(found))
        return
    tell(found.archive.url(found.id) or f"{found.name or found.id} is not on the web.")
    if everything := found.archive.list_url(found.application_id):
        tell(f"Everybody finds it in the list, once it was sent: {everything}")


async def named(connection: Connection, text: str, application: str) -> UUID:
    owner = await chosen(connection, application)
    found = (await repository.page(connection, owner.id, Window(MOST))).entries
    candidates = [Candidate(one.id, one.name, f"{one.state} {one.words.subject}") for one in found]
    return the_one(text, "campaign", candidates, "postlane campaigns list")


def tags_of(given: list[str]) -> Utm:
    """`TAG=VALUE`, each."""
    return utm.from_json(dict(_pair(one) for one in given))


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise CliError("invalid", f"--utm {text[:60]}: it must be TAG=VALUE, such as source=newsletter.")
    return name, value


async def templated(connection: Connection, application_id: UUID, draft: Draft, template: str) -> Draft:
    """The draft with the words of the template, where it does not say them itself."""
    if not template and not draft.words.sender:
        raise CliError("invalid", "Say --from, the sender; or --template of one that has a sender.")
    if not template:
        return draft
    if draft.words.html or draft.words.text:
        raise CliError("invalid", "--template goes without --html and --text.")
    said = written(await service.published(connection, application_id, template))
    words = Words(
        draft.words.sender or said.sender, draft.words.subject or said.subject, draft.words.preview_text, said.reply_to,
        said.html, said.text,
    )  # fmt: skip
    if not words.sender:
        raise CliError("invalid", f"The template {template} has no sender: say --from.")
    return replace(draft, words=words, languages=said.languages, template_id=said.template_id)
