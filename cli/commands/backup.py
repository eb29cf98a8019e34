"""`postlane backup`: a copy of everything, made while mail goes on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from backups import making, manifest
from cli import context
from cli.output import JsonOption, emit, tell, wants_json

_MEGABYTE: Final = 1 << 20
_NOT_COPIED: Final = "Not in it: inbound.pem, Valkey's hints and the workers' journals. None of them holds mail."


def backup(
    folder: Annotated[
        Path | None, typer.Argument(help="A folder to make, such as monday.backup. By default one named by the time.")
    ] = None,
    with_secret: Annotated[
        bool, typer.Option("--with-secret", help="Put the instance secret into it: whoever has both can sign as you.")
    ] = False,
    without_content: Annotated[
        bool,
        typer.Option("--without-content", help="Leave bodies and attachments out: smaller, and what waits is lost."),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Copy the database into a folder, consistently, while everything runs. `postlane restore` makes an installation of
    it again."""
    settings = context.settings()
    target = folder or Path(f"postlane-{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}")
    with Console(stderr=True).status(f"copying into {target} …") as shown:
        made = making.back_up(
            settings.database_url,
            settings.secret.get_secret_value(),
            target,
            with_secret=with_secret,
            with_content=not without_content,
            meanwhile=lambda size: shown.update(f"copying into {target}: {size / _MEGABYTE:,.0f} MB written"),
        )
    if wants_json(as_json):
        emit({"folder": str(target), **manifest.told(made), "with_secret": with_secret}, as_json=True)
        return
    tell(f"Copied into {target}: {made.bytes / _MEGABYTE:,.1f} MB, as it was at {made.taken_at:%Y-%m-%d %H:%M:%S} UTC.")
    tell(
        "The instance secret is in it: keep the folder where nobody else reads it."
        if with_secret
        else "The instance secret is NOT in it: without POSTLANE_SECRET no DKIM key in it can be read. Keep it apart."
    )
    tell(_NOT_COPIED)
    tell(f"Restore: postlane restore {target}, with POSTLANE_DATABASE_URL naming an empty database.")
