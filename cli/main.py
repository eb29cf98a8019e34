"""The command `postlane`: finds the sub-command, turns errors into one line with a code and an exit status.

Owns the list of sub-commands. A sub-command's module is imported only when it is the one that was asked for, so that
`postlane --help` does not pay for Celery and FastAPI. Never does work itself: a sub-command is a function or a Typer
app in its own module.

Exit status: 0 done, 1 error, 2 wrong usage, 130 interrupted.
"""

import importlib
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from cli.called import marked
from cli.output import print_error
from core.errors import PostlaneError
from core.version import version

_RUN, _LOOK, _SET_UP, _OPERATE = "Run", "Send and look", "Set up", "Operate"


@dataclass(frozen=True, slots=True)
class Entry:
    """One sub-command: its name, `module:function` or `module:typer_app`, one line of help, and its panel."""

    name: str
    target: str
    help: str
    panel: str


COMMANDS: tuple[Entry, ...] = (
    Entry("up", "cli.running.up:up", "Run everything in this terminal, with servers of its own if none are set.", _RUN),
    Entry("api", "cli.commands.services:api", "Run the HTTP API.", _RUN),
    Entry("public", "cli.commands.services:public", "Run the pages for recipients: unsubscribing, preferences.", _RUN),
    Entry("console", "cli.commands.console:app", "Run the web console; make a one-time link to it.", _RUN),
    Entry("worker", "cli.commands.services:worker", "Run a Celery worker for one queue.", _RUN),
    Entry("scheduler", "cli.commands.services:scheduler", "Run the scheduler: due scan, retention.", _RUN),
    Entry("inbound", "cli.commands.inbound:app", "Run the listener for bounces and submission; list, show.", _RUN),
    Entry("simulator", "simulator.cli:app", "The practice internet: simulated mailbox providers.", _RUN),
    Entry("init", "cli.commands.init:init", "Make .env with fresh secrets for docker compose.", _SET_UP),
    Entry("install", "cli.commands.install:install", "Lay out a server: user, settings, systemd units.", _SET_UP),
    Entry("migrate", "cli.commands.services:migrate", "Bring the database to this version's tables.", _SET_UP),
    Entry("version", "cli.commands.version:show_version", "Which version this is; what a migration would do.", _SET_UP),
    Entry("domains", "cli.commands.domains:app", "Sender domains, their DNS records and keys.", _SET_UP),
    Entry("applications", "cli.commands.applications:app", "Who sends: applications, keys, domains.", _SET_UP),
    Entry("topics", "cli.commands.topics:app", "Types of mail, and what recipients chose.", _SET_UP),
    Entry("contacts", "cli.commands.contacts:app", "The people you write to: consent, lists, export, erase.", _SET_UP),
    Entry("contact-properties", "cli.commands.contact_properties:app", "What is kept of contacts.", _SET_UP),
    Entry("forms", "cli.commands.forms:app", "Where people sign up.", _SET_UP),
    Entry("segments", "cli.commands.segments:app", "Lists of contacts, and filters that find them.", _SET_UP),
    Entry("templates", "cli.commands.templates:app", "What mail is written from: make, preview, publish.", _SET_UP),
    Entry("images", "cli.commands.images:app", "Pictures for mail, served by the public pages.", _SET_UP),
    Entry("keys", "cli.commands.keys:app", "API keys.", _SET_UP),
    Entry("users", "cli.commands.users:app", "Who may use the console, and what for.", _SET_UP),
    Entry("doctor", "cli.commands.doctor:doctor", "Check servers, DNS, ports and keys, and say what to do.", _SET_UP),
    Entry("status", "cli.commands.status:status", "What runs and what waits: processes, queues, servers.", _OPERATE),
    Entry("flags", "cli.commands.flags:app", "What can be switched off while everything runs.", _OPERATE),
    Entry("pools", "cli.commands.pools:app", "Pools of IPs: make, fill, weigh, assign, advice.", _OPERATE),
    Entry("ips", "cli.commands.ips:app", "Sending addresses: state, warm-up, why, reputation.", _OPERATE),
    Entry("warmup", "cli.commands.warmup:app", "Ramps of new IPs: plans, projection, start, progress.", _OPERATE),
    Entry("providers", "cli.commands.providers:app", "Mailbox providers: limits, rules, explain, check.", _OPERATE),
    Entry("throttles", "cli.commands.throttles:app", "Who rests at which provider; end a rest.", _OPERATE),
    Entry("alarms", "cli.commands.alarms:app", "What a person has to look at.", _OPERATE),
    Entry("standing", "cli.commands.standing:app", "What providers say about us, from their files.", _OPERATE),
    Entry("seeds", "cli.commands.seeds:app", "Where does our mail land? Mailboxes of ours.", _OPERATE),
    Entry("backup", "cli.commands.backup:backup", "Copy the database into a folder, while mail goes on.", _OPERATE),
    Entry(
        "restore", "cli.commands.restore:restore", "Make an installation of a backup, in an empty database.", _OPERATE
    ),
    Entry("restored", "cli.commands.restored:app", "What a restored backup holds: send it, or end it.", _OPERATE),
    Entry("send", "cli.commands.send:send", "Send one mail.", _LOOK),
    Entry("campaigns", "cli.commands.campaigns:app", "One mail to many people, an outcome for each.", _LOOK),
    Entry("automations", "cli.commands.automations:app", "What follows by itself: series, events, rules.", _LOOK),
    Entry("events", "cli.commands.events:app", "What applications tell of, for automations.", _LOOK),
    Entry("messages", "cli.commands.messages:app", "Where is my message, and why? List, show, cancel.", _LOOK),
    Entry("queue", "cli.commands.queue:app", "What waits, by lane and destination.", _LOOK),
    Entry("reports", "cli.commands.reports:reports", "Figures: what happened to the mail, by whatever.", _LOOK),
    Entry("sandbox", "cli.commands.sandbox:app", "Captured test mail: list, show, clear; rules.", _LOOK),
    Entry("webhooks", "cli.commands.webhooks:app", "Who is told of what happens; listen.", _LOOK),
    Entry("logs", "cli.commands.logs:app", "Requests of applications to the API: list, show.", _LOOK),
    Entry("bounces", "cli.commands.bounces:app", "What would be understood of bounce mails in files.", _LOOK),
    Entry("recipients", "cli.commands.recipients:app", "One person: may we write to them, and why not.", _LOOK),
    Entry("suppressions", "cli.commands.suppressions:app", "Addresses that get no mail.", _LOOK),
    Entry("addresses", "cli.commands.addresses:app", "What speaks against writing to an address.", _LOOK),
)

