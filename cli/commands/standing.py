"""`postlane standing`: what providers say about our IPs and domains, from files of theirs."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from cli.output import CliError, Column, JsonOption, emit
from cli.sessions import with_database
from pools import standing
from pools.standing import Taken
from pools.standing_files import ProviderFigure, read
from store.database import Database
from web.faces.standing import standing_face, taken_face

app = typer.Typer(help="What providers say about our IPs and domains.", no_args_is_help=True)

_COLUMNS = (
    Column("subject", style="bold"),
    Column("provider", drop=3),
    Column("source", drop=2),
    Column("name", "what", drop=0),
    Column("text", "said", drop=0),
    Column("day", drop=1),
)
_TAKEN = (Column("source", style="bold"), Column("figures"), Column("subjects", "IPs and domains"),
          Column("strangers", "not ours, left out"))  # fmt: skip


@app.command("list")
def list_standing(
    subject: Annotated[str, typer.Argument(metavar="[IP|DOMAIN]", help="Only this one.")] = "",
    as_json: JsonOption = False,
) -> None:
    """The newest figure of each name."""

    async def work(database: Database) -> list[ProviderFigure]:
        async with database.connection() as connection:
            return await standing.latest(connection, subject)

    empty = "Nothing yet. `postlane standing import --help` takes a provider's file."
    emit(with_database(work), standing_face, cells=_cells, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("import")
def import_standing(
    source: Annotated[Literal["snds", "yahoo", "google"], typer.Argument(help="Whose file it is.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="The file; - reads standard input.")],
    as_json: JsonOption = False,
) -> None:
    """Take a file as the provider gives it. Taken again it changes nothing.

    snds: Microsoft's CSV. yahoo: figures of the complaint feedback loop, CSV with a heading.

    google: the JSON answer of Postmaster Tools' domains.getComplianceStatus.

    Example: postlane standing import snds data.csv
    """
    figures = read(source, _content(file), standing.utc_day())

    async def work(database: Database) -> Taken:
        async with database.transaction() as connection:
            return await standing.keep(connection, source, figures)

    taken = with_database(work)
    if not taken.figures:
        raise CliError("nothing_taken", f"nothing in it is about us; it is about {', '.join(taken.strangers[:5])}")
    emit(taken, taken_face, as_json=as_json, columns=_TAKEN)


def _content(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise CliError("no_file", f"{file}: {error.strerror}") from error


def _cells(figure: ProviderFigure) -> dict[str, object]:
    said = figure.text or ("" if figure.value is None else f"{figure.value:g}")
    return {**standing_face(figure), "text": said, "day": str(figure.day)}
