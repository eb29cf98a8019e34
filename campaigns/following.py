"""Once more, to some people of an earlier campaign: to those who did not get it, or got it and did not open it.

Nobody else can be in such a campaign: its people are rows of the earlier one, asked when it begins. Whoever bounced for
good, left, is suppressed or was erased is none of them, and neither is the hold-out group, which is there to compare
with. *Opened* means by a person: machines do not count, and a click counts as one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from campaigns.experiment import Experiment
from campaigns.plan import Plan
from campaigns.words import Words
from mta.bounce_kinds import BOUNCE_KINDS, Permanence


class Whom(StrEnum):
    """Which people of the earlier campaign. The values are stored."""

    MISSED = "missed"
    """Who did not get it: failed, expired, cancelled, refused for now, not their turn or not confirmed then."""
    UNOPENED = "unopened"
    """Whose server took it, and who neither opened nor clicked, left or complained."""


@dataclass(frozen=True, slots=True)
class Follow:
    """Whom a campaign goes to instead of to all of its segment."""

    campaign_id: UUID
    whom: Whom


DEAD: Final = [klass for klass, kind in BOUNCE_KINDS.items() if kind.permanence is Permanence.PERMANENT]
"""Classes of bounces of an address that is no more."""

_ROWS: Final = {
    Whom.MISSED: """e.state IN ('failed', 'expired', 'cancelled', 'tapered', 'unconfirmed')
      OR (e.state = 'bounced' AND NOT coalesce(e.class, '') = ANY(%(follow_dead)s))""",
    Whom.UNOPENED: """e.state = 'delivered' AND e.opened_at IS NULL AND e.clicked_at IS NULL
      AND e.unsubscribed_at IS NULL AND e.complained_at IS NULL""",
}


GETS_IT: Final = """EXISTS (SELECT FROM campaign_recipients x
  WHERE x.campaign_id = ANY(%(related)s::uuid[]) AND x.contact_id = {row}.contact_id
    AND x.state IN ('waiting', 'queued', 'deferred', 'delivered'))"""
"""An expression: whether the person in `row` gets the same by one of `related`, or has got it."""


def people(follow: Follow, related: Sequence[UUID], more: Sequence[str] = ()) -> tuple[str, dict[str, Any]]:
    """SELECT of `id`, `address` and `more` columns of them, with what it names. `related` as in `repository.related`:
    who missed it gets it once."""
    columns = ", ".join(f"c.{name}" for name in ("id", "address", *more))
    return (
        f"SELECT {columns} FROM campaign_recipients e JOIN contacts c ON c.id = e.contact_id"
        f" WHERE e.campaign_id = %(follow)s AND ({_ROWS[follow.whom]}) AND NOT {GETS_IT.format(row='e')}",
        {"follow": follow.campaign_id, "follow_dead": DEAD, "related": list(related)},
    )


def repeated(words: Words, plan: Plan, experiment: Experiment) -> tuple[Words, Plan, Experiment]:
    """What the second one says, and when: the words that won, at no time that is over, without an experiment."""
    said = experiment.words(words)[experiment.chosen or 0]
    return said, replace(plan, local=None), Experiment()
