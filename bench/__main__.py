"""`python -m bench`: what to measure, progress, the table, the JSON."""

import contextlib
import signal
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from bench import cases, machine, report, rows
from bench.errors import BenchError
from bench.figures import KINDS
from bench.mail import BULK_ZONE
from bench.options import Options, quick
from bench.session import Session
from bench.world import opened
from core.errors import PostlaneError

_WIDTH = 170
"""Columns in a file or a pipe: the table in full."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def bench(
    only: Annotated[list[str] | None, typer.Option(help="Measure this figure only; may be repeated.")] = None,
    messages: Annotated[int | None, typer.Option(min=1000, help="Mails of one delivery run, in thousands.")] = None,
    runs: Annotated[int | None, typer.Option(min=1, help="Runs of each figure; the median counts.")] = None,
    out: Annotated[Path, typer.Option(help="Where the JSON goes.")] = Path("build/bench.json"),
    quickly: Annotated[bool, typer.Option("--quick", help="Smaller sizes, one run: about three minutes.")] = False,
    marketing_workers: Annotated[int, typer.Option(min=1, help="Marketing worker processes.")] = 2,
    backlog: Annotated[int | None, typer.Option(min=20_000, help="Mails queued for backlog_ratio.")] = None,
    campaign_people: Annotated[
        int | None, typer.Option(min=1000, help="People of the campaign that is sent to its end.")
    ] = None,
    messages_stored: Annotated[int | None, typer.Option(min=20_000, help="Messages stored for page_ms.")] = None,
    folder: Annotated[Path, typer.Option(help="Databases, queues, logs; about 15 GB for the default sizes.")] = Path(
        "build/bench"
    ),
) -> None:
    """Measure Postlane, and Postfix with OpenDKIM beside it, on this machine. Wants to be alone on it."""
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    with _stopped_like_ctrl_c():
        options = quick(folder) if quickly else Options(folder=folder)
        options = replace(
            options,
            messages=messages or options.messages,
            runs=runs or options.runs,
            limits_runs=runs or options.limits_runs,
            told_runs=runs or options.told_runs,
            backlog=backlog or options.backlog,
            campaign_people=campaign_people or options.campaign_people,
            messages_stored=messages_stored or options.messages_stored,
            marketing_workers=marketing_workers,
        )
        try:
            session, facts = uvloop.run(_measure(options, wanted(only or []), console))
        except PostlaneError as error:
            console.print(f"[red]{error}[/]", soft_wrap=True)
            raise typer.Exit(1) from error
        except KeyboardInterrupt:
            console.print("stopped; everything that was started has been ended")
            raise typer.Exit(130) from None
    figures = list(session.found.values())
    report.write(out, report.as_json(figures, session.omitted, facts | {"quick": quickly}, options))
    console.print(report.table(figures, session.omitted))
    console.print(f"written to {out}")


def wanted(only: list[str]) -> frozenset[str]:
    """The keys to measure: all of them when none is named. BenchError for a name that is none."""
    unknown = sorted(set(only) - set(KINDS))
    if unknown:
        raise BenchError(f"no such figure: {', '.join(unknown)}. There are: {', '.join(KINDS)}")
    return frozenset(only or KINDS)


async def _measure(options: Options, keys: frozenset[str], console: Console) -> tuple[Session, dict[str, object]]:
    options.folder.mkdir(parents=True, exist_ok=True)
    needed = keys | ({"delivered_per_s"} if "suppression_cost" in keys else frozenset())
    with console.status("starting servers") as status, opened(options) as world:

        def say(text: str) -> None:
            status.update(text)
            if not console.is_terminal:
                console.print(f"{datetime.now(UTC):%H:%M:%S} {text}")

        facts: dict[str, object] = {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine.facts(options.folder, world.servers.database_url, world.servers.redis_url),
        }
        await world.databases.make_template(
            world.secret,
            lambda connection: rows.add_suppressions(
                connection, options.suppressions, (BULK_ZONE, options.domains), lambda n: say("filling the template")
            ),
        )
        session = Session(world, needed, say)
        for name, (figures, measure) in cases.ALL.items():
            if session.wants(*figures):
                console.rule(name)
                shown = set(session.found)
                try:
                    await measure(session)
                except BenchError as error:
                    console.print(f"[red]{error}[/]", soft_wrap=True)
                    session.omitted |= {key: str(error) for key in figures if session.wants(key)}
                while session.tables:
                    console.print(session.tables.pop(0))
                for key in session.found.keys() - shown:
                    console.print(f"{key} = {report.number(session.found[key].value, KINDS[key].digits + 1)}")
        return session, facts


@contextlib.contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """SIGTERM and SIGHUP end the run in order, as Ctrl-C does."""

    def stop(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(app())
