"""Who works on the list, and what they may see of it. Pure; the same for every door.

The list belongs to the installation: a mailbox that is dead is dead for everybody who sends from here. So an
application sees of everybody's entries that there is one for an address it asks for, since when and why; not who said
so, and never a list of them, which would be the recipients of others. What it lists is its own: entries that forbid
its mail only, and those that its own mail led to. An operator sees all.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from uuid import UUID

from suppression.entries import Ended, Suppression
from suppression.removing import Remover
from suppression.rules import plain_detail


@dataclass(frozen=True, slots=True)
class Asker:
    """Somebody who works on the list."""

    name: str
    """In words, for the history."""
    application: UUID | None = None
    """None: an operator."""

    def sees(self, entries: Iterable[Suppression]) -> list[Suppression]:
        """Of the entries of an address they ask for those that are their business, as they may see them."""
        whose = self.application
        if whose is None:
            return list(entries)
        return [entry.seen_by(whose) for entry in entries if entry.concerns(whose)]

    def sees_ended(self, ended: Iterable[Ended]) -> list[Ended]:
        """The same of what was."""
        whose = self.application
        if whose is None:
            return list(ended)
        return [_seen(one, whose) for one in ended if one.entry.concerns(whose)]

    def remover(self, why: str) -> Remover:
        """Who takes entries away, and what they say about it."""
        return Remover(self.name, self.application, plain_detail(why))


def _seen(one: Ended, application: UUID) -> Ended:
    if one.entry.owner == application:
        return one
    return replace(one, entry=one.entry.seen_by(application), by="", why="")
