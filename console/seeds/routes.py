"""`/seeds`: mailboxes of ours at the providers, where probes to them landed; add, probe, pause, resume, remove.

`?open=ID` opens one with its probes. Thin: `alarms/seeds` stores, the background worker sends and looks. A password is
kept sealed and comes back to no page.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from alarms import seeds
from alarms.seeds import PORTS, TLS, Account, NewSeed, Probe, Seed
from console.guard import ConsoleRoute, needs
from console.listing import opened
from console.menu import Entry
from console.noun import Noun
from console.rendering import page
from console.seeds import words
from console.sites import shown_site
from console.typed import whole_number
from console.visit import Visit, Visiting
from core.queues import Lane
from core.refusal import Refused, invalid
from mta.from_settings import providers_of
from mta.providers import OTHER, site_named
from store.database import Connection

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 60, "Seeds", "/seeds", "seeds", Right.MACHINE_SEE)])

_STRIP = 10
"""Probes of each account in the list."""
_LONGEST_PASSWORD = 1000
_USUAL_MINUTES = 360
_LARGEST = 999_999


@dataclass(frozen=True, slots=True)
class Panel:
    """One account with its probes."""

    seed: Seed
    probes: Sequence[Probe]


@router.get("/seeds")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """All accounts, perhaps with one of them open."""
    return await _list(visit, visit.asked("open"))


@router.get("/seeds/new")
@needs(Right.MACHINE_CHANGE)
async def new(visit: Visiting) -> Response:
    """The form that adds one."""
    return _new(visit)


@router.post("/seeds")
@needs(Right.MACHINE_CHANGE)
async def add(visit: Visiting) -> Response:
    """Adds a mailbox. Its first probe is sent within a minute."""
    try:
        wanted = _wanted(visit)
        async with visit.given.database.transaction() as connection:
            made = await seeds.add(connection, wanted, visit.given.secret)
            await visit.note(connection, Audit("seed.add", made.address, after=_values(made)))
    except Refused as error:
        return _new(visit, error)
    return visit.go(f"/seeds?open={made.id}", f"{made.address} is added. Its first probe is sent within a minute.")


@router.post("/seeds/{seed_id}/probe")
@needs(Right.MACHINE_CHANGE)
async def probe(seed_id: UUID, visit: Visiting) -> Response:
    """Sends the next probe within a minute."""
    return await _change(visit, seed_id, "probe", seeds.probe_now, "A probe to {} is sent within a minute.")


@router.post("/seeds/{seed_id}/pause")
@needs(Right.MACHINE_CHANGE)
async def pause(seed_id: UUID, visit: Visiting) -> Response:
    """Sends no probes to it until it is resumed."""
    work = partial(seeds.set_active, active=False)
    return await _change(visit, seed_id, "pause", work, "{} gets no probes until you resume it.")


@router.post("/seeds/{seed_id}/resume")
@needs(Right.MACHINE_CHANGE)
async def resume(seed_id: UUID, visit: Visiting) -> Response:
    """Sends probes to it again."""
    work = partial(seeds.set_active, active=True)
    return await _change(visit, seed_id, "resume", work, "{} is probed again, the first time within a minute.")


@router.post("/seeds/{seed_id}/remove")
@needs(Right.MACHINE_CHANGE)
async def remove(seed_id: UUID, visit: Visiting) -> Response:
    """Forgets it and its probes."""
    async with visit.given.database.transaction() as connection:
        gone = await seeds.remove(connection, str(seed_id))
        await visit.note(connection, Audit("seed.remove", gone.address, _values(gone)))
    return visit.go("/seeds", f"{gone.address} is forgotten, with its probes.")


async def _change(
    visit: Visit, seed_id: UUID, verb: str, work: Callable[[Connection, str], Awaitable[Seed]], told: str
) -> Response:
    try:
        async with visit.given.database.transaction() as connection:
            was = await seeds.find(connection, str(seed_id))
            now = await work(connection, str(seed_id))
            await visit.note(connection, Audit(f"seed.{verb}", now.address, _values(was), _values(now)))
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _list(visit, str(seed_id), error)
    return visit.go(f"/seeds?open={seed_id}", told.format(now.address))


async def _list(visit: Visit, open_id: str, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        found = await seeds.seeds(connection)
        newest = await seeds.newest_probes(connection, _STRIP)
        chosen = next((one for one in found if str(one.id) == open_id), None)
        panel = Panel(chosen, await seeds.probes(connection, chosen.id)) if chosen else None
    return page(
        visit, "seeds/seeds.html", 422 if error else 200, found=found, newest=newest, panel=panel, words=words,
        error=error, answered=words.where_it_lands(found), shown_site=shown_site, at=partial(opened, visit),
    )  # fmt: skip


def _new(visit: Visit, error: Refused | None = None) -> Response:
    names = [*sorted(providers_of(visit.given.settings).names), OTHER]
    return page(
        visit, "seeds/new.html", 422 if error else 200, error=error, providers=names, usual=_USUAL_MINUTES,
        ways=[("tls", "TLS"), ("starttls", "STARTTLS"), ("none", "none")], lanes=[lane.value for lane in Lane],
    )  # fmt: skip


def _wanted(visit: Visit) -> NewSeed:
    """What the form asks for. Raises Refused naming the field."""
    provider = site_named(providers_of(visit.given.settings), visit.field("provider"))
    address, tls, password = visit.field("address"), visit.field("tls") or "tls", visit.secret("password")
    if tls not in TLS:
        raise invalid("tls", f"it must be one of {', '.join(TLS)}")
    if not 1 <= len(password) <= _LONGEST_PASSWORD:
        raise invalid("password", "give the password that opens the mailbox")
    port = _number(visit, "port") or PORTS[tls]
    account = Account(visit.field("host"), port, tls, visit.field("login") or address, password)
    minutes = _number(visit, "every_minutes") or _USUAL_MINUTES
    return NewSeed(address, provider, account, visit.field("sender"), _lane(visit), minutes)


def _number(visit: Visit, name: str) -> int:
    """0 where nothing is given."""
    text = visit.field(name)
    found = whole_number(text or "0")
    if found is None or found > _LARGEST:
        raise invalid(name, "it must be a whole number")
    return found


def _lane(visit: Visit) -> Lane:
    try:
        return Lane(visit.field("lane") or Lane.MARKETING)
    except ValueError:
        raise invalid("lane", f"it must be {' or '.join(Lane)}") from None


def _values(one: Seed) -> Values:
    return {
        "provider": one.provider, "host": one.host, "port": one.port, "tls": one.tls, "login": one.login,
        "sender": one.sender, "stream": one.lane, "every_minutes": one.every_minutes, "active": one.active,
    }  # fmt: skip
