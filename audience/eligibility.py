"""Who of an audience may get a campaign's mail, and why somebody may not: the one answer, as SQL for the two statements
that ask, the one that fixes the audience and the one that makes the mail. Never asked for transactional mail.

Nobody unconfirmed; nobody who left the list, the topic or everything, who paused, or whose address bounced for good or
is suppressed for another reason; nobody who has been silent for a year. *Silent* is who neither opened nor clicked, as
far as we can tell people from machines, whose application reported no login, and who did not confirm within that time.
Silence counts from when the application first saw an open or a click at all: before, nobody could have been heard.

**Tapering** is decided once, when the audience is fixed, and *how many a week* when the mail is about to be made, for a
campaign may be spread over days. Of every N campaigns of a topic whose audience somebody silent is in, they get exactly
one: each counts how many it was since they entered the step, and a person's own number says which of the N is theirs,
so that a campaign reaches about one in N of those. What somebody did not get for another reason was not their turn.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from audience import tapering
from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED, refusing
from audience.tapering import Policy, Step
from store.database import Connection
from suppression.predicate import forbidding
from suppression.reasons import Reason


class Moment(StrEnum):
    """When it is asked."""

    FIXING = "fixing"
    """The audience is fixed."""
    MAKING = "making"
    """The mail is about to be made."""


class Skip(StrEnum):
    """Why somebody gets no mail, beside `suppression.Reason` and the words of `audience/predicate`. Stored."""

    UNCONFIRMED = "unconfirmed"
    LIST_UNCONFIRMED = "list_unconfirmed"
    LEFT_LIST = "left_list"
    SILENT = "silent"
    TAPERED = "tapered"
    FREQUENCY = "frequency_cap"


OUTCOMES: Final[Mapping[str, str]] = {
    Skip.UNCONFIRMED: "unconfirmed",
    Skip.LIST_UNCONFIRMED: "unconfirmed",
    Skip.LEFT_LIST: "unsubscribed",
    Reason.UNSUBSCRIBE: "unsubscribed",
    LEFT: "unsubscribed",
    NOT_ASKED_FOR: "unsubscribed",
    PAUSED: "unsubscribed",
    Skip.SILENT: "tapered",
    Skip.TAPERED: "tapered",
    Skip.FREQUENCY: "tapered",
}
"""Reason → outcome of a campaign's recipient, where that is another one than `suppressed`."""

TEXTS: Final[Mapping[str, str]] = {
    Skip.UNCONFIRMED: "They have not confirmed that they want mail.",
    Skip.LIST_UNCONFIRMED: "They have not confirmed that they want to be on this list.",
    Skip.LEFT_LIST: "They left this list.",
    Skip.SILENT: "No open, click or login of theirs for longer than the topic's policy allows.",
    Skip.TAPERED: "They have gone silent, and this campaign was not their turn.",
    Skip.FREQUENCY: "They got as much mail of this topic within a week as its policy allows.",
    LEFT: "They left this topic.",
    NOT_ASKED_FOR: "The topic wants to be asked for, and they did not.",
    PAUSED: "They paused all marketing mail.",
    Reason.UNSUBSCRIBE: "They left all marketing mail.",
    Reason.HARD_BOUNCE: "Their address does not exist any more.",
    Reason.SOFT_BOUNCES: "Their address kept failing.",
    Reason.COMPLAINT: "They called a mail spam.",
    Reason.MANUAL: "Their address was put on the suppression list.",
    Reason.IMPORT: "Their address came with an imported suppression list.",
}
"""For people."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for one campaign's audience."""

    policy: Policy
    campaign_id: UUID
    topic_id: UUID | None
    list_id: UUID | None
    """The list it goes to; None: a filter, or everybody."""
    heard_since: datetime | None
    """When the application saw its first sign of life; None: it never saw one, and nobody is silent."""
    now: datetime
    """Silence is measured back from here: from the campaign's beginning, so that it means the same to the end."""


# Not a turn: mail that was not sent for any other reason than that it was not theirs.
_TURN: Final = f"""(r.state NOT IN ('tapered', 'unconfirmed', 'unsubscribed', 'suppressed', 'erased', 'merged',
  'cancelled', 'held_out') OR r.reason = '{Skip.TAPERED}')"""

_HEARD: Final = """
SELECT coalesce(
  (SELECT min(d.day)::timestamp AT TIME ZONE 'UTC' FROM report_series s JOIN report_days d ON d.series_id = s.id
    WHERE s.by = 'application' AND s.application_id = %(application)s AND s.outcome IN ('opened', 'clicked')),
  (SELECT min(least(opened_at, clicked_at, active_at)) FROM engaged WHERE application_id = %(application)s))
"""


async def rules_for(
    connection: Connection, campaign: tuple[UUID, UUID | None, UUID | None], heard: datetime | None, now: datetime
) -> Rules:
    """The rules for a campaign: its id, its topic, and the list that it goes to; `heard` is what `heard_since` says."""
    campaign_id, topic_id, list_id = campaign
    return Rules(await tapering.of_topic(connection, topic_id), campaign_id, topic_id, list_id, heard, now)


async def heard_since(connection: Connection, application_id: UUID) -> datetime | None:
    """When the application saw its first sign of life of anybody. It may take a second where there are a million, so
    it is asked once a campaign."""
    row = await (await connection.execute(_HEARD, {"application": application_id})).fetchone()
    return row[0] if row else None


