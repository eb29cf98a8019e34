"""Commands of the practice internet; mounted as `postlane simulator` and run alone by `python -m simulator`.

Tables for people, JSON when the output is piped or `--json` is given, errors on stderr with exit code 1. Everything but
`run` talks to a running simulator through `simulator/client.py`.
"""

import contextlib
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from core.errors import PostlaneError
from core.settings import load
from simulator import client
from simulator.main import SimulatorConfig
from simulator.main import run as run_simulator

app = typer.Typer(name="simulator", help="The practice internet: simulated mailbox providers on loopback.")
app.info.no_args_is_help = True
reputation = typer.Typer(help="Let the providers judge IPs by age, volume jumps and complaints.", no_args_is_help=True)
app.add_typer(reputation, name="reputation")

_DEFAULT_STATE = Path(".postlane/simulator.json")


def _in_data_folder(state: Path) -> Path:
    """The one that is named; else that of the data folder which is set for all commands."""
    return load().data_dir / _DEFAULT_STATE.name if state == _DEFAULT_STATE else state


StateOption = Annotated[
    Path, typer.Option("--state", callback=_in_data_folder, help="State file of the running simulator.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON also on a terminal.")]
_AWAITED_SECONDS = 10.0

_Row = Mapping[str, object]


@app.command()
def run(
    state: StateOption = _DEFAULT_STATE,
    zones: Annotated[Path | None, typer.Option(help="Extra DNS records, JSON {name: {type: [values]}}.")] = None,
    ledger: Annotated[Path | None, typer.Option(help="Write a line per accepted mail to this file.")] = None,
    smtp_port: Annotated[int, typer.Option(help="SMTP port of all mail hosts; 0 takes a free one.")] = 0,
    dns_port: Annotated[int, typer.Option(help="DNS port; 0 takes a free one.")] = 0,
    control_port: Annotated[int, typer.Option(help="Control port; 0 takes a free one.")] = 0,
    webhook_port: Annotated[int, typer.Option(help="Port that receives webhooks; 0 takes a free one.")] = 0,
    single_address: Annotated[
        bool | None,
        typer.Option("--single-address/--many-addresses", help="All hosts on 127.0.0.1; found out without it."),
    ] = None,
    greylist_seconds: Annotated[float, typer.Option(min=0, help="How long a greylisted sender waits.")] = 5.0,
    report_port: Annotated[
        int, typer.Option(help="SMTP port of those whom late bounces and complaints go to; 0: nobody is told.")
    ] = 0,
    people_seconds: Annotated[float, typer.Option(min=0, help="How long people take to react to a mail.")] = 2.0,
) -> None:
    """Run the practice internet until Ctrl-C or SIGTERM."""
    config = SimulatorConfig(
        state=state,
        zones=zones,
        ledger=ledger,
        smtp_port=smtp_port,
        dns_port=dns_port,
        control_port=control_port,
        webhook_port=webhook_port,
        single_address=single_address,
        greylist_seconds=greylist_seconds,
        report_port=report_port,
        people_seconds=people_seconds,
    )
    with _errors():
        run_simulator(config, _announce)


@app.command()
def mailbox(
    address: Annotated[str, typer.Argument(help="Such as user@gmail.sim.")],
    state: StateOption = _DEFAULT_STATE,
    as_json: JsonOption = False,
    raw: Annotated[bool, typer.Option("--raw", help="Print the newest mail as it came.")] = False,
) -> None:
    """Show the mails that arrived for an address."""
    if raw:
        sys.stdout.buffer.write(_newest(state, address).data)
        return
    with _errors():
        mails = client.mailbox(client.read_state(state), address)
    rows = [{key: value for key, value in asdict(mail).items() if key != "data"} for mail in mails]
    _show(rows, ("received_at", "client", "tls", "sender", "subject", "message_id", "octets"), f"{address}", as_json)


def _newest(state: Path, address: str) -> client.ReceivedMail:
    """The last mail; where there is none yet, what was sent a moment ago is waited for."""
    deadline = time.monotonic() + _AWAITED_SECONDS
    with _errors():
        while not (mails := client.mailbox(client.read_state(state), address, raw=True)):
            if time.monotonic() > deadline:
                _stop(f"no mail for {address}")
            time.sleep(0.1)
    return mails[-1]


