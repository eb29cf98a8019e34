"""What was set of the rules, in the table `alarm_rules`. Works on the caller's connection and never commits."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from alarms.model import AlarmKind
from alarms.rules import RULES, Rule, checked, in_force
from store.database import Connection


@dataclass(frozen=True, slots=True)
class RuleState:
    """A rule with the values in force."""

    rule: Rule
    values: Mapping[str, float]
    changed_at: datetime | None = None
    by: str = ""


async def rules(connection: Connection) -> dict[AlarmKind, RuleState]:
    """All rules, in the order of their table."""
    cursor = await connection.execute("SELECT rule, settings, changed_at, by FROM alarm_rules")
    stored = {name: (settings, at, by) for name, settings, at, by in await cursor.fetchall()}
    found = {}
    for kind, rule in RULES.items():
        settings, at, by = stored.get(kind.value, ({}, None, ""))
        found[kind] = RuleState(rule, in_force(rule, settings), at, by)
    return found


async def change(connection: Connection, rule: Rule, given: Mapping[str, float | None], by: str) -> RuleState:
    """Set values of a rule; None gives the default back. Raises Refused."""
    wanted = checked(rule, {name: value for name, value in given.items() if value is not None})
    dropped = [name for name, value in given.items() if value is None]
    await connection.execute(
        "INSERT INTO alarm_rules AS r (rule, settings, by) VALUES (%(rule)s, %(settings)s::jsonb, %(by)s)"
        " ON CONFLICT (rule) DO UPDATE SET settings = (r.settings || excluded.settings) - %(dropped)s::text[],"
        " changed_at = now(), by = excluded.by",
        {"rule": rule.kind.value, "settings": _json(wanted), "by": by, "dropped": dropped},
    )
    return (await rules(connection))[rule.kind]


def _json(values: Mapping[str, float]) -> str:
    return "{" + ", ".join(f'"{name}": {value!r}' for name, value in values.items()) + "}"
