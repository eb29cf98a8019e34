"""Makes a campaign for each day of a rule: a copy of the one that is named, scheduled for that instant.

The instant is the run's entry, so a day makes one campaign, whoever looks and however often. After an outage only the
newest day that passed is made; the campaign's own guard then asks whether it should still go out (`campaigns/work`).
While the one before has not ended, because it is being sent, was stopped by a breaker or waits for an answer, none is
made: whatever kept that one would meet the next.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from campaigns import repository as campaigns
from campaigns import steering as campaign_steering
from campaigns.automations import recurrence, repository, runs, steering
from campaigns.automations.model import (
    NOBODY,
    Automation,
    AutomationState,
    Done,
    Run,
    RunState,
    SendBroadcast,
    StepState,
    WholeRun,
    Workflow,
)  # fmt: skip
from campaigns.automations.recurrence import Recurrence
from campaigns.model import Campaign
from campaigns.states import CampaignState
from core.errors import UnavailableError
from core.ids import uuid7
from core.logs import get_logger
from core.refusal import Refused
from flags import declared
from store import arrays
from store.database import Connection, Database

_log = get_logger(__name__)

MOST: Final = 50
"""Rules of one turn."""
_ENDED: Final = (CampaignState.FINISHED, CampaignState.CANCELLED, CampaignState.DRAFT)


_OWNERS: Final = "SELECT DISTINCT application_id FROM automations WHERE next_at <= now()"
DUE: Final = "EXISTS (SELECT FROM automations WHERE next_at <= now())"
"""Condition: `make_due` has something to do."""
_DUE: Final = """
SELECT id FROM automations WHERE next_at <= now() AND application_id = ANY(%(owners)s::uuid[])
 ORDER BY next_at LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Made:
    """What became of a day."""

    state: StepState
    reason: str = ""
    campaign_id: UUID | None = None


async def make_due(database: Database, *, pages: bool = True) -> int:
    """Make what is due; how many days were looked at. `pages`: there are public pages, as campaigns ask."""
    async with database.connection() as connection:
        owners = await (await connection.execute(_OWNERS)).fetchall()
        on = arrays.uuids(owner for (owner,) in owners if declared.AUTOMATIONS.on(owner))
        found = [row[0] for row in await (await connection.execute(_DUE, {"owners": on, "most": MOST})).fetchall()]
    for identifier in found:
        try:
            await _make(database, identifier, pages=pages)
        except UnavailableError:
            raise
        except Exception as error:  # a bug that one rule brings to light holds up none of the others
            _log.error("rule_failed", automation=str(identifier), exc_info=error)
            await _say_failed(database, identifier, f"internal error: {type(error).__name__}: {error}")
    return len(found)


async def _say_failed(database: Database, identifier: UUID, why: str) -> None:
    """Where not even that can be written the rule stays due, and `watching` raises an alarm."""
    try:
        await _make(database, identifier, why)
    except UnavailableError:
        raise
    except Exception as error:  # the same bug again: those behind it are not to blame
        _log.error("rule_unreadable", automation=str(identifier), exc_info=error)


async def _make(database: Database, identifier: UUID, failed: str = "", *, pages: bool = True) -> None:
    async with database.transaction() as connection:
        automation = await _held(connection, identifier)
        if automation is None or automation.next_at is None:
            return
        now = await steering.now(connection)
        workflow = await repository.workflow_of(connection, automation)
        rule = _rule(workflow)
        *missed, at = recurrence.between(rule, automation.next_at, now) or [automation.next_at]
        if not await runs.has(connection, automation.id, NOBODY, _entry(at)):
            bug = Made(StepState.FAILED, failed) if failed else None
            made = bug or await _copy(connection, automation, workflow, at, pages)
            await _write(connection, automation, at, now, _with(made, len(missed)))
        following = recurrence.following(rule, now)
        state = AutomationState.ENABLED if following else AutomationState.DISABLED
        await repository.switch(connection, automation, state, following)


async def _held(connection: Connection, identifier: UUID) -> Automation | None:
    """One that is still due, and that nobody else is making."""
    cursor = await connection.execute(
        "SELECT FROM automations WHERE id = %s AND next_at <= now() AND state = 'enabled' FOR UPDATE SKIP LOCKED",
        [identifier],
    )
    return await repository.find(connection, None, identifier) if await cursor.fetchone() is not None else None


async def _copy(connection: Connection, automation: Automation, workflow: Workflow, at: datetime, pages: bool) -> Made:
    last = await runs.last_campaign(connection, automation.id)
    if last is not None and last[1] not in _ENDED:
        return Made(StepState.SKIPPED, f"the one before it, {last[0]!r}, has not ended: it is {last[1]}")
    step = workflow.steps[0]
    assert isinstance(step, SendBroadcast), "it is the one step of a rule"
    try:
        async with connection.transaction():
            known = await campaigns.get(connection, automation.application_id, step.broadcast_id)
            return Made(StepState.COMPLETED, "", await _scheduled(connection, known, workflow, at, pages))
    except Refused as error:
        return Made(StepState.FAILED, str(error))


async def _scheduled(connection: Connection, known: Campaign, workflow: Workflow, at: datetime, pages: bool) -> UUID:
    local = at.astimezone(ZoneInfo(_rule(workflow).zone))
    name = f"{known.name or known.words.subject} {local:%Y-%m-%d %H:%M}"
    return (await campaign_steering.repeat(connection, known, at, name, pages=pages)).id


async def _write(connection: Connection, automation: Automation, at: datetime, now: datetime, made: Made) -> None:
    states = {StepState.COMPLETED: RunState.COMPLETED, StepState.SKIPPED: RunState.CANCELLED}
    run = Run(
        uuid7(), automation.id, automation.application_id, automation.version_id, NOBODY, None, 1,
        states.get(made.state, RunState.FAILED), made.reason, None, None, at, now,
    )  # fmt: skip
    workflow = await repository.workflow_of(connection, automation)
    done = Done(0, made.state, None, made.campaign_id, made.reason, now)
    await runs.write_whole(connection, WholeRun(run, workflow, [done]), _entry(at))


def _rule(workflow: Workflow) -> Recurrence:
    assert workflow.trigger.recurrence is not None, "it was due"
    return workflow.trigger.recurrence


def _entry(at: datetime) -> str:
    return at.isoformat()


def _with(made: Made, missed: int) -> Made:
    passed = f"{missed} times before it passed while nobody looked" if missed else ""
    return Made(made.state, "; ".join(filter(None, (made.reason, passed))), made.campaign_id)
