"""`postlane images`: pictures for mail, stored here and served by the public pages."""

from functools import partial
from pathlib import Path
from typing import Annotated, Final
from uuid import UUID

import typer

from cli import context
from cli.application import ApplicationOption, YesOption, chosen, confirm
from cli.ids import Candidate, the_one
from cli.output import CliError, Column, JsonOption, emit, say
from cli.sessions import with_database
from core.paging import Window
from store.database import Database
from templates import images
from templates.images import Image
from templates.pictures import MAX_BYTES
from web.faces.images import image_face
from web.faces.references import deleted

app = typer.Typer(help="Pictures for mail.", no_args_is_help=True)

_COLUMNS: Final = (
    Column("name", style="bold", drop=3),
    Column("url", wrap=True),
    Column("width", drop=4),
    Column("height", drop=4),
    Column("size", drop=2),
    Column("id", style="dim", drop=0),
)
_MOST: Final = 1_000
"""Images in a list."""


@app.command("add")
def add(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="PNG, JPEG, GIF or WebP of at most 2 MB.")],
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Store pictures and say where they are served. The same file is stored once.

    Example: postlane images add logo.png
    """
    contents = [(file.name, _read(file)) for file in files]
    settings = context.settings()

    async def work(database: Database) -> list[Image]:
        async with database.transaction() as connection:
            owner = await chosen(connection, application)
            most = settings.image_bytes
            return [(await images.add(connection, owner.id, name, data, most))[0] for name, data in contents]

    stored = with_database(work)
    if not settings.public_url:
        say("Without POSTLANE_PUBLIC_URL nobody can fetch them.", "yellow")
    face = partial(image_face, public_url=settings.public_url)
    emit(stored, face, cells=face, as_json=as_json, columns=_COLUMNS)


@app.command("list")
def list_images(application: ApplicationOption = "", as_json: JsonOption = False) -> None:
    """Pictures of an application, newest first."""

    async def work(database: Database) -> list[Image]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            return list((await images.page(connection, owner.id, Window(_MOST))).entries)

    face = partial(image_face, public_url=context.settings().public_url)
    empty = "No images yet: `postlane images add FILE` stores one."
    emit(with_database(work), face, cells=face, as_json=as_json, columns=_COLUMNS, empty=empty)


@app.command("delete")
def delete(
    image: Annotated[str, typer.Argument(metavar="IMAGE", help="Name of the image, its id or its beginning.")],
    yes: YesOption = False,
    application: ApplicationOption = "",
    as_json: JsonOption = False,
) -> None:
    """Remove a picture: mail that shows it, also mail that was sent, shows its `alt` from then on."""

    async def look(database: Database) -> tuple[UUID, Image]:
        async with database.connection() as connection:
            owner = await chosen(connection, application)
            known = (await images.page(connection, owner.id, Window(_MOST))).entries
            candidates = [Candidate(one.id, one.name, one.path) for one in known]
            found = the_one(image, "image", candidates, "postlane images list")
            return owner.id, next(one for one in known if one.id == found)

    owner, found = with_database(look)
    confirm(f"Delete the image {found.name}?", yes)

    async def work(database: Database) -> None:
        async with database.transaction() as connection:
            await images.delete(connection, owner, found.id)

    with_database(work)
    emit(deleted("image", found.id), as_json=as_json)


def _read(file: Path) -> bytes:
    try:
        if file.stat().st_size > MAX_BYTES:
            raise CliError("too_large", f"{file} has more than {MAX_BYTES // 1024 // 1024} MB.")
        return file.read_bytes()
    except OSError as error:
        raise CliError("unreadable", f"{file} cannot be read: {error.strerror}.") from None
