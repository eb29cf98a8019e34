"""What all pages of campaigns begin with: the campaign, for somebody who may see it."""

import hashlib
from uuid import UUID

from accounts.audit import Values
from campaigns import repository
from campaigns.model import Campaign
from console.visit import Visit
from store.database import Connection


async def the_one(connection: Connection, visit: Visit, campaign_id: UUID) -> Campaign:
    """A campaign that this person may see. Raises Refused."""
    found = await repository.get(connection, None, campaign_id)
    visit.sees(found.application_id)
    return found


def values(found: Campaign) -> Values:
    """What the audit log keeps of it: of its content only whether it is another one."""
    content = hashlib.sha256(repr((found.words, found.languages)).encode("utf-8", "replace")).hexdigest()[:12]
    return {
        "name": found.name, "state": found.state.value, "segment": found.segment_id, "topic": found.topic_id,
        "from": found.words.sender, "subject": found.words.subject, "content": content,
        "scheduled_at": found.scheduled_at,
    }  # fmt: skip