@app.command()
def counts(state: StateOption = _DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Show what each provider did with each client."""
    with _errors():
        rows = client.counts(client.read_state(state))
    outcomes = sorted({key for row in rows for key in row} - {"provider", "client"})
    _show(rows, ("provider", "client", *outcomes), "Outcomes by provider and client", as_json)


@app.command()
def throttle(
    provider: Annotated[str, typer.Argument(help="Such as gmail, or * for all.")],
    client_name: Annotated[str, typer.Argument(metavar="CLIENT", help="IP or EHLO name; * for all.")] = "*",
    state: StateOption = _DEFAULT_STATE,
    seconds: Annotated[float | None, typer.Option(min=0.001, help="End it after so long.")] = None,
    mails: Annotated[int | None, typer.Option(min=1, help="End it after so many refusals.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End the throttles of this provider and client.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Let a provider throttle a client, or stop doing so."""
    with _errors():
        running = client.read_state(state)
        if clear:
            result: dict[str, object] = {"cleared": _clear_throttles(running, provider, client_name)}
        else:
            rule = client.throttle(running, provider, client_name, for_seconds=seconds, mails=mails)
            result = {"rule": rule, "provider": provider, "client": client_name}
    _show([result], tuple(result), "Throttle", as_json)


@app.command()
def rules(state: StateOption = _DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Show the rules in force."""
    with _errors():
        rows = client.rules(client.read_state(state))
    shown = ("name", "behaviour", "provider", "client", "recipient", "until", "mails", "above", "answered")
    _show(rows, shown, "Rules in force", as_json)


@app.command()
def webhooks(
    state: StateOption = _DEFAULT_STATE,
    as_json: JsonOption = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, of the last.")] = 20,
) -> None:
    """Show what the practice application was told."""
    with _errors():
        rows = client.webhooks(client.read_state(state))[-limit:]
    _show(rows, ("at", "type", "about", "signed", "status"), "Webhooks received", as_json)


@app.command()
def domains(state: StateOption = _DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Show the recipient domains and their providers."""
    with _errors():
        running = client.read_state(state)
    rows = [
        {"domain": domain, "provider": provider}
        for provider, entry in running.providers.items()
        for domain in entry["domains"]
    ]
    _show(rows, ("domain", "provider"), "Simulated domains", as_json)


@reputation.command("on")
def reputation_on(
    day_seconds: Annotated[
        float, typer.Option("--day-seconds", min=0.01, help="Seconds in which a simulated day passes.")
    ] = 86_400.0,
    strictness: Annotated[float, typer.Option(min=0.01, help="2 halves what providers give to newcomers.")] = 1.0,
    complaints: Annotated[float, typer.Option(min=0, max=0.99, help="Part of the mail reported as spam.")] = 0.0,
    seed: Annotated[int, typer.Option(min=1, help="For the small differences from day to day.")] = 1,
    state: StateOption = _DEFAULT_STATE,
    as_json: JsonOption = False,
) -> None:
    """Switch it on; every IP is new to every provider."""
    with _errors():
        running = client.read_state(state)
        found = client.judge_ips(
            running, day_seconds=day_seconds, strictness=strictness, complaints=complaints, seed=seed
        )
    _show([found], tuple(found), "IPs are judged", as_json)


@reputation.command("off")
def reputation_off(state: StateOption = _DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """Switch it off and forget what was thought of IPs."""
    with _errors():
        client.judge_no_ips(client.read_state(state))
    _show([{"on": False}], ("on",), "IPs are not judged", as_json)


@reputation.command("show")
def reputation_show(state: StateOption = _DEFAULT_STATE, as_json: JsonOption = False) -> None:
    """What each provider thinks of each IP."""
    with _errors():
        found = client.reputation(client.read_state(state))
    title = f"Day {int(found['days']) + 1}" if found["on"] else "IPs are not judged: `postlane simulator reputation on`"
    shown = (
        "site", "ip", "judgement", "age_days", "allowance", "accepted", "refused", "complaints", "blocks",
        "blocked_days", "why",
    )  # fmt: skip
    _show(found["opinions"], shown, title, as_json)


def _announce(running: client.SimulatorState) -> None:
    mode = "one address, clients told by EHLO name" if running.ehlo_mode else "an address for each mail host"
    typer.echo(
        f"practice internet: DNS {running.dns_address}:{running.dns_port}, SMTP port {running.smtp_port} ({mode}), "
        f"control {running.control_address}:{running.control_port}, {len(running.domains)} domains",
        err=True,
    )


def _clear_throttles(running: client.SimulatorState, provider: str, client_name: str) -> int:
    meant = [
        rule["name"]
        for rule in client.rules(running)
        if (rule["behaviour"], rule["provider"], rule["client"]) == ("throttle", provider, client_name)
    ]
    return sum(client.clear_rules(running, name) for name in meant)


def _show(rows: Sequence[_Row], columns: Sequence[str], title: str, as_json: bool) -> None:
    """Rows as JSON, or the chosen columns as a table."""
    if as_json or not sys.stdout.isatty():
        print(json.dumps(list(rows), indent=1))
        return
    table = Table(title=title, title_justify="left")
    for column in columns:
        numeric = all(isinstance(row.get(column, 0), int | float) for row in rows)
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(column, row.get(column)) for column in columns))
    Console().print(table)


def _cell(column: str, value: object) -> Text:
    if value is None:
        return Text()
    if column in ("received_at", "until", "at") and isinstance(value, float):
        return Text(time.strftime("%H:%M:%S", time.localtime(value)))
    # Subjects come from anywhere: neither escape sequences nor Rich markup may reach the terminal.
    return Text("".join(letter if letter.isprintable() else "?" for letter in str(value)))


@contextlib.contextmanager
def _errors() -> Iterator[None]:
    """Expected failures become a sentence on stderr and exit code 1."""
    try:
        yield
    except (PostlaneError, OSError) as error:
        _stop(str(error))


def _stop(text: str) -> None:
    typer.echo(f"simulator: {text}", err=True)
    raise typer.Exit(1)
