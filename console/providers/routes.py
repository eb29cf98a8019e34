"""`/providers`: how mailbox providers treat us, figures and times, rules that fired, and what a reply means.

Thin: figures are `store/figures`, rules `mta/rule_book`, rests `pools/throttle_administration`.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from fastapi import APIRouter, Response

from accounts.roles import Right
from console.answers import sentence
from console.guard import ConsoleRoute, needs
from console.ips.board import cell, columns
from console.ips.words import DOES
from console.menu import Entry
from console.noun import Noun
from console.outcomes import by_hour
from console.providers import words
from console.providers.treating import Treatment, attempts, deferral, worse_since
from console.rendering import page
from console.sites import shown_site
from console.visit import Visit, Visiting
from core.errors import ConfigurationError
from core.refusal import Refused
from mta import verdict_words
from mta.from_settings import providers_of, rules_in_force
from mta.model import Phase
from mta.providers import OTHER, provider_named, site_named
from mta.reply_parser import MAX_TEXT, written
from mta.rules import CLASSES
from pools import standing, throttle_administration
from pools.fired import fired
from pools.ip_status import ip_statuses
from pools.throttle_repository import ThrottleRow
from store import figures
from store.database import Connection
from store.figures import Question
from store.tally import Tally

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 30, "Providers", "/providers", "providers", Right.MACHINE_SEE)])

_HOURS: Final = 48
_FIRED_DAYS: Final = 30
_RECENT: Final = timedelta(hours=2)
"""With the whole hour that it begins in."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a reply means, in words."""

    reply: str
    rule: str = ""
    file: str = ""
    source: str = ""
    meaning: str = ""
    message: str = ""
    address: str = ""
    ip: str = ""
    trouble: str = ""
    """Why it cannot be said."""


@router.get("/providers")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """All of them, those with trouble first."""
    async with visit.given.database.connection() as connection:
        counted = await _by_provider(connection, visit)
        held = await throttle_administration.found(connection, "ip", "", "")
    names = sorted({*counted[0], *counted[1], *(_provider(row) for row in held)})
    found = [_treatment(name, counted, held) for name in names]
    meant = await asyncio.to_thread(_explained, visit, visit.asked("provider") or OTHER)
    found.sort(key=lambda one: (one.state == "active", -attempts(one.now)))
    return page(
        visit, "providers/list.html", found=found, words=words, deferral=deferral, shown_site=shown_site,
        answered=words.how_all(found, visit.now), meant=meant,
        names=[OTHER, *sorted(providers_of(visit.given.settings).names)],
    )  # fmt: skip


@router.get("/providers/{name}")
@needs(Right.MACHINE_SEE)
async def show_one(name: str, visit: Visiting) -> Response:
    """One of them."""
    known = providers_of(visit.given.settings)
    name = provider_named(known, name)
    async with visit.given.database.connection() as connection:
        counted = await _by_provider(connection, visit, name)
        held = await throttle_administration.found(connection, "ip", "", name)
        hours = await _hours(connection, visit, name)
        rules = await fired(connection, name, _FIRED_DAYS)
        statuses = await ip_statuses(connection)
        theirs = [figure for figure in await standing.latest(connection) if figure.provider == name]
    one = _treatment(name, counted, held)
    since = worse_since(hours, deferral(one.before)) if one.worse else None
    meant = await asyncio.to_thread(_explained, visit, name)
    sites = columns(statuses)
    cells = [(status, cell(status, name, sites)) for status in statuses]
    return page(
        visit, "providers/one.html", one=one, words=words, deferral=deferral, answered=words.how(one, since, visit.now),
        chart=by_hour(hours), deferrals=words.deferrals(hours), times=words.times(hours), fired=rules, cells=cells,
        figures_of_theirs=theirs, limits=known.limits(name), meant=meant, shown_site=shown_site, days=_FIRED_DAYS,
        suffixes=sorted(suffix for suffix, owner in known.suffixes.items() if owner == name),
        classes=one.now.by_class("deferred", "bounced", "blocked"), does=DOES,
    )  # fmt: skip


def _treatment(name: str, counted: Sequence[Mapping[str, Tally]], held: Sequence[ThrottleRow]) -> Treatment:
    mine = [row for row in held if _provider(row) == name]
    now, before, recent = (one.get(name, Tally()) for one in counted)
    return Treatment(name, now, before, recent, mine)


def _provider(row: ThrottleRow) -> str:
    return OTHER if row.key.site.startswith("mx:") else row.key.site


async def _by_provider(connection: Connection, visit: Visit, name: str = "") -> list[dict[str, Tally]]:
    """The last 24 hours, the seven days before, and the last hours."""
    until = visit.now
    since = (until - timedelta(hours=24)).replace(minute=0, second=0, microsecond=0)
    found = []
    for start, end in (
        (since, until),
        (since - timedelta(days=7), since),
        ((until - _RECENT).replace(minute=0, second=0, microsecond=0), until),
    ):
        names = (name,) if name else ()
        asked = Question(start, end, visit.zone, group=("provider",), providers=names, hours_kept=visit.kept, now=until)
        rows = (await figures.ask(connection, asked)).rows
        found.append({row.keys[0]: row.tally for row in rows if row.keys[0]})
    return found


async def _hours(connection: Connection, visit: Visit, name: str) -> list[tuple[datetime, Tally]]:
    """Every hour of the last two days, those without mail too."""
    since = (visit.now - timedelta(hours=_HOURS - 1)).replace(minute=0, second=0, microsecond=0)
    asked = Question(since, visit.now, visit.zone, "hour", providers=(name,), hours_kept=visit.kept, now=visit.now)
    known = {row.period: row.tally for row in (await figures.ask(connection, asked)).rows}
    hours = [(since + timedelta(hours=n)).astimezone(visit.zone) for n in range(_HOURS)]
    return [(hour, known.get(hour, Tally())) for hour in hours]


def _explained(visit: Visit, provider: str) -> Meaning | None:
    """What the reply that was asked about means, at this provider; None when none was."""
    text = visit.asked("reply", MAX_TEXT)
    if not text:
        return None
    response = written(text, Phase.RCPT)
    if response is None:
        return Meaning(text, trouble="A reply begins with its code, such as “421 4.7.0 Try again later”.")
    try:
        book = rules_in_force(visit.given.settings)
    except ConfigurationError as error:
        return Meaning(text, trouble=f"The rules cannot be read, so those loaded before are in force: {error}")
    try:
        provider = site_named(providers_of(visit.given.settings), provider)
    except Refused as error:
        return Meaning(text, trouble=sentence(error))
    verdict, rule = book.classify(response, provider), book.deciding_rule(response, provider)
    return Meaning(
        text,
        verdict.rule,
        rule.file if rule else "",
        rule.source if rule else "",
        CLASSES[verdict.klass],
        verdict_words.message(verdict),
        verdict_words.address(verdict),
        verdict_words.ip(verdict, provider),
    )
