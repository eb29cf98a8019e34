"""`postlane sandbox`: mail that was captured instead of sent, and the rules that capture mail of live keys."""

from collections.abc import Mapping
from typing import Annotated
from uuid import UUID

import typer

from accounts import capture_rules
from accounts.capture_rules import CaptureRule
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, print_json, print_raw, print_table, say, tell, wants_json
from cli.sessions import with_database
from core.addresses import AddressError, fold_address
from core.paging import Window
from core.settings import load
from sandbox import mailbox
from sandbox.mailbox import MailView, Wanted
from sandbox.reading import Parsed, parsed
from store.database import Connection, Database
from web.faces.references import deleted
from web.faces.sandbox import cleared, mail_detail, mail_face, rule_face

app = typer.Typer(help="Captured mail: list, show, clear; rules.", no_args_is_help=True)
rules = typer.Typer(help="Whose mail is captured, whatever key sends it.", no_args_is_help=True)
app.add_typer(rules, name="rules")

_COLUMNS = (
    Column("id", style="cyan"),
    Column("created_at", "captured", drop=2),
    Column("recipient", drop=0),
    Column("from", drop=3),
    Column("subject", wrap=True),
    Column("why", drop=1),
    Column("size", justify="right", drop=4),
)
_RULE_COLUMNS = (Column("pattern", style="bold"), Column("created_at", "since", drop=1), Column("id", style="dim"))

_SEARCHED = 1000
"""Mails that the beginning of an id is looked for in, newest first."""

MailArgument = Annotated[str, typer.Argument(metavar="MAIL", help="Id of the captured mail, or its beginning or end.")]
ToOption = Annotated[str, typer.Option("--to", help="Only mail to this address.")]


@app.command("list")
def list_mails(
    to: ToOption = "",
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many, newest first.")] = 20,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Captured mail, newest first.

    Example: postlane sandbox list --to anna@qa.example.com
    """

    async def work(database: Database) -> list[MailView]:
        async with database.connection() as connection:
            wanted = await _wanted(connection, application, to)
            return [*(await mailbox.page(connection, wanted, Window(limit))).entries]

    emit(with_database(work), mail_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty="No captured mail.")


@app.command()
def show(
    mail: MailArgument,
    raw: Annotated[bool, typer.Option("--raw", help="The bytes as they would have gone out.")] = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """A captured mail: envelope, headers, text; with --raw the mail itself.

    Example: postlane sandbox show 01a20446 --raw > mail.eml
    """

    async def work(database: Database) -> tuple[MailView, bytes]:
        async with database.connection() as connection:
            owner = (await chosen(connection, application)).id
            found = await mailbox.find(connection, Wanted(owner), await _meant(connection, owner, mail))
        if found is None:
            raise CliError("not_found", f"There is no captured mail {mail}.", "`postlane sandbox list` shows the mail.")
        return found

    view, data = with_database(work)
    if raw:
        print_raw(data)
        return
    content = parsed(data)
    if wants_json(as_json):
        print_json(mail_detail(view, content, "", load().sandbox_days))
    else:
        _tell(view, content)


@app.command()
def clear(
    to: ToOption = "", application: ApplicationOption = "", yes: YesOption = False, as_json: JsonOption = False
) -> None:
    """Forget captured mail: all of an application, or that of one recipient. Emails and timelines stay."""
    confirm("Forget the captured mail?", yes)

    async def work(database: Database) -> int:
        async with database.transaction() as connection:
            return await mailbox.clear(connection, await _wanted(connection, application, to))

    count = with_database(work)
    if wants_json(as_json):
        print_json(cleared(count))
    else:
        tell(f"{count} captured mail{'s' * (count != 1)} forgotten.")


@rules.command("list")
def list_rules(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Capture rules of an application, newest first."""

    async def work(database: Database) -> list[CaptureRule]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return [*(await capture_rules.rules(connection, owner.id)).entries]

    emit(with_database(work), rule_face, as_json=as_json, columns=_RULE_COLUMNS, empty="No capture rules.")


@rules.command("add")
def add_rule(
    pattern: Annotated[str, typer.Argument(help="An address, `*@qa.example.com`, `*@*.example.com`, or `*` for all.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Capture mail to an address, a domain or everybody from now on; within five seconds in every process.

    Example: postlane sandbox rules add '*@qa.example.com'
    """
    try:
        folded = capture_rules.folded(pattern)
    except AddressError as error:
        raise CliError(
            "invalid_pattern", f"{pattern}: {error.reason}", "Quote the * so that the shell keeps it."
        ) from None

    async def work(database: Database) -> CaptureRule:
        async with database.transaction() as connection:
            return await capture_rules.add(connection, (await chosen(connection, application)).id, folded)

    emit(with_database(work), rule_face, as_json=as_json, columns=_RULE_COLUMNS)


@rules.command("remove")
def remove_rule(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="The pattern, or the rule's id or its beginning.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Let mail to these addresses leave again."""

    async def work(database: Database) -> UUID:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            known = (await capture_rules.rules(connection, owner.id)).entries
            candidates = [Candidate(one.id, one.pattern) for one in known]
            rule_id = the_one(rule, "capture rule", candidates, "postlane sandbox rules list")
            await capture_rules.remove(connection, owner.id, rule_id)
            return rule_id

    emit(deleted("capture_rule", with_database(work)), as_json=as_json)


async def _wanted(connection: Connection, application: str, to: str) -> Wanted:
    try:
        return Wanted((await chosen(connection, application)).id, to=fold_address(to) if to else "")
    except AddressError as error:
        raise CliError("bad_address", f"{to}: {error.reason}") from None


async def _meant(connection: Connection, owner: UUID, text: str) -> UUID:
    found = await mailbox.page(connection, Wanted(owner), Window(_SEARCHED))
    known = [Candidate(one.id, about=f"{one.rcpt_to}  {one.subject}") for one in found.entries]
    return the_one(text, "captured mail", known, "postlane sandbox list")


def _cells(mail: MailView) -> Mapping[str, object]:
    return mail_face(mail) | {"recipient": mail.rcpt_to, "why": "test key" if mail.test else "rule or simulated"}


def _tell(mail: MailView, content: Parsed) -> None:
    print_table(_cells(mail), _COLUMNS)
    say("")
    for name, value in content.headers:
        tell(f"{name}: {value}", style="dim" if name.lower() in ("dkim-signature", "received") else "")
    say("")
    for line in (content.text or content.html or "").splitlines():
        tell(line)
    for part in content.attachments:
        tell(f"[{part.number}] {part.filename or '(no name)'}  {part.content_type}  {len(part.data):,} bytes")
