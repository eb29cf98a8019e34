"""`postlane bounces`: what our reader makes of bounce mails in files, without a server."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import context
from cli.output import CliError, print_json
from mta.bounces import parse_bounce
from mta.from_settings import rules_in_force
from web.faces.inbound import report_face

app = typer.Typer(help="What would be understood of bounce mails in files.", no_args_is_help=True)

_STDIN = "-"


@app.callback()
def group() -> None:
    """What would be understood of bounce mails in files."""


@app.command("parse")
def parse(
    files: Annotated[list[str], typer.Argument(metavar="FILE...", help="Mails as they came; - is standard input.")],
) -> None:
    """Print as JSON what would be understood of each mail, and which rule decides. Asks no server. `report` is null
    where nothing is understood."""
    rules = rules_in_force(context.complete(context.read()))
    answers = []
    for name in files:
        report = parse_bounce(_read(name))
        answers.append({"file": name, "report": report_face(report, rules) if report is not None else None})
    print_json(answers)


def _read(name: str) -> bytes:
    if name == _STDIN:
        return sys.stdin.buffer.read()
    try:
        return Path(name).read_bytes()
    except OSError as error:
        raise CliError("not_read", f"{name} cannot be read: {error.strerror or error}.") from None
