"""The values of an alarm. Frozen, no behaviour.

Each kind has what raises it and what clears it; an operator may close any of them by hand. The lower half is judged by
the clock, with limits that can be set (`alarms/rules`): raised at a limit, cleared well below it.

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
    complaints      stream, provider     too many per delivered          few again, or too little mail to tell
    hard_bounces    stream               too many of what was decided    the same
    delivered_share type of mail,        the share falls below its own   it is near its line again
                    provider             line of seven days
    queue_age       lane                 due mail is not taken up        it is
    ip_resting      IP, site             it rests for hours              it is healthy, or removed
    pool_resting    pool, site           all its IPs rest at once for    one of them sends there again
                                         some minutes
    seed_missing    seed account         mail to it is missing, in       the newest mail to it is in the inbox
                                         spam, or cannot be looked for
    certificate     file, public host    it ends soon, or is not valid   another one is there
    dns_record      domain               a record is broken              it is there again
    domain_lost     domain               it may not send: its records    it is verified again, or deleted
                                         are gone
    process_silent  process and host     nothing is heard of it for       it is heard again, another one
                                         minutes, and it did not end as   has taken its place, or after a day
                                         it should
    automation      name and id          its steps cannot be read, its    none of it is so any more, or it is
                                         rule or most of its runs fail,   disabled or deleted
                                         mail of it is held up
    alarm_mail      the mailbox          mail about alarms cannot be     it was sent
                                         sent; never told by mail
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
    COMPLAINTS = "complaints"
    HARD_BOUNCES = "hard_bounces"
    DELIVERED_SHARE = "delivered_share"
    QUEUE_AGE = "queue_age"
    IP_RESTING = "ip_resting"
    POOL_RESTING = "pool_resting"
    SEED_MISSING = "seed_missing"
    CERTIFICATE = "certificate"
    DNS_RECORD = "dns_record"
    DOMAIN_LOST = "domain_lost"
    PROCESS_SILENT = "process_silent"
    AUTOMATION = "automation"
    ALARM_MAIL = "alarm_mail"


class Severity(StrEnum):
    """How soon somebody has to look."""

    WARNING = "warning"
    """Today."""
    CRITICAL = "critical"
    """Now."""


class Change(StrEnum):
    """What happened to an alarm. The values are stored."""

    RAISED = "raised"
    WORSE = "worse"
    BETTER = "better"
    CLEARED = "cleared"
    ACKNOWLEDGED = "acknowledged"
    SNOOZED = "snoozed"


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm, open unless `cleared_at` says when it was over."""

    id: UUID
    kind: str
    """An `AlarmKind`, or one of a newer version."""
    subject: str
    detail: str
    """What was seen last."""
    raised_at: datetime
    last_at: datetime
    count: int
    severity: str = Severity.WARNING.value
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    snoozed_until: datetime | None = None
    cleared_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """One line of the story of an alarm."""

    at: datetime
    change: str
    severity: str
    detail: str
    by: str


@dataclass(frozen=True, slots=True)
class Finding:
    """A judge has something to say about a subject."""

    subject: str
    severity: Severity
    detail: str
