"""When an outcome suppresses an address. Pure; `outcomes/record` writes the entry in the transaction of the outcome.

Only a server that speaks about the *mailbox* counts. Refusals of the message, its content, our IP or our domain
(5.7.x, blocklists, spam verdicts) never suppress, whatever a rule says: the person behind the address did nothing.
A domain without DNS or with a null MX does not either: asking again costs one DNS question and nobody's reputation,
while a domain that is repaired or renewed after a day would have lost all its people.
"""

from typing import Final

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
