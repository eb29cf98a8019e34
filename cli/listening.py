"""Events on a terminal as they happen, a line each, and sent on to a program of one's own.

Fetches from the database several times a second (`webhooks/listening`); what is printed by itself never depends on what
the other program says.
"""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final
from uuid import UUID

from rich.console import Console
from rich.text import Text

from cli.output import say
from core.errors import UnavailableError
from core.refusal import invalid
from core.visible import json_for_terminals, on_one_line
from mta.dns_client import DnsClient
from mta.guard import networks
from store.database import Database
from webhooks import listening, signing
from webhooks.health import said
from webhooks.listening import Heard
from webhooks.sending import Sender
from webhooks.targets import Target, check, is_address

POLL_SECONDS: Final = 0.25
_AWAY_SECONDS: Final = 1.0
_THIS_MACHINE: Final = ("127.0.0.0/8", "::1/128")

_TELLING: Final = ("recipient", "email", "name", "subject", "ip", "kind")
"""What an event is about, by the first of these that it has."""
_BESIDES: Final = ("provider", "code", "class", "reason", "status", "detail")


@dataclass(frozen=True, slots=True)
class Forward:
    """Where events are sent on to."""

    target: Target
    secret: str
    dns_servers: Sequence[str]

    @classmethod
    def to(cls, url: str, dns_servers: Sequence[str], *, elsewhere: bool = False) -> "Forward":
        """A program on this machine, or `elsewhere` by https. Raises Refused."""
        target = check(url, networks(_THIS_MACHINE))
        if not elsewhere and not _is_here(target.host):
            told = f"{target.host} is not this machine, and events name the people mail went to; --elsewhere allows it"
            raise invalid("forward-to", told)
        return cls(target, signing.new_secret(), dns_servers)


def _is_here(host: str) -> bool:
    return host.rpartition(".")[2] == "localhost" or (is_address(host) and ip_address(host).is_loopback)


async def listen_until_stopped(
    database: Database, owner: UUID | None, events: Sequence[str] | None, forward: Forward | None, *, as_json: bool
) -> None:
    """Print and send on until the task is cancelled."""
    sender = Sender(DnsClient(forward.dns_servers), networks(_THIS_MACHINE)) if forward else None
    listener: UUID | None = None
    try:
        while True:
            try:
                listener, heard = await _next(database, listener, owner, events)
            except UnavailableError as error:
                say(str(error), style="yellow")
                await asyncio.sleep(_AWAY_SECONDS)
                continue
            for event in heard:
                note = await _forwarded(event, forward, sender) if forward and sender else ""
                _show(event, note, as_json)
            await asyncio.sleep(POLL_SECONDS)
    finally:
        if listener is not None:
            async with database.connection() as connection:
                await listening.finish(connection, listener)
        if sender is not None:
            await sender.close()


async def _next(
    database: Database, listener: UUID | None, owner: UUID | None, events: Sequence[str] | None
) -> tuple[UUID, list[Heard]]:
    async with database.transaction() as connection:
        if listener is None:
            return await listening.begin(connection, owner, events), []
        try:
            return listener, await listening.fetch(connection, listener)
        except LookupError:  # the machine slept: what happened meanwhile was told to nobody
            say("Was away for a while; events of that time are not shown.", style="yellow")
            return await listening.begin(connection, owner, events), []


async def _forwarded(event: Heard, forward: Forward, sender: Sender) -> str:
    body = event.payload.encode()
    signed = signing.head([forward.secret], str(event.id), int(datetime.now(UTC).timestamp()), body)
    answer = await sender.post(forward.target, signed, body)
    return f" → {said(answer)}"


def _show(event: Heard, note: str, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json_for_terminals(event.payload) + "\n")
        sys.stdout.flush()
        return
    Console(highlight=False).print(line(event, note, Console().width), soft_wrap=True)


def line(event: Heard, note: str, width: int) -> Text:
    """An event in one line of a terminal: when, what, about whom, and how it went."""
    when = event.created_at.astimezone().strftime("%H:%M:%S")
    head = f"{when}  {event.type:<22}  "
    about = on_one_line(_about(event.data))
    room = max(width - len(head) - len(note), 20)
    shown = about if len(about) <= room else about[: room - 1] + "…"
    return Text.assemble((head[:10], "dim"), (head[10:], "bold"), shown, (note, "dim"))


def _about(data: Mapping[str, Any]) -> str:
    who = next((str(data[name]) for name in _TELLING if data.get(name)), "")
    besides = [str(data[name]) for name in _BESIDES if data.get(name) not in (None, "", who)]
    return "  ".join([who, " ".join(besides)]).strip()
