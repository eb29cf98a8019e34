"""`Feedback-ID`: what mailbox providers count complaints by, `campaign:application:stream:sender`.

Pure. Gmail shows complaint rates for each of the first three where there is enough mail, and wants the last one (5 to
15 characters) the same for all mail of a sender: it is the sender domain, or what stands for a longer one. The slot of
the campaign holds the tag `campaign`; without it, in mail of a campaign, its id; in other mail the first tag. The
whole id: those that begin with the same twelve digits were made in the same millisecond.
"""

import hashlib
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final
from uuid import UUID

from core.queues import Lane
from messages.model import StoredEmail

_SENDER: Final = range(5, 16)
"""Characters the last field may have (support.google.com/mail/answer/6254652)."""
_SLOT: Final = 64
_NOT_IN_A_SLOT = re.compile(r"[^A-Za-z0-9._-]+")


def feedback_id(email: StoredEmail, lane: Lane, domain: str) -> str:
    """The header's value."""
    return f"{_campaign(email.tags, email.campaign_id)}:{email.application_id.hex[:12]}:{lane}:{_sender(domain)}"


def _campaign(tags: Sequence[tuple[str, str]], campaign_id: UUID | None) -> str:
    if not tags:
        return "" if campaign_id is None else campaign_id.hex
    named = dict(tags).get("campaign")
    if named is None and campaign_id is not None:
        return campaign_id.hex
    return _NOT_IN_A_SLOT.sub("-", tags[0][1] if named is None else named)[:_SLOT]


@lru_cache(maxsize=4096)
def _sender(domain: str) -> str:
    if len(domain) in _SENDER:
        return domain
    return f"d-{hashlib.sha256(domain.encode()).hexdigest()[:12]}"
