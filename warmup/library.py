"""Plans by name: presets, and those an operator has stored; and the sender's own mix of mail as weights.

Works on the caller's connection and never commits. A warm-up that runs keeps a copy of its plan, so that a stored plan
can be changed or deleted without touching it.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from psycopg.types.json import Jsonb

from core.refusal import conflict, not_found
from store.database import Connection
from warmup.plan import Plan, as_dict, parse, weights_of_mix
from warmup.presets import PRESETS, preset

MIX_DAYS: Final = timedelta(days=30)
ENOUGH_FOR_MIX: Final = 1_000
"""Delivered mails in `MIX_DAYS` below which a sender's own mix is chance."""

_PRESET_NAMES: Final = frozenset(one.name for one in PRESETS)


@dataclass(frozen=True, slots=True)
class StoredPlan:
    """A plan of the operator's."""

    name: str
    created_at: datetime
    plan: Plan


async def create(
    connection: Connection, definition: Mapping[str, Any], providers: Collection[str] | None = None
) -> Plan:
    """Store a plan under its name. Raises Refused, also when the name is taken."""
    plan = parse(definition, providers)
    if plan.name in _PRESET_NAMES:
        raise conflict(f"{plan.name} is the name of a preset: choose another one", code="plan_exists")
    cursor = await connection.execute(
        "INSERT INTO warmup_plans (name, definition) VALUES (%s, %s) ON CONFLICT DO NOTHING",
        [plan.name, Jsonb(as_dict(plan))],
    )
    if cursor.rowcount == 0:
        raise conflict(
            f"there is a plan {plan.name} already: delete it first, or choose another name", code="plan_exists"
        )
    return plan


async def change(
    connection: Connection, name: str, definition: Mapping[str, Any], providers: Collection[str] | None = None
) -> tuple[Plan, Plan]:
    """Another definition of a stored plan, perhaps under another name; before and after. Warm-ups that follow it keep
    the one they began with. Raises Refused."""
    before = await _own(connection, name)
    plan = parse(definition, providers)
    if plan.name in _PRESET_NAMES:
        raise conflict(f"{plan.name} is the name of a preset: choose another one", code="plan_exists")
    cursor = await connection.execute(
        "UPDATE warmup_plans SET name = %(new)s, definition = %(definition)s WHERE name = %(old)s"
        " AND NOT EXISTS (SELECT FROM warmup_plans WHERE name = %(new)s AND name <> %(old)s)",
        {"new": plan.name, "old": name, "definition": Jsonb(as_dict(plan))},
    )
    if cursor.rowcount == 0:
        raise conflict(f"there is a plan {plan.name} already: choose another name", code="plan_exists")
    return before, plan


async def stored(connection: Connection) -> list[StoredPlan]:
    """All stored plans, by name."""
    cursor = await connection.execute("SELECT name, created_at, definition FROM warmup_plans ORDER BY name")
    return [StoredPlan(name, at, parse(definition)) for name, at, definition in await cursor.fetchall()]


async def delete(connection: Connection, name: str) -> None:
    """Forget a stored plan. Raises Refused when there is none."""
    if name in _PRESET_NAMES:
        raise conflict(f"{name} is a preset and stays", code="plan_is_preset")
    cursor = await connection.execute("DELETE FROM warmup_plans WHERE name = %s", [name])
    if cursor.rowcount == 0:
        raise not_found(f"there is no plan {name}", code="plan_not_found")


async def _own(connection: Connection, name: str) -> Plan:
    """A stored plan, which nobody else changes before this transaction ends. Raises Refused."""
    if name in _PRESET_NAMES:
        raise conflict(f"{name} is a preset and stays: store a copy under another name", code="plan_is_preset")
    cursor = await connection.execute("SELECT definition FROM warmup_plans WHERE name = %s FOR UPDATE", [name])
    row = await cursor.fetchone()
    if row is None:
        raise not_found(f"there is no plan {name}", code="plan_not_found")
    return parse(row[0])


async def find(connection: Connection, name: str, *, start: int | None = None, target: int | None = None) -> Plan:
    """A preset, cut to `start` and `target`, or a stored plan, cut at `target`. Raises Refused."""
    if name in _PRESET_NAMES:
        return preset(name, start=start, target=target)
    cursor = await connection.execute("SELECT definition FROM warmup_plans WHERE name = %s", [name])
    row = await cursor.fetchone()
    if row is None:
        raise not_found(
            f"there is no plan {name}; presets are {', '.join(sorted(_PRESET_NAMES))}", code="plan_not_found"
        )
    return cut(parse(row[0]), start, target)


def cut(plan: Plan, start: int | None, target: int | None) -> Plan:
    """The plan with the stages from `start` to `target` mails a day only; the target itself becomes the last one."""
    if start is None and target is None:
        return plan
    first, last = start or plan.stages[0], target or plan.stages[-1]
    stages = [cap for cap in plan.stages if first <= cap < last]
    return parse(as_dict(plan) | {"stages": [*stages, last]})


async def divided_as_measured(connection: Connection, plan: Plan) -> Plan:
    """A preset divided like the sender's own mail, where there is enough of that; any other plan as it is."""
    mix = await measured_mix(connection) if plan.name in _PRESET_NAMES else {}
    return plan.with_weights(weights_of_mix(mix, plan.stages[0])) if mix else plan


async def measured_days(connection: Connection) -> int:
    """Days over which the mails of `measured_mix` are spread: since the first of them, at least 1."""
    cursor = await connection.execute(
        "SELECT ceil(extract(epoch FROM now() - min(hour)) / 86400)::int FROM outcome_counts"
        " WHERE outcome = 'delivered' AND provider <> '' AND hour > now() - %s",
        [MIX_DAYS],
    )
    row = await cursor.fetchone()
    return max(1, row[0] or 1) if row else 1


async def measured_mix(connection: Connection) -> dict[str, int]:
    """Delivered mails by provider over the last 30 days; empty when there are too few to say anything."""
    cursor = await connection.execute(
        "SELECT provider, sum(n)::bigint FROM outcome_counts"
        " WHERE outcome = 'delivered' AND provider <> '' AND hour > now() - %s GROUP BY provider",
        [MIX_DAYS],
    )
    found = {str(provider): int(n) for provider, n in await cursor.fetchall()}
    return found if sum(found.values()) >= ENOUGH_FOR_MIX else {}
