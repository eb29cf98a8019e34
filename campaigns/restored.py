"""Campaigns and automations that a restored backup brought back: they may have gone on since it was made.

Whoever got mail in that time does not stand in the copy. So nothing of them that was due by now leaves before a person
has looked; what is due at a time still ahead goes on.

Between `watch` and `put_aside` all that could go on is parked as it comes, in the statement that brings it: a process
that is started meanwhile finds nothing at work, nor does one after a restore that was interrupted. `watch` knows tables
as old as a backup may be; `put_aside` wants those of this version.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from campaigns import repository
from campaigns.model import Campaign
from campaigns.states import Act, CampaignState
from messages import halted
from store.database import Connection

WHY: Final = "restored from a backup: it may have gone on since"

_DISABLE: Final = """
UPDATE automations SET state = 'disabled', next_at = NULL, updated_at = now()
 WHERE state = 'enabled' AND next_at <= now()
"""
_END_RUNS: Final = """
UPDATE automation_runs SET state = 'cancelled', reason = %s, ended_at = now(), due_at = NULL
 WHERE state = 'running' AND due_at <= now()
"""


_PARKED: Final = (
    "CREATE TABLE restored_parked (kind text NOT NULL, id uuid NOT NULL, was text NOT NULL)",
    # Who restores has an empty search path.
    """
CREATE FUNCTION restored_parked() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN
  IF TG_TABLE_NAME = 'automation_runs' THEN
    INSERT INTO restored_parked VALUES (TG_TABLE_NAME, NEW.id, NEW.due_at);
    NEW.due_at := now() + interval '10 years';
  ELSE
    INSERT INTO restored_parked VALUES (TG_TABLE_NAME, NEW.id, NEW.state);
    NEW.state := TG_ARGV[0];
  END IF;
  RETURN NEW;
END $$
""",
)
_PARKS: Final = {
    "campaigns": ("NEW.state IN ('sending', 'scheduled')", "paused"),
    "automations": ("NEW.state = 'enabled'", "disabled"),
    "automation_runs": ("NEW.state = 'running' AND NEW.due_at IS NOT NULL", ""),
}
"""Table → which of its rows could go on, and the state in which they do not."""
_PARK: Final = """
CREATE TRIGGER restored_parked BEFORE INSERT ON {table} FOR EACH ROW WHEN ({which})
 EXECUTE FUNCTION restored_parked('{state}')
"""
_AS_IT_WAS: Final = (
    "UPDATE campaigns c SET state = p.was FROM restored_parked p WHERE p.kind = 'campaigns' AND p.id = c.id",
    "UPDATE automations a SET state = p.was FROM restored_parked p WHERE p.kind = 'automations' AND p.id = a.id",
    "UPDATE automation_runs r SET due_at = p.was::timestamptz FROM restored_parked p"
    " WHERE p.kind = 'automation_runs' AND p.id = r.id",
    "DROP FUNCTION restored_parked CASCADE",
    "DROP TABLE restored_parked",
)
_IS_THERE: Final = "SELECT to_regclass(%s) IS NOT NULL"


@dataclass(frozen=True, slots=True)
class PutAside:
    """How many."""

    campaigns: int
    """Paused."""
    automations: int
    """Disabled, whose rule's day came since."""
    runs: int
    """Of people in automations, ended: their next mail may have left."""


async def watch(connection: Connection) -> None:
    """From the caller's commit on, what comes and could go on is parked. Older tables may lack some of these."""
    for statement in _PARKED:
        await connection.execute(statement)
    for table, (which, state) in _PARKS.items():
        if await _is_there(connection, table):
            await connection.execute(_PARK.format(table=table, which=which, state=state))


async def put_aside(connection: Connection) -> PutAside:
    """All of it is there, with this version's tables: what may have gone on is kept from it, what is due at a time
    ahead is no longer parked. In the caller's transaction, so that nobody sees it at work in between."""
    if await _is_there(connection, "restored_parked"):
        for statement in _AS_IT_WAS:
            await connection.execute(statement)
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    found = await repository.in_states(connection, (CampaignState.SENDING, CampaignState.SCHEDULED))
    going = [one for one in found if _may_go(one, row[0])]
    for campaign in going:
        act = Act.PAUSE if campaign.state is CampaignState.SENDING else Act.ASK
        await repository.move(connection, campaign, act, WHY)
        await halted.halt(connection, campaign.id, WHY)
    disabled = (await connection.execute(_DISABLE)).rowcount
    return PutAside(len(going), disabled, (await connection.execute(_END_RUNS, [WHY])).rowcount)


def _may_go(campaign: Campaign, now: datetime) -> bool:
    begins = campaign.plan.begins(campaign.scheduled_at)
    return campaign.state is CampaignState.SENDING or begins is None or begins <= now


async def _is_there(connection: Connection, table: str) -> bool:
    row = await (await connection.execute(_IS_THERE, [table])).fetchone()
    return bool(row and row[0])
