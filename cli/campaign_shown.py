"""How `postlane campaigns` shows a campaign: a line of a table, a line of progress, and that again and again."""

import asyncio
import shlex
from uuid import UUID

from rich.console import Console
from rich.live import Live
from rich.text import Text

from campaigns import repository
from campaigns.model import Campaign
from campaigns.states import CampaignState
from cli.output import Column, print_json, print_table, tell, wants_json
from cli.sessions import with_database
from core.visible import on_one_line
from store.database import Database
from web.faces.broadcasts import broadcast_answer, broadcast_face, people_face

_WATCH_SECONDS = 1.0
_ENDS = (CampaignState.FINISHED, CampaignState.CANCELLED)

COLUMNS = (
    Column("name", style="bold"),
    Column("state"),
    Column("total", "people"),
    Column("delivered"),
    Column("open", drop=2),
    Column("reason", wrap=True, drop=3),
    Column("scheduled_at", drop=4),
    Column("id", style="dim", drop=0),
)


def called(campaign: Campaign) -> str:
    """Its name, or its id."""
    return campaign.name or str(campaign.id)


def cells(found: Campaign) -> dict[str, object]:
    """Its line in a table."""
    people = people_face(found)
    waits = people["waiting"] + people["queued"] + people["deferred"]
    return broadcast_face(found) | {"total": people["total"], "delivered": people["delivered"], "open": waits}


def show_campaign(found: Campaign, as_json: bool) -> None:
    """The campaign by itself, and how far it is."""
    if wants_json(as_json):
        print_json(broadcast_answer(found))
        return
    line = cells(found) | {"name": called(found)}
    if not line["total"]:
        line |= {"total": "not fixed yet", "delivered": None, "open": None}
    print_table(line, [one for one in COLUMNS if line[one.key] not in (None, "")])
    tell(progress(found))


def progress(found: Campaign) -> str:
    """One line: how far it is, and what is not zero."""
    people = people_face(found)
    total = people.pop("total")
    if not total:
        return _before_people(found)
    waits = people["waiting"] + people["queued"] + people["deferred"]
    share = (total - waits) / total if total else 0.0
    parts = ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in people.items() if n)
    why = f" ({found.why})" if found.why else ""
    return f"{found.state}{why}: {share:.0%} of {total:,} people done{f'; {parts}' if parts else ''}"


def _before_people(found: Campaign) -> str:
    """Where one is that has no people yet, and what comes next."""
    if found.unreadable:
        return f"{found.state}: {found.why}"
    if found.state is CampaignState.DRAFT:
        name = shlex.quote(called(found))
        return f"A draft. Next: postlane campaigns preview {name}, check {name}, start {name}."
    if found.state is CampaignState.SENDING:
        return f"{found.state}: its people are being fixed."
    return f"{found.state}{f' ({found.reason})' if found.reason else ''}: nobody yet."


def watch_campaign(identifier: UUID) -> None:
    """The line of progress, again and again, until it ends or somebody has had enough."""

    async def work(database: Database) -> None:
        with Live(console=Console(stderr=True, highlight=False), auto_refresh=False) as live:
            while True:
                async with database.connection() as connection:
                    found = await repository.get(connection, None, identifier)
                line = Text(on_one_line(progress(found)))
                live.update(line, refresh=True)
                if found.state in _ENDS:
                    return
                await asyncio.sleep(_WATCH_SECONDS)

    with_database(work)
