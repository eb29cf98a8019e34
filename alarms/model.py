"""The values of an alarm. Frozen, no behaviour."""

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
