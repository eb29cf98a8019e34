"""Topics, lists and campaigns in filters: people write their names, what is stored are their ids.

So a filter goes on meaning the same when something is given another name, and shows the name that it has now.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from audience.filters.tree import All, Any, Filter, FilterError, Not, Rule, rules
from audience.filters.words import NAMED_THINGS
from store.database import Connection

_NAMES: Final[Mapping[str, str]] = {
    "topic": "SELECT id, name FROM topics WHERE application_id = %s AND deleted_at IS NULL AND lane = 'marketing'",
    "list": "SELECT id, name FROM segments WHERE application_id = %s AND deleted_at IS NULL AND filter IS NULL",
    "campaign": "SELECT id, name FROM campaigns WHERE application_id = %s AND state <> 'draft' AND deleted_at IS NULL",
}
_COMMAND: Final[Mapping[str, str]] = {
    "topic": "no topic of the marketing stream",
    "list": "no list (a segment without a filter)",
    "campaign": "no campaign that was started",
}


@dataclass(frozen=True, slots=True)
class Names:
    """What may be named in the filters of one application."""

    by_id: Mapping[str, Mapping[UUID, str]]
    """By field of the rule: id → name."""

    def id_of(self, rule: Rule) -> UUID:
        """What a rule names. Raises FilterError."""
        known, wanted = self.by_id.get(rule.field, {}), str(rule.value)
        named = [one for one, name in known.items() if name.lower() == wanted.lower()]
        found = named or [one for one in known if str(one) == wanted.lower()]
        if not found:
            raise FilterError(f'there is {_COMMAND[rule.field]} called "{wanted[:60]}"', rule.where)
        if len(found) > 1:
            raise FilterError(f'there are several called "{wanted[:60]}": name one by its id', rule.where)
        return found[0]

    def name_of(self, rule: Rule) -> str:
        """How people call what a rule names by its id: by name, where nothing else has that."""
        known = self.by_id.get(rule.field, {})
        name = next((name for one, name in known.items() if str(one) == rule.value), "")
        alone = sum(1 for other in known.values() if other.lower() == name.lower()) == 1
        return name if name and alone else str(rule.value)


async def names_for(connection: Connection, application_id: UUID, *trees: Filter) -> Names:
    """All that these filters may name: nothing is asked for that none of them speaks of."""
    asked = {rule.field for tree in trees for rule in rules(tree)} & NAMED_THINGS.keys()
    found: dict[str, Mapping[UUID, str]] = {}
    for field in sorted(asked):
        cursor = await connection.execute(_NAMES[field], [application_id])
        found[field] = dict(await cursor.fetchall())
    return Names(found)


def with_ids(tree: Filter, names: Names) -> Filter:
    """The filter as it is stored. Raises FilterError: something is not there."""
    return _renamed(tree, lambda rule: str(names.id_of(rule)))


def with_names(tree: Filter, names: Names) -> Filter:
    """The filter as people read it."""
    return _renamed(tree, names.name_of)


def _renamed(tree: Filter, call: Callable[[Rule], str]) -> Filter:
    if isinstance(tree, Rule):
        return replace(tree, value=call(tree)) if tree.field in NAMED_THINGS else tree
    if isinstance(tree, Not):
        return Not(_renamed(tree.part, call))
    parts = tuple(_renamed(part, call) for part in tree.parts)
    return All(parts) if isinstance(tree, All) else Any(parts)
