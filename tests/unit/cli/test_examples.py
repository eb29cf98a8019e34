"""Every command that a `--help` shows can be typed as it stands there."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from cli.main import app
from tests.unit.deploy.commands import parse

_NAMED = re.compile(r"`postlane ([^`]*)`")
"""In a sentence: the command alone, without what it needs."""
_SHOWN = re.compile(r"\bpostlane (?=[a-z])(.+?)(?=,? (?:or|and) postlane |$)")


def _helps() -> Iterator[tuple[str, str]]:
    """Each command with each line of its help and of its options' help."""
    root: Any = typer.main.get_command(app)
    context = root.make_context("postlane", [], resilient_parsing=True)
    yield from _lines("", root)
    for name in root.list_commands(context):
        _, command, _ = root.resolve_command(context, [name])
        yield from _below(name, command)


def _below(name: str, command: Any) -> Iterator[tuple[str, str]]:
    yield from _lines(name, command)
    for sub, one in getattr(command, "commands", {}).items():
        yield from _below(f"{name} {sub}", one)


def _lines(name: str, command: Any) -> Iterator[tuple[str, str]]:
    for text in (command.help, command.epilog, *(getattr(one, "help", "") for one in command.params)):
        yield from ((name, line) for line in (text or "").splitlines())


def _trouble(words: list[str]) -> str:
    """What is wrong with them; "" when nothing is."""
    try:
        parse(words)
    except typer.TyperException as error:
        return error.format_message() if hasattr(error, "format_message") else str(error)
    return ""


def _is_there(words: list[str]) -> bool:
    """Whether there is such a command, whatever it needs."""
    return "there is no command" not in (said := _trouble(words)) and " has no command " not in said


def test_every_command_that_help_shows_can_be_typed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mail.html").write_text("")  # is looked for before anything runs
    wrong, shown = [], 0
    for name, line in _helps():
        wrong += [f"{name}: {one}" for one in _NAMED.findall(line) if not _is_there(shlex.split(one))]
        for one in _SHOWN.findall(_NAMED.sub("", line)):
            shown += 1
            typed = re.split(r" [|>] ", one)[0]
            if trouble := _trouble(shlex.split(typed)):
                wrong.append(f"{name}: {typed}: {trouble}")
    assert wrong == []
    assert shown > 60


def test_a_command_that_lacks_something_is_found() -> None:
    assert "plan" in _trouble(["warmup", "start", "192.0.2.10"])
    assert not _is_there(["warmup", "begin"])
    assert _is_there(["warmup", "start"])


def test_a_new_ip_warms_up_before_it_joins_a_pool() -> None:
    """As docs/operations.md and docs/warmup.md have it."""
    (line,) = [line for name, line in _helps() if name == "ips add" and "warmup start" in line]
    assert line.index("warmup start") < line.index("pools attach")
