"""The types of events that applications and operators are told of, each with its one sentence.

Names and meanings of the first group are Resend's, so that its clients work; those of the second are ours. Types of
Resend's that nothing here can cause may be asked for all the same: what sets up endpoints for both needs no list for
each.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class EventType(StrEnum):
    """What happened. The values are stored and sent."""

    EMAIL_SCHEDULED = "email.scheduled"
    EMAIL_SENT = "email.sent"
    EMAIL_DELIVERED = "email.delivered"
    EMAIL_DELIVERY_DELAYED = "email.delivery_delayed"
    EMAIL_BOUNCED = "email.bounced"
    EMAIL_COMPLAINED = "email.complained"
    EMAIL_OPENED = "email.opened"
    EMAIL_CLICKED = "email.clicked"
    EMAIL_FAILED = "email.failed"
    EMAIL_SUPPRESSED = "email.suppressed"
    EMAIL_RECEIVED = "email.received"
    CONTACT_CREATED = "contact.created"
    CONTACT_UPDATED = "contact.updated"
    CONTACT_DELETED = "contact.deleted"
    CONTACT_TOPICS_UPDATED = "contact.topics.updated"
    DOMAIN_CREATED = "domain.created"
    DOMAIN_UPDATED = "domain.updated"
    DOMAIN_DELETED = "domain.deleted"
    SUPPRESSION_ADDED = "suppression.added"
    SUPPRESSION_REMOVED = "suppression.removed"
    TOPIC_CREATED = "topic.created"
    TOPIC_UPDATED = "topic.updated"
    TOPIC_DELETED = "topic.deleted"

    EMAIL_EXPIRED = "email.expired"
    EMAIL_CANCELLED = "email.cancelled"
    EMAIL_REROUTED = "email.rerouted"
    EMAIL_UNSUBSCRIBED = "email.unsubscribed"
    EMAIL_COMPLAINT_WITHDRAWN = "email.complaint_withdrawn"

    IP_THROTTLED = "ip.throttled"
    IP_RECOVERED = "ip.recovered"
    WARMUP_STARTED = "warmup.started"
    WARMUP_ADVANCED = "warmup.advanced"
    WARMUP_HELD = "warmup.held"
    WARMUP_STEPPED_BACK = "warmup.stepped_back"
    WARMUP_PAUSED = "warmup.paused"
    WARMUP_RESUMED = "warmup.resumed"
    WARMUP_COMPLETED = "warmup.completed"
    ALARM_RAISED = "alarm.raised"
    ALARM_CLEARED = "alarm.cleared"


MEANINGS: Final[Mapping[EventType, str]] = MappingProxyType(
    {
        EventType.EMAIL_SCHEDULED: "An email waits for its time, or got another one.",
        EventType.EMAIL_SENT: "An email is on its way: the first of its recipients' servers was spoken to.",
        EventType.EMAIL_DELIVERED: "A recipient's server took it.",
        EventType.EMAIL_DELIVERY_DELAYED: "A try was put off; it is made again. Never after what ended it.",
        EventType.EMAIL_BOUNCED: "Refused for good, at once or by a report that came later.",
        EventType.EMAIL_COMPLAINED: "The recipient called it spam.",
        EventType.EMAIL_OPENED: "The recipient opened it, as far as a pixel tells.",
        EventType.EMAIL_CLICKED: "A link in it was followed.",
        EventType.EMAIL_FAILED: "We could not make the mail; no server was to blame.",
        EventType.EMAIL_SUPPRESSED: "Not sent: the suppression list, or a choice of the recipient, forbids it.",
        EventType.EMAIL_RECEIVED: "Somebody, or a vacation note, answered to the return path of a mail.",
        EventType.CONTACT_CREATED: "A contact is new.",
        EventType.CONTACT_UPDATED: "A contact was changed, left all marketing mail, or came back.",
        EventType.CONTACT_DELETED: "A contact is gone.",
        EventType.CONTACT_TOPICS_UPDATED: "Somebody chose which types of mail they want.",
        EventType.DOMAIN_CREATED: "A sender domain was registered.",
        EventType.DOMAIN_UPDATED: "Its state or its settings changed.",
        EventType.DOMAIN_DELETED: "It was deleted.",
        EventType.SUPPRESSION_ADDED: "An address gets no mail from now on.",
        EventType.SUPPRESSION_REMOVED: "It may be written to again.",
        EventType.TOPIC_CREATED: "A type of mail is new.",
        EventType.TOPIC_UPDATED: "A type of mail was changed.",
        EventType.TOPIC_DELETED: "A type of mail is gone.",
        EventType.EMAIL_EXPIRED: "Its time ran out before a server took it.",
        EventType.EMAIL_CANCELLED: "The application took it back.",
        EventType.EMAIL_REROUTED: "One IP was throttled; the same mail goes on through another.",
        EventType.EMAIL_UNSUBSCRIBED: "The recipient unsubscribed by a link or header of this email.",
        EventType.EMAIL_COMPLAINT_WITHDRAWN: "The recipient said that it is not spam after all.",
        EventType.IP_THROTTLED: "A provider asked an IP for less: it rests there.",
        EventType.IP_RECOVERED: "It is at its full rate there again.",
        EventType.WARMUP_STARTED: "An IP warms up, for the first time or again.",
        EventType.WARMUP_ADVANCED: "It may send more from now on.",
        EventType.WARMUP_HELD: "A day was not good enough for the next stage.",
        EventType.WARMUP_STEPPED_BACK: "It may send less from now on.",
        EventType.WARMUP_PAUSED: "Its stages stand still.",
        EventType.WARMUP_RESUMED: "Its days count again.",
        EventType.WARMUP_COMPLETED: "A provider, or the whole IP, needs no caps any more.",
        EventType.ALARM_RAISED: "A person has to look at something.",
        EventType.ALARM_CLEARED: "The trouble is over, or somebody closed it.",
    }
)

OPERATORS_ONLY: Final = frozenset(kind for kind in EventType if kind.partition(".")[0] in ("ip", "warmup", "alarm"))
"""About the machine: told to the operators' endpoints and to nobody else."""

NEVER_HERE: Final = frozenset(
    f"inbox.{what}"
    for what in (
        "created", "updated", "deleted", "thread.created", "thread.folder.updated", "thread.assigned",
        "thread.unassigned", "thread.labels.updated", "email.received", "email.sent", "draft.created", "draft.updated",
        "draft.sent", "draft.deleted",
    )
)  # fmt: skip
"""Resend's types that nothing here can cause: there are no inboxes."""
