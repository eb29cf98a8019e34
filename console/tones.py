"""Which colour and shape a state has, wherever it is shown: lists, timelines, charts. Pure.

Six tones tell what became of mail: ● delivered, ◐ deferred, ✕ bounced, ⊘ suppressed, ▲ complained, ○ on its way. What
else there is to tell (alarms, IPs, campaigns) takes the tone that means the same to somebody who has to act.
"""

from collections.abc import Mapping
from typing import Final

DELIVERED, DEFERRED, BOUNCED, SUPPRESSED, COMPLAINED, UNDERWAY, PLAIN = (
    "delivered", "deferred", "bounced", "suppressed", "complained", "underway", "plain",
)  # fmt: skip

TONES: Final[Mapping[str, str]] = {
    # messages and their events
    "delivered": DELIVERED,
    "opened": DELIVERED,
    "clicked": DELIVERED,
    "deferred": DEFERRED,
    "rerouted": DEFERRED,
    "bounced": BOUNCED,
    "blocked": BOUNCED,
    "late_bounced": BOUNCED,
    "late_bounce": BOUNCED,
    "failed": BOUNCED,
    "expired": BOUNCED,
    "suppressed": SUPPRESSED,
    "cancelled": SUPPRESSED,
    "unsubscribed": SUPPRESSED,
    "complained": COMPLAINED,
    "queued": UNDERWAY,
    "accepted": UNDERWAY,
    "scheduled": UNDERWAY,
    "waiting": UNDERWAY,
    "tapered": SUPPRESSED,
    "unconfirmed": SUPPRESSED,
    "erased": SUPPRESSED,
    "merged": SUPPRESSED,
    "held_out": SUPPRESSED,
    "rescheduled": UNDERWAY,
    "sent_again": UNDERWAY,
    # alarms
    "critical": COMPLAINED,
    "warning": DEFERRED,
    "cleared": DELIVERED,
    # IPs
    "active": DELIVERED,
    "healthy": DELIVERED,
    "warming": UNDERWAY,
    "recovering": DEFERRED,
    "probing": DEFERRED,
    "step_back": DEFERRED,
    "throttled": DEFERRED,
    "paused": SUPPRESSED,
    "unusable": BOUNCED,
    # where probes land
    "inbox": DELIVERED,
    "spam": COMPLAINED,
    "other": DEFERRED,
    "missing": BOUNCED,
    "looked_for": UNDERWAY,
    # processes
    "runs": DELIVERED,
    "silent": BOUNCED,
    # domains, campaigns, users
    "verified": DELIVERED,
    "pending": DEFERRED,
    "temporary_failure": DEFERRED,
    "not_started": UNDERWAY,
    "draft": UNDERWAY,
    "sending": DEFERRED,
    "stopped": BOUNCED,
    "finished": DELIVERED,
    "disabled": SUPPRESSED,
    "enabled": DELIVERED,
    # the sandbox
    "captured": UNDERWAY,
}
