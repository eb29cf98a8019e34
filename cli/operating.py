"""What the nouns of operators share: cells about IPs, checks of provider names, and who it was for the story."""

import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Final

import typer

from accounts.audit import Actor
from cli import context
from cli.output import CliError
from mta import providers
from mta.from_settings import known_providers
from pools.ip_status import IpStatus, Use, ago
from pools.model import EVERYWHERE
from pools.throttle_repository import ThrottleRow

PoolArgument = Annotated[str, typer.Argument(metavar="POOL", help="Name of the pool, its id or its beginning.")]
IpArgument = Annotated[str, typer.Argument(metavar="IP", help="Public address of the IP.")]
ReasonOption = Annotated[str, typer.Option("--reason", "-r", help="Why: the story keeps it for whoever asks later.")]
SiteArgument = Annotated[
    str, typer.Argument(metavar="PROVIDER", help="A mailbox provider, other, or mx:SERVER of a small one.")
]


SHOWN_USES: Final = 3
"""Providers named in a cell; the rest is counted. `ips show` and JSON have them all."""


def by() -> str:
    """Who did it, for the story."""
    user = _user()
    return f"{user} on the command line" if user else "the command line"


def actor() -> Actor:
    """The same for the audit log."""
    user = _user()
    return Actor(f"command line ({user})" if user else "command line", "cli")


def _user() -> str:
    """The account of the machine; "" for one without an entry, as in some containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def asked_password() -> str:
    """From the keyboard, without an echo; where standard input is no terminal, its first line."""
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, err=True))
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CliError("no_password", "There is no password on standard input.", "Type it, or pipe it in.")
    return password


def site_named(text: str, *, everywhere: bool = False) -> str:
    """The site that the text names. Raises Refused with the names there are."""
    also = (EVERYWHERE,) if everywhere else ()
    return providers.site_named(known_providers(context.settings()), text, also=also)


def uses(found: Sequence[Use], most: int = SHOWN_USES) -> str:
    """Today's use (and cap) as a cell: "gmail 120/500, yahoo 40/200, others 3/100", the largest first."""
    shown = sorted(found, key=lambda use: (use.provider == EVERYWHERE, -(use.granted or use.sent), -(use.cap or 0)))
    cells = []
    for use in shown[:most]:
        name = "others" if use.provider == EVERYWHERE else use.provider
        cells.append(f"{name} {use.sent:,}" if use.cap is None else f"{name} {use.granted or 0:,}/{use.cap:,}")
    return ", ".join(cells) + (f", {len(shown) - most} more" if len(shown) > most else "")


def rests(found: Sequence[ThrottleRow]) -> str:
    """Where an IP rests and for how long: "gmail 12 min, yahoo 2 h"."""
    now = datetime.now(UTC)
    cells = []
    for row in found:
        until = row.condition.rest_until
        where = "everywhere" if row.key.site == EVERYWHERE else row.key.site.removeprefix("mx:")
        cells.append(f"{where} {ago(now, until)}" if until else where)
    return ", ".join(cells)


def stage(one: IpStatus) -> str:
    """The warm-up as a cell: "4 of 29", "4 of 29, paused"."""
    if one.warming is None:
        return ""
    return one.warming.stage + (", paused" if one.warming.state == "paused" else "")
