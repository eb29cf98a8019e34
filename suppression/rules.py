"""When an outcome suppresses an address. Pure; `outcomes/record` writes the entry in the transaction of the outcome.

Only a server that speaks about the *mailbox* counts. Refusals of the message, its content, our IP or our domain
(5.7.x, blocklists, spam verdicts) never suppress, whatever a rule says: the person behind the address did nothing.
A domain without DNS or with a null MX does not either: asking again costs one DNS question and nobody's reputation,
while a domain that is repaired or renewed after a day would have lost all its people.

What is said for certain suppresses at once (`suppression_for`). What may pass is counted by email, not by attempt
(`strike_of`), and suppresses when it came too often without a delivery (`too_often`).
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from core.queues import Lane
from mta.model import Action, Phase, Scope, Verdict
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope

SPEAKING_PHASES: Final = (Phase.RCPT, Phase.DATA, Phase.DOT)
"""Where a reply can be about the mailbox. Our transactions carry one recipient each, so a refusal at DATA (Proofpoint)
or after the final dot names it as surely as one at RCPT: Yahoo says "this user doesn't have an account" only there.
Whether such a reply is about the mailbox is the rule's decision (`Verdict.suppress`)."""

DEAD: Final = frozenset({"invalid_recipient", "inactive_mailbox"})
"""Classes of refusals (`mta.rules.CLASSES`) that say a mailbox is gone. A rule of any other class never suppresses,
whatever it says: a rate, a policy or a full mailbox passes, and a rule of one's own may be wrong about that."""

DETAIL_LENGTH: Final = 500
"""Characters of `detail`: a reply of the usual length fits, and a list of a million entries stays small."""


def plain_detail(text: str) -> str:
    """`text` as a detail: one line, printable (PostgreSQL takes no NUL, UTF-8 no lone surrogate), of bounded length."""
    if not text.isprintable():
        text = "".join(character if character.isprintable() else " " for character in text)
    return text.strip()[:DETAIL_LENGTH]


def suppression_for(verdict: Verdict, phase: Phase | None, lane: Lane, reply: str = "") -> SuppressionEntry | None:
    """The entry to add for a bounced message, or None.

    `phase` is where the reply came, None for a bounce report that came by mail. `reply` is the server's text and is
    kept as evidence. The scope is always `all`: a dead mailbox is dead for receipts and newsletters alike; the lane is
    only named in the detail.
    """
    if not verdict.suppress or verdict.action is not Action.BOUNCE or verdict.scope is not Scope.RECIPIENT:
        return None
    if verdict.klass not in DEAD:
        return None
    if phase is not None and phase not in SPEAKING_PHASES:
        return None
    seen = f"{verdict.rule} at {phase or 'bounce report'} ({lane})"
    detail = f"{seen}: {reply}" if reply else seen
    source = Source.SMTP if phase is not None else Source.BOUNCE_REPORT
    return SuppressionEntry(SuppressionScope.ALL, Reason.HARD_BOUNCE, source, detail[:DETAIL_LENGTH])


class Strike(StrEnum):
    """Ways in which a mailbox fails without being called dead."""

    SOFT = "soft"
    """Full, locked, or not found in words that prove nothing."""
    ABSENT = "absent"
    """In no directory of its organisation, says a server that may be out of step."""


_STRIKING: Final = DEAD | {"mailbox_full", "mailbox_trouble"}
"""Classes that blame the mailbox. Not those of size, content, rates and policies: the mailbox works. Nor those of the
domain: see above."""

_ABSENT: Final = frozenset({"microsoft-not-in-directory"})
"""Rules whose replies are believed the second time, on another day: Exchange Online refuses so both who is not there
and, for a day, everybody of a company whose directory is not in step."""
_ABSENT_TIMES: Final = 2


@dataclass(frozen=True, slots=True)
class SoftBounceRule:
    """How often is too often. In a row, without a delivery in between; to whichever application's mail."""

    count: int = 5
    """Emails; 0: never."""
    days: int = 3
    """Different days (UTC) that they are spread over."""
    rest: timedelta | None = timedelta(days=90)
    """How long no mail is sent then; None: until somebody removes the entry."""


BY_DEFAULT: Final = SoftBounceRule()


@dataclass(frozen=True, slots=True)
class Tally:
    """The failures of one kind at one address since its last delivery.

    Servers take a mail and send it back later. So a delivery only marks the tally, with its email; the failure that
    follows begins anew, unless it is that very email that came back.
    """

    count: int = 0
    days: frozenset[date] = frozenset()
    delivered_by: UUID | None = None
    """The last email that was delivered since the last failure."""

    def failed(self, email: UUID, at: datetime) -> "Tally":
        """With one more failure."""
        before = self if self.delivered_by in (None, email) else Tally()
        return Tally(before.count + 1, before.days | {at.date()})

    def delivered(self, email: UUID) -> "Tally":
        """With a delivery."""
        return replace(self, delivered_by=email)


def strike_of(klass: str, scope: str, rule: str) -> Strike | None:
    """How an email that was not delivered counts against the mailbox, by the last verdict on it; None: it does not."""
    if scope != Scope.RECIPIENT or klass not in _STRIKING:
        return None
    return Strike.ABSENT if rule in _ABSENT else Strike.SOFT


def too_often(kind: Strike, tally: Tally, reply: str, rule: SoftBounceRule) -> SuppressionEntry | None:
    """The entry to add for an address with these failures, or None. `reply` is the last one."""
    if tally.delivered_by is not None:
        return None
    told = f"{tally.count} emails in a row on {len(tally.days)} days: {reply}"[:DETAIL_LENGTH]
    if kind is Strike.ABSENT and tally.count >= _ABSENT_TIMES <= len(tally.days):
        return SuppressionEntry(SuppressionScope.ALL, Reason.HARD_BOUNCE, Source.SMTP, told)
    if rule.count and tally.count >= rule.count and len(tally.days) >= rule.days:
        return SuppressionEntry(SuppressionScope.ALL, Reason.SOFT_BOUNCES, Source.SMTP, told, _end(tally, rule))
    return None


def _end(tally: Tally, rule: SoftBounceRule) -> datetime | None:
    if rule.rest is None:
        return None
    return datetime.combine(max(tally.days), time.max, UTC) + rule.rest
