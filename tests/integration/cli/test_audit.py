"""What a command changes stands in the audit log: whose account of the machine, what was before and after."""

import getpass
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from accounts import audit
from accounts.audit import Logged, Wanted
from accounts.audited import AuditedDatabase
from cli import main
from cli.auditing import READING, UNAUDITED, action_of, audited
from cli.called import CALLED, Called
from core.paging import Window
from store.database import Database
from tests.integration.cli.commands import Postlane, in_database

OWN_DATABASE = {"cli/commands/doctor.py", "cli/running/console_link.py", "cli/running/demo.py", "cli/sessions.py"}
"""What opens a database: sessions for every command; the rest changes nothing, notes it itself, or is the demo."""


def _commands(command: Any, words: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Any]]:
    below = getattr(command, "commands", None)
    if below is None:
        yield words, command
    for name, one in (below or {}).items():
        yield from _commands(one, (*words, name))


def _every() -> dict[str, Any]:
    return {
        " ".join(words): one for entry in main.COMMANDS for words, one in _commands(main._load(entry), (entry.name,))
    }


async def _page(database: Database) -> list[Logged]:
    async with database.connection() as connection:
        return [*reversed((await audit.page(connection, Wanted(), Window(100))).entries)]


def test_every_command_says_that_it_runs_or_has_a_reason_not_to_be_noted() -> None:
    commands = _every()

    assert len(commands) > 150
    assert {name for name, one in commands.items() if not hasattr(one.callback, "__wrapped__")} == set()
    assert UNAUDITED.keys() - commands.keys() == set(), "what is gone needs no reason"
    assert all(action_of(tuple(name.split())).count(".") == 1 for name in commands)


def test_what_only_reads_holds_no_transaction_open() -> None:
    commands = _every()
    names = [f"{noun} {verb}".strip() for noun, verbs in READING.items() for verb in verbs]

    assert set(names) - commands.keys() == set()
    assert set(names) & UNAUDITED.keys() == set()
    holding = [name for name in names if ".transaction(" in inspect.getsource(inspect.unwrap(commands[name].callback))]
    assert holding == []
    plain = Database("postgresql://nobody@127.0.0.1:1/none")
    for words, noted in ((("messages", "list"), False), (("reports",), False), (("pools", "create"), True)):
        token = CALLED.set(Called(words))
        assert isinstance(audited(plain), AuditedDatabase) is noted, words
        CALLED.reset(token)


def test_commands_get_at_the_database_in_one_way() -> None:
    root = Path(importlib.import_module("cli").__path__[0])
    opening = {str(file.relative_to(root.parent)) for file in root.rglob("*.py") if "= Database(" in file.read_text()}

    assert opening == OWN_DATABASE


def test_changes_are_told_by_the_command_and_who_ran_it(postlane: Postlane, database_url: str) -> None:
    made = postlane("keys", "create", "web", "--application", "shop").out
    postlane("pools", "create", "bulk", "--lane", "marketing")
    postlane("pools", "list")
    postlane("ips", "add", "127.0.1.1", "--ehlo", "m1.example.com")
    postlane("pools", "attach", "bulk", "127.0.1.1")
    postlane("pools", "weight", "bulk", "127.0.1.1", "3")
    postlane("pools", "weight", "nothing", "127.0.1.1", "3")
    postlane("suppressions", "add", "ann@people.example")
    postlane("topics", "create", "News", "--application", "shop")

    lines = in_database(database_url, _page)

    assert [(line.action, line.subject) for line in lines] == [
        ("key.create", "web"), ("pool.create", "bulk"), ("ip.create", "127.0.1.1"), ("pool.attach", "bulk"),
        ("pool.weight", "bulk"), ("suppression.add", lines[5].subject), ("topic.create", "News"),
    ]  # fmt: skip
    assert {(line.actor, line.door) for line in lines} == {(f"command line ({getpass.getuser()})", "cli")}
    assert (lines[4].before, lines[4].after) == ({"weight": 1}, {"weight": 3})
    text = "".join(f"{line.subject}{line.before}{line.after}" for line in lines)
    assert made["token"] not in text
    assert "people.example" not in text
    assert CALLED.get() is None
