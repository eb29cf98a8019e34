"""What deploy files are held against: the command line, the settings, and what `postlane init` writes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

from cli.commands.init import write_env
from cli.main import app
from core.queues import QUEUES

ROOT = Path(__file__).parent.parent.parent.parent


def parse(words: Sequence[str]) -> str:
    """Parse `postlane <words>` without running it; the sub-command's name. Raises typer.TyperException."""
    root: Any = typer.main.get_command(app)  # Typer does not export the type of a group
    context = root.make_context("postlane", [], resilient_parsing=True)
    if words[0] not in root.list_commands(context):
        raise typer.BadParameter(f"there is no command {words[0]}")
    name, command, rest = root.resolve_command(context, list(words))
    while hasattr(command, "commands") and not (command.invoke_without_command and not rest):
        name, *rest = rest or ["(none)"]
        if name not in command.commands:
            raise typer.BadParameter(f"{command.name} has no command {name}")
        command = command.commands[name]
    command.make_context(name, rest, parent=context)
    return words[0]


def consumed(commands: Sequence[Sequence[str]]) -> set[str]:
    """The queues that these commands work on."""
    queues = {words[1] for words in commands if words[0] == "worker"}
    assert queues <= set(QUEUES)
    return queues


def variables_of_init(folder: Path) -> set[str]:
    """Names in the `.env` that `postlane init` writes."""
    write_env(folder / ".env", "ab" * 32)
    return set(re.findall(r"^([A-Z_]+)=.", (folder / ".env").read_text(encoding="utf-8"), re.M))