_HELP = """Transactional and marketing email from your own IP addresses.

Try it: postlane up --demo

Send: postlane send --from me@shop.test --to you@example.com --text Hello

Ask what happened: postlane messages why ID

JSON like the API's, when piped or with --json: postlane messages list | jq .
"""


def _load(entry: Entry) -> Any:  # Typer does not export the type of a command
    module, attribute = entry.target.split(":")
    found: Any = getattr(importlib.import_module(module), attribute)
    parent = typer.Typer(add_completion=False)
    parent.callback()(lambda: None)  # makes it a group even with one command
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=entry.name)
    else:
        parent.command(name=entry.name)(found)
    return marked(typer.main.get_group(parent).commands[entry.name], (entry.name,))


class LazyGroup(TyperGroup):
    """A group whose sub-commands are only name and help until one of them is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self._entries = {entry.name: entry for entry in COMMANDS}
        for entry in COMMANDS:
            self.add_command(TyperCommand(entry.name, help=entry.help, rich_help_panel=entry.panel))

    def list_commands(self, ctx: Any) -> list[str]:
        """Names in the order of `COMMANDS`."""
        return list(self._entries)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Replace the placeholder by the real command before Typer looks it up."""
        if args and args[0] in self._entries:
            self.add_command(_load(self._entries[args[0]]), args[0])
        return super().resolve_command(ctx, args)


app = typer.Typer(
    name="postlane",
    cls=LazyGroup,
    help=_HELP,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"postlane {version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    _version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), nl=False)


def main(arguments: Sequence[str] | None = None) -> None:
    """Entry point of the console script. Ends the process."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    sys.exit(run(lambda: app(words, prog_name="postlane", standalone_mode=False), as_json="--json" in words))


def run(command: Callable[[], object], *, as_json: bool = False) -> int:
    """Call a command and print what goes wrong; the exit status. Bugs keep their traceback."""
    try:
        result = command()
    except typer.TyperException as error:
        return _usage(error, as_json)
    except typer.Abort:
        print_error("aborted", "Stopped before anything was done.", as_json=as_json)
        return 1
    except PostlaneError as error:
        print_error(error_code(error), str(error), getattr(error, "hint", ""), as_json=as_json)
        return 1
    return result if isinstance(result, int) else 0


def _usage(error: typer.TyperException, as_json: bool) -> int:
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    if message:  # empty when Typer has printed the help instead
        context = getattr(error, "ctx", None)
        path = context.command_path if context else "postlane"
        print_error("usage", message, f"`{path} --help` explains it.", as_json=as_json)
    return int(getattr(error, "exit_code", 2))


def error_code(error: PostlaneError) -> str:
    """The stable code of an error: its own, or its class name (`AlreadyRunningError` → `already_running`)."""
    own = getattr(error, "code", None)
    name = type(error).__name__.removesuffix("Error")
    return own if isinstance(own, str) else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()


if __name__ == "__main__":
    main()
