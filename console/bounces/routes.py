"""`/bounces`: bounces and complaints by class and provider over time, and the mail that told of them, as it came.

Figures are those of reports. Mail that came back belongs to the installation and holds other people's words: it is
shown to whoever sees the machine, its text to whoever may read mail. `?open=ID` opens one. Thin: `outcomes/inbound`
keeps, `mta/bounces` reads, as for the API and the command line.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts.roles import Right
from console.bounces import words
from console.guard import ConsoleRoute, needs
from console.listing import Listed, listed, opened, window
from console.menu import Entry
from console.noun import Noun
from console.rendering import page
from console.sites import shown_site
from console.spans import CHOICES, Span, Step, span, steps
from console.visit import Visit, Visiting
from core.errors import ConfigurationError
from core.settings import Settings
from mta.bounces import BounceReport, RecipientReport, parse_bounce
from mta.from_settings import rules_in_force
from mta.model import Verdict
from mta.rule_book import RuleBook
from mta.rules import CLASSES
from outcomes.inbound import ShownMail, get_inbound, open_inbound, page_of_inbound
from outcomes.judging import Result
from store import figures
from store.database import Connection
from store.figures import Question, Row
from store.tally import REFUSED, Tally

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 45, "Bounces", "/bounces", "bounces", Right.MAIL_SEE)])

_SHOWN_BYTES: Final = 64 * 1024
"""Of a mail as it came; the command line writes all of it."""
_MOST_PROVIDERS: Final = 30
_WAITING: Final = "waiting"
"""What the address calls mail that has no result yet."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What came back in a stretch of time."""

    span: Span
    steps: Sequence[Step]
    totals: Tally
    before: Tally
    providers: Sequence[Row]

    @property
    def classes(self) -> Mapping[str, int]:
        """Refusals by class, the most frequent first."""
        return self.totals.by_class(*REFUSED)


@dataclass(frozen=True, slots=True)
class Panel:
    """One mail that came back, what it says, and as it came."""

    mail: ShownMail
    report: BounceReport | None
    recipients: Sequence[tuple[RecipientReport, Verdict]]
    source: str
    """"" for whoever may not read it."""
    cut: bool


@router.get("/bounces")
@needs(Right.MAIL_SEE)
async def show(visit: Visiting) -> Response:
    """Figures for whoever sees mail; what came back for whoever sees the machine."""
    wanted, machine = window(visit), visit.may(Right.MACHINE_SEE)
    rows: Listed[ShownMail] = Listed([])
    waiting, panel = dict[str, int](), None
    async with visit.given.database.connection() as connection:
        counted = await _counted(connection, visit)
        if machine:
            found = await page_of_inbound(connection, _results(visit.asked("result")), wanted)
            rows = listed(visit, found, wanted, lambda one: one.id)
            waiting = await open_inbound(connection)
            known = await _known(connection, visit.asked("open"))
            panel = await _panel(visit, *known) if known else None
    return page(
        visit, "bounces/bounces.html", counted=counted, words=words, rows=rows, panel=panel, machine=machine,
        answered=words.what_came_back(counted.totals, counted.before, counted.span.told, CLASSES),
        waits=words.waits(waiting), waiting=waiting, spans=CHOICES,
        results=[(str(result) or _WAITING, said[1]) for result, said in words.BECAME.items()], classes=CLASSES,
        at=partial(opened, visit), shown_site=shown_site, shown_bytes=_SHOWN_BYTES,
    )  # fmt: skip


async def _counted(connection: Connection, visit: Visit) -> Counted:
    one = span(visit.asked("span"), visit.now, visit.zone)
    whole = Question(
        one.since, one.until, one.zone, applications=visit.applications, hours_kept=visit.kept, now=visit.now
    )
    by_step = await figures.ask(connection, replace(whole, period=one.period))
    before = await figures.ask(connection, replace(whole, since=one.before, until=one.since))
    providers = [
        row for row in (await figures.ask(connection, replace(whole, group=("provider",)))).rows if row.keys[0]
    ]
    providers.sort(key=lambda row: -(row.tally.measures()["bounced"] + row.tally.measures()["complained"]))
    return Counted(one, steps(one, by_step), by_step.totals, before.totals, providers[:_MOST_PROVIDERS])


def _results(text: str) -> Sequence[str]:
    if text == _WAITING:
        return ("",)
    return (text,) if text in list(Result) else ()


async def _known(connection: Connection, open_id: str) -> tuple[ShownMail, bytes] | None:
    try:
        return await get_inbound(connection, UUID(open_id))
    except ValueError:
        return None


async def _panel(visit: Visit, mail: ShownMail, raw: bytes) -> Panel:
    report, recipients = await asyncio.to_thread(_understood, visit.given.settings, raw)
    may = visit.may(Right.MAIL_CONTENT)
    source = raw[:_SHOWN_BYTES].decode("utf-8", "replace").replace("\r\n", "\n") if may else ""
    return Panel(mail, report, recipients, source, cut=len(raw) > _SHOWN_BYTES)


def _understood(
    settings: Settings, raw: bytes
) -> tuple[BounceReport | None, Sequence[tuple[RecipientReport, Verdict]]]:
    """The report, and the verdict on each refusal that it quotes."""
    report = parse_bounce(raw)
    if report is None:
        return None, []
    try:
        rules = rules_in_force(settings)
    except ConfigurationError:  # of the operator's own file; the page of providers says so
        rules = RuleBook(None, ())
    return report, [(one, rules.classify(one.response, "")) for one in report.recipients]
