"""`postlane init`: makes `.env` with fresh secrets for a server.

Owns the names and the strength of what it writes. Never prints a secret and never replaces one without `--force`, and
then keeps the old file: whoever loses POSTLANE_SECRET can no longer read the DKIM keys in the database.
`postlane up` needs no `.env`; a secret that it keeps in the data folder already is taken over, because a `.env` in the
working directory wins over that one. docker-compose.yml reads the three names from it.
"""

import os
import secrets
from pathlib import Path
from typing import Annotated

import typer

from cli import context
from cli.output import CliError, JsonOption, emit, wants_json

_TEMPLATE = """\
# Made by `postlane init`. Keep it secret and keep a copy in a safe place:
# without POSTLANE_SECRET the DKIM keys in the database cannot be read.

# Instance secret: encrypts DKIM keys, signs return paths. 32 bytes as hex.
POSTLANE_SECRET={secret}

# Passwords of the servers that docker compose starts.
POSTGRES_PASSWORD={postgres}
REDIS_PASSWORD={redis}

# Where recipients unsubscribe: a name of its own behind your TLS proxy, see docs/unsubscribing.md.
# POSTLANE_PUBLIC_URL=https://mail.example.com
"""

_NEXT = """\
Wrote {path}, readable by you alone. Keep a copy in a safe place.

Next
  docker compose up -d      a server: PostgreSQL, Valkey, API, workers
  postlane up               a trial in this terminal, with embedded servers
  postlane doctor           is everything right?"""


def init(
    path: Annotated[Path, typer.Option("--path", help="File to write.")] = Path(".env"),
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file; it is kept as <file>.old.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Make .env with fresh secrets for docker compose."""
    kept_secret = context.read().data_dir / context.SECRET_FILE
    secret = kept_secret.read_text(encoding="utf-8").strip() if kept_secret.exists() else secrets.token_hex(32)
    kept = write_env(path, secret, force=force)
    if wants_json(as_json):
        emit({"path": str(path), "kept": str(kept) if kept else None}, as_json=True)
        return
    typer.echo(_NEXT.format(path=path))
    if kept:
        typer.echo(f"\nThe old file is {kept}. Servers that were made with its passwords and secret still need them.")


def write_env(path: Path, secret: str, *, force: bool = False) -> Path | None:
    """Write the secret and fresh passwords to `path` (mode 0600); the path of the old file, if one was kept.

    Raises CliError `already_exists` without `force`, `not_writable` when the folder cannot be written.
    """
    text = _TEMPLATE.format(secret=secret, postgres=secrets.token_hex(24), redis=secrets.token_hex(24))
    kept = path.with_name(f"{path.name}.old")
    if kept.exists() and force and path.exists():
        raise CliError("already_exists", f"{kept} exists: move it away first, it may hold the only copy of a secret.")
    try:
        replaced = force and path.exists()
        if replaced:
            path.rename(kept)
        with open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(text)
    except FileExistsError:
        raise CliError(
            "already_exists",
            f"{path} exists and was left as it is.",
            "`postlane init --force` makes new secrets and keeps the old file as a copy.",
        ) from None
    except OSError as error:
        raise CliError("not_writable", f"{path} cannot be written: {error.strerror}.") from None
    return kept if replaced else None
