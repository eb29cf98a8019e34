"""`postlane templates`: what mail is written from. A file's ending says what it is: .html, .mjml, .json for blocks.

Works on the database directly, with the functions the API uses. A template is named by its name, its alias, its id or
the beginning of that.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import typer

from campaigns import trying_templates
from campaigns.trying import To
from campaigns.trying_templates import Wanted
from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_raw, print_table, tell, wants_json
from cli.sessions import with_database
from core.paging import Window
from core.refusal import Refused
from messages.model import NewEmail
from messages.previewing import Preview, preview
from store.database import Connection, Database
from templates import service
from templates.build import Kind
from templates.limits import MAX_SOURCE
from templates.model import (
    DEFAULT,
    UNSAID,
    Body,
    Change,
    Edit,
    LanguageEdit,
    Template,
    Unsaid,
    Variable,
    VariableType,
    Version,
)
from templates.versions import Listed
from web.faces.references import deleted, reference
from web.faces.templates import preview_face, template_answer, template_face, version_face

app = typer.Typer(help="What mail is written from.", no_args_is_help=True)

TemplateArgument = Annotated[
    str, typer.Argument(metavar="TEMPLATE", help="Name, alias, or id of the template, or its beginning.")
]
FileArgument = Annotated[Path, typer.Argument(metavar="FILE", help="x.html, x.mjml, or x.json: a document of blocks.")]
FileOption = Annotated[Path | None, typer.Option("--file", metavar="FILE", help="x.html, x.mjml or x.json (blocks).")]
SubjectOption = Annotated[str | None, typer.Option("--subject", help="With placeholders: 'Hi {{{NAME|there}}}'.")]
AliasOption = Annotated[str | None, typer.Option("--alias", help='A name for programs; "" for none.')]
FromOption = Annotated[str | None, typer.Option("--from", help="Sender of mail that names none itself.")]
ReplyOption = Annotated[list[str] | None, typer.Option("--reply-to", help="Where answers go. Often.")]
TextOption = Annotated[Path | None, typer.Option("--text", metavar="FILE", help="The text part; else made from HTML.")]
LayoutOption = Annotated[str | None, typer.Option("--layout", help='The template around it; "" for none.')]
LanguageOption = Annotated[str, typer.Option("--language", help="File, subject and text are of this: de, de-AT.")]
VariableOption = Annotated[
    list[str] | None,
    typer.Option("--variable", "-v", metavar="KEY[:TYPE][=FALLBACK]", help="Declares one. Often. All replace all."),
]
RevisionOption = Annotated[
    int | None,
    typer.Option("--revision", min=0, help="As `show` tells it: refused when somebody changed it since."),
]
GivenOption = Annotated[
    list[str] | None, typer.Option("--variable", "-v", metavar="KEY=VALUE", help="Often. JSON, or a text.")
]

_KINDS: Final = {".html": Kind.HTML, ".htm": Kind.HTML, ".mjml": Kind.MJML, ".json": Kind.BLOCKS}
_COLUMNS: Final = (
    Column("name", style="bold", wrap=True),
    Column("alias", drop=1),
    Column("status"),
    Column("updated_at", "changed", drop=2),
    Column("id", style="dim", drop=0),
)
_SHOWN: Final = (
    Column("name", style="bold"),
    Column("alias"),
    Column("status"),
    Column("kind"),
    Column("subject"),
    Column("from"),
    Column("languages"),
    Column("uses"),
    Column("needs"),
    Column("has_unpublished_versions", "changed since"),
    Column("revision"),
    Column("id", style="dim"),
)
_VERSIONS: Final = (
    Column("number", style="bold"), Column("created_at", "begun"), Column("published_at", "published"),
    Column("id", style="dim"),
)  # fmt: skip
_REMARKS: Final = (
    Column("severity", style="bold"), Column("check"), Column("message", wrap=True), Column("advice", wrap=True),
)  # fmt: skip


@app.command("list")
def list_templates(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Templates of an application, newest first."""

    async def work(database: Database) -> list[Template]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return list((await service.page(connection, owner.id, Window(service.MOST))).entries)

    empty = "No templates yet: `postlane templates create NAME FILE` makes one."
    emit(with_database(work), template_face, cells=template_face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("create")
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What people read.")],
    file: FileArgument,
    subject: SubjectOption = None,
    alias: AliasOption = None,
    sender: FromOption = None,
    reply_to: ReplyOption = None,
    text: TextOption = None,
    layout: LayoutOption = None,
    variable: VariableOption = None,
    publish: Annotated[bool, typer.Option("--publish", help="At once, not as a draft.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make a template, a draft until it is published.

    Example: postlane templates create Welcome welcome.mjml --subject "Hello {{{NAME|there}}}" --alias welcome
    """
    edit = Edit(
        name=name, content=_content(file, subject, text), **_facts(alias, sender, reply_to, layout, variable)
    )  # fmt: skip

    async def work(database: Database) -> tuple[Template, Version]:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            made = await service.create(connection, owner.id, edit)
            if publish:
                await service.publish(connection, owner.id, str(made.id))
            return await service.get(connection, owner.id, str(made.id))

    _show(with_database(work), as_json=as_json)


@app.command("update")
def update(
    template: TemplateArgument,
    file: FileOption = None,
    subject: SubjectOption = None,
    text: TextOption = None,
    language: LanguageOption = "",
    name: Annotated[str | None, typer.Option("--name", help="What people read.")] = None,
    alias: AliasOption = None,
    sender: FromOption = None,
    reply_to: ReplyOption = None,
    layout: LayoutOption = None,
    variable: VariableOption = None,
    revision: RevisionOption = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Change a template. Mail is made of the published version until you publish again.

    Example: postlane templates update welcome --language de --file welcome.de.mjml --subject "Hallo {{{NAME|du}}}"
    """
    content = _content(file, subject, text)
    edit = Edit(
        name=UNSAID if name is None else name,
        content=content if not language else LanguageEdit(),
        languages={language: content} if language else {},
        **_facts(alias, sender, reply_to, layout, variable),
    )

    async def work(database: Database) -> tuple[Template, Version]:
        async with database.transaction() as connection:
            found = await _named(connection, application, template)
            await service.update(
                connection, found.application_id, str(found.id), edit, Change(revision, "by the command line")
            )
            return await service.get(connection, found.application_id, str(found.id))

    _show(with_database(work), as_json=as_json)


@app.command("show")
def show(
    template: TemplateArgument,
    html: Annotated[bool, typer.Option("--html", help="Print the HTML alone.")] = False,
    text: Annotated[bool, typer.Option("--text", help="Print the text part alone.")] = False,
    source: Annotated[bool, typer.Option("--source", help="Print what was written alone.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A template with its newest content."""

    async def work(database: Database) -> tuple[Template, Version]:
        async with database.connection() as connection:
            found = await _named(connection, application, template)
            return await service.get(connection, found.application_id, str(found.id))

    found, version = with_database(work)
    built = version.built[DEFAULT]
    if html or text or source:
        print_raw((built.html if html else built.text if text else version.writing.sources[DEFAULT].body).encode())
        return
    _show((found, version), as_json=as_json)


@app.command("preview")
def show_preview(
    template: TemplateArgument,
    variable: GivenOption = None,
    contact: Annotated[str, typer.Option("--contact", help="Use the values of this contact.")] = "",
    language: Annotated[str, typer.Option("--language", help="By default the contact's.")] = "",
    html: Annotated[bool, typer.Option("--html", help="Print the HTML alone.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A mail as it would be made, and what to mend. Nothing is sent.

    Example: postlane templates preview welcome --contact ann@example.com --html > mail.html
    """
    given = dict(_assigned(one) for one in variable or ())

    async def work(database: Database) -> Preview:
        async with database.connection() as connection:
            found = await _named(connection, application, template)
            wanted = (given, contact or None, language or None)
            return await preview(connection, found.application_id, str(found.id), wanted)

    shown = with_database(work)
    face = preview_face(shown.template, shown.filled, shown.remarks)
    if html:
        print_raw(shown.filled.html.encode())
    elif wants_json(as_json):
        print_json(face)
    else:
        tell(f"Subject: {shown.filled.subject}", "bold")
        print_raw(shown.filled.text.encode())
        print_table(face["remarks"], _REMARKS, empty="Nothing to mend.")


@app.command("test")
def send_test(
    template: TemplateArgument,
    to: Annotated[list[str] | None, typer.Argument(help="Addresses.")] = None,
    to_seeds: Annotated[bool, typer.Option("--seeds", help="Also to the seed accounts of its stream.")] = False,
    whom: Annotated[str, typer.Option("--as", help="As this contact gets it: address or id.")] = "",
    variable: GivenOption = None,
    language: Annotated[str, typer.Option("--language", help="By default the contact's.")] = "",
    sender: Annotated[str, typer.Option("--from", help="By default the template's.")] = "",
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Send the newest content to some addresses, to look at, or to seed accounts, to see where it lands.

    Example: postlane templates test welcome me@shop.example --as ann@example.com --seeds
    """
    given = dict(_assigned(one) for one in variable or ())
    wanted = Wanted(To(to or (), to_seeds), sender, whom, language, given)
    simulated = context.settings().sandbox_domain

    async def work(database: Database) -> list[NewEmail]:
        async with database.transaction() as connection:
            found = await _named(connection, application, template)
            return await trying_templates.send(connection, found.application_id, str(found.id), wanted, simulated)

    sent = [mail.id for mail in with_database(work)]
    landed = " `postlane seeds list` says in some minutes where it landed." if to_seeds else ""
    print_json({"emails": sent}) if wants_json(as_json) else tell(f"{len(sent)} on the way.{landed}")


@app.command("publish")
def publish_template(
    template: TemplateArgument,
    revision: RevisionOption = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make mail of the draft from now on."""

    async def work(database: Database) -> Template:
        async with database.transaction() as connection:
            found = await _named(connection, application, template)
            return await service.publish(connection, found.application_id, str(found.id), revision)

    emit(reference("template", with_database(work).id), as_json=as_json)


@app.command("undo")
def undo(
    template: TemplateArgument,
    revision: RevisionOption = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the draft what it was before the last change. The last 50 are kept."""
    _changed(partial(service.undo, seen=revision), template, application, as_json=as_json)


@app.command("redo")
def redo(
    template: TemplateArgument,
    revision: RevisionOption = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the change again that was undone last."""
    _changed(partial(service.redo, seen=revision), template, application, as_json=as_json)


@app.command("versions")
def versions(template: TemplateArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Its versions, the last one first. Mail is made of the one that was published last."""

    async def work(database: Database) -> list[Listed]:
        async with database.connection() as connection:
            found = await _named(connection, application, template)
            return await service.history(connection, found.application_id, str(found.id))

    emit(with_database(work), version_face, cells=version_face, as_json=as_json, columns=_VERSIONS)


@app.command("restore")
def restore(
    template: TemplateArgument,
    number: Annotated[int, typer.Argument(metavar="NUMBER", min=1, help="As `versions` tells them.")],
    revision: RevisionOption = None,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Make the draft what an earlier version said. Mail is made of it once you publish."""
    _changed(partial(service.bring_back, number=number, seen=revision), template, application, as_json=as_json)


@app.command("duplicate")
def duplicate(template: TemplateArgument, application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """A draft with the same content, without an alias."""

    async def work(database: Database) -> Template:
        async with database.transaction() as connection:
            found = await _named(connection, application, template)
            return await service.duplicate(connection, found.application_id, str(found.id))

    emit(reference("template", with_database(work).id), as_json=as_json)


@app.command("delete")
def delete(
    template: TemplateArgument, yes: YesOption = False, application: ApplicationOption = "", as_json: JsonOption = False
) -> None:
    """Remove a template with all its versions. Mail that was accepted keeps its content."""

    async def look(database: Database) -> Template:
        async with database.connection() as connection:
            return await _named(connection, application, template)

    found = with_database(look)
    confirm(f"Delete the template {found.name}?", yes)

    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            await service.delete(connection, found.application_id, str(found.id))

    with_database(work)
    emit(deleted("template", found.id), as_json=as_json)


def _changed(
    change: Callable[[Connection, UUID, str], Awaitable[Template]], template: str, application: str, *, as_json: bool
) -> None:
    """Change the draft, and show it."""

    async def work(database: Database) -> tuple[Template, Version]:
        async with database.transaction() as connection:
            found = await _named(connection, application, template)
            await change(connection, found.application_id, str(found.id))
            return await service.get(connection, found.application_id, str(found.id))

    _show(with_database(work), as_json=as_json)


async def _named(connection: Connection, application: str, text: str) -> Template:
    owner = await chosen(connection, application)
    try:
        return await service.find(connection, owner.id, text)
    except Refused:
        known = (await service.page(connection, owner.id, Window(service.MOST))).entries
        candidates = [Candidate(one.id, one.name, one.alias or "") for one in known]
        found = the_one(text, "template", candidates, "postlane templates list")
        return next(one for one in known if one.id == found)


def _show(shown: tuple[Template, Version], *, as_json: bool) -> None:
    face: dict[str, Any] = template_answer(*shown)
    if wants_json(as_json):
        print_json(face)
        return
    print_table(face | {name: ", ".join(face[name]) for name in ("languages", "uses", "needs")}, _SHOWN)


def _content(file: Path | None, subject: str | None, text: Path | None) -> LanguageEdit:
    return LanguageEdit(
        _body(file) if file is not None else UNSAID,
        UNSAID if subject is None else subject,
        UNSAID if text is None else _read(text),
    )


def _body(file: Path) -> Body:
    kind = _KINDS.get(file.suffix.lower())
    if kind is None:
        raise CliError("unknown_kind", f"{file} ends in none of {', '.join(_KINDS)}.", "Its ending says what it is.")
    return kind, _read(file)


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > 4 * MAX_SOURCE:
            raise CliError("too_large", f"{file} has more than {MAX_SOURCE} characters.")
        return file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CliError("unreadable", f"{file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise CliError("unreadable", f"{file} is not UTF-8.") from None


def _facts(
    alias: str | None, sender: str | None, reply_to: list[str] | None, layout: str | None, variables: list[str] | None
) -> dict[str, Any]:
    """What is not content, as an edit takes it."""
    return {
        "alias": UNSAID if alias is None else alias or None,
        "sender": UNSAID if sender is None else sender,
        "reply_to": UNSAID if reply_to is None else [one for one in reply_to if one],
        "layout": UNSAID if layout is None else layout or None,
        "variables": _declared(variables),
    }


def _declared(variables: list[str] | None) -> list[Variable] | Unsaid:
    if variables is None:
        return UNSAID
    found = []
    for text in variables:
        head, equals, fallback = text.partition("=")
        key, _, kind = head.partition(":")
        if kind not in ("", *VariableType):
            raise CliError("unknown_type", f"There is no type {kind}.", f"There are {', '.join(VariableType)}.")
        made = Variable(key, VariableType(kind or "string"))
        value = (fallback if made.type is VariableType.STRING else _value(fallback)) if equals else None
        found.append(Variable(key, made.type, value))
    return found


def _assigned(text: str) -> tuple[str, object]:
    key, equals, value = text.partition("=")
    if not equals:
        raise CliError("no_value", f"{text} is no KEY=VALUE.")
    return key, _value(value)


def _value(text: str) -> object:
    """JSON where it is JSON, else the text."""
    try:
        value: object = orjson.loads(text)
    except orjson.JSONDecodeError:
        return text
    return value
