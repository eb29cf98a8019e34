"""The values of an alarm. Frozen, no behaviour.

Each kind has what raises it and what clears it; an operator may close any of them by hand.

    kind            subject              raised when                     cleared when
    blocklisted     IP or domain, site   a reply says so                 it is at full rate there again, was not used
                                                                         for 30 days, or is removed
    local_address   IP                   it cannot be bound, or its      five mails have left through it, it was not
                                         proxy or relay is away          used for 30 days, or is removed
    warmup_stalled  IP, or IP and track  no progress, or no mail, for    a judged day moves it or finds it in time,
                                         `stall_days`                    mail comes, an operator moves, pauses or ends
                                                                         it, the IP is removed
    rules_file      name of the setting  an edit cannot be read          the file on disk is the one in force
    webhook_        host and id of the   nothing was taken for days, or  somebody enables, changes or deletes it
      disabled      endpoint             it said that it is gone
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from uuid import UUID


class AlarmKind(StrEnum):
    """What is wrong. The values are stored."""

    BLOCKLISTED = "blocklisted"
    """A provider refused mail because the IP or the sending domain is on a blocklist. Subject: who, and where."""
    LOCAL_ADDRESS = "local_address"
    """One of our addresses cannot be used from here: not on this host, or its proxy is away. Subject: the IP."""
    WARMUP_STALLED = "warmup_stalled"
    """A warm-up has made no progress for days."""
    RULES_FILE = "rules_file"
    """The operator's own reply rules cannot be read; those in force stay."""
    WEBHOOK_DISABLED = "webhook_disabled"
    """An endpoint was switched off, because it failed for days or is gone. Subject: its host and id."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """An open alarm."""

    id: UUID
    kind: str
    """An `AlarmKind`, or one of a newer version."""
    subject: str
    detail: str
    """What was seen last."""
    raised_at: datetime
    last_at: datetime
    count: int