async def alone(connection: Connection, topic_id: UUID | None) -> None:
    """Until the end of the transaction nobody else asks about the topic: two campaigns at one time must not both take
    themselves for somebody's turn, nor both for the last that somebody gets this week."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('turns ' || %s::text, 0))", [str(topic_id)])


def ineligible(row: str, rules: Rules, moment: Moment, engaged_at: str = "") -> str:
    """An expression: why the person in `row` may not get the mail, NULL when they may. `names` holds what it names.

    `row` has the columns `id`, `status`, `confirmed_at`, `created_at`, `address` and `application_id` of a contact,
    and `lane` and `topic_id` of the mail. What the policy does not want is not asked. Who has looked up what
    `engaged_at` is says so: else it is looked up here.
    """
    reasons = [f"CASE WHEN {row}.status <> 'confirmed' THEN '{Skip.UNCONFIRMED}' END"]
    if rules.list_id is not None:
        reasons.append(_of_list(row))
    reasons += [f"(SELECT s.reason {forbidding(row)} LIMIT 1)", refusing(row)]
    if moment is Moment.MAKING and rules.policy.most_per_week is not None:
        reasons.append(_too_often(row))
    steps = rules.policy.steps if moment is Moment.FIXING else ()
    if rules.heard_since is not None and (steps or rules.policy.silent_days):
        heard = heard_at(row, engaged_at or engaged_of(row))
        reasons.append(_by_silence(row, heard, rules.policy.silent_days, steps))
    return f"coalesce({', '.join(reasons)})"


def names(rules: Rules) -> dict[str, Any]:
    """The parameters of the expression."""
    return {
        "e_list": rules.list_id, "e_topic": rules.topic_id, "e_campaign": rules.campaign_id, "e_now": rules.now,
        "e_heard": rules.heard_since, "e_most": rules.policy.most_per_week,
    }  # fmt: skip


def _of_list(row: str) -> str:
    return f"""(SELECT CASE max(m.status) WHEN 'confirmed' THEN NULL WHEN 'unconfirmed' THEN '{Skip.LIST_UNCONFIRMED}'
    ELSE '{Skip.LEFT_LIST}' END FROM segment_members m WHERE m.segment_id = %(e_list)s AND m.contact_id = {row}.id)"""


def _too_often(row: str) -> str:
    """Mail of campaigns and of automations alike, but for what never left. The email of a step is looked up by its id,
    one by one: joined freely the planner would read all of them."""
    return f"""(SELECT CASE WHEN sum(n) >= %(e_most)s THEN '{Skip.FREQUENCY}' END FROM (
    SELECT count(*) AS n FROM campaign_recipients r JOIN campaigns k ON k.id = r.campaign_id
     WHERE r.contact_id = {row}.id AND k.topic_id = %(e_topic)s AND r.campaign_id <> %(e_campaign)s
       AND r.queued_at > now() - interval '7 days' AND r.state IN ('queued', 'deferred', 'delivered', 'bounced')
    UNION ALL
    SELECT count(*) FROM automation_runs a JOIN automation_steps s ON s.run_id = a.id
     CROSS JOIN LATERAL (SELECT topic_id FROM emails WHERE id = s.email_id AND NOT EXISTS (
       SELECT FROM messages n WHERE n.email_id = s.email_id AND n.position = 0
          AND n.state IN ('suppressed', 'expired', 'cancelled', 'failed')) OFFSET 0) m
     WHERE a.contact_id = {row}.id AND m.topic_id = %(e_topic)s AND s.at > now() - interval '7 days') week)"""


def _by_silence(row: str, heard: str, silent_days: int | None, steps: tuple[Step, ...]) -> str:
    """Silence is measured once, and each step looks at it, the longest first."""
    cases = [] if silent_days is None else [f"WHEN {_silent(silent_days)} THEN '{Skip.SILENT}'"]
    cases += [f"WHEN {_silent(step.after_days)} THEN {_turn(row, step)}" for step in reversed(steps)]
    return f"""(SELECT CASE {" ".join(cases)} END FROM (SELECT {heard} AS at) heard)"""


def heard_at(row: str, engaged_at: str) -> str:
    """An expression: when the person in `row` showed a sign of life last, as far as anybody could be heard."""
    return f"greatest(coalesce({row}.confirmed_at, {row}.created_at), %(e_heard)s::timestamptz, {engaged_at})"


def engaged_of(row: str) -> str:
    """An expression: when we saw such a sign ourselves. The index is of the database's collation, and addresses of
    contacts are of bytes: without the word each person would cost a look at everybody."""
    return f"""(SELECT greatest(g.opened_at, g.clicked_at, g.active_at) FROM engaged g
        WHERE g.application_id = {row}.application_id AND g.address = {row}.address COLLATE "default")"""


def _silent(days: int) -> str:
    return f"heard.at < %(e_now)s::timestamptz - interval '{days} days'"


def _turn(row: str, step: Step) -> str:
    """NULL when this campaign is their turn."""
    if step.every is None:
        return f"'{Skip.TAPERED}'"
    return f"""CASE WHEN (get_byte(uuid_send({row}.id), 15) + (
      SELECT count(*) FROM campaign_recipients r JOIN campaigns k ON k.id = r.campaign_id
       WHERE r.contact_id = {row}.id AND k.topic_id = %(e_topic)s AND r.campaign_id <> %(e_campaign)s AND {_TURN}
         AND k.started_at >= heard.at + interval '{step.after_days} days')) %% {step.every} <> 0
    THEN '{Skip.TAPERED}' END"""
