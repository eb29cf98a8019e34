"""What the search of messages asks: the fields of its form → a `messages.search.Filter`.

One field takes an address, a domain, or an id (which leads to its page); the others narrow it. Without a time it is the
last seven days: what has no index is looked for message by message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from console.visit import Visit
from core.addresses import AddressError, fold_address, fold_domain
from core.queues import Lane
from core.refusal import Refused, invalid
from messages.search import Filter
from messages.states import State

PERIODS: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
    "all": ("All that is kept", None),
}
DEFAULT: Final = "7d"
CHOICES: Final = [(name, title) for name, (title, _) in PERIODS.items()]
"""For the form."""
EVERYTHING: Final = "all"
"""How the address says that a search goes through all there is."""
_ID: Final = re.compile(r"([0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12})(?:/(\d{1,5}))?", re.I)


@dataclass(frozen=True, slots=True)
class Asked:
    """The form as it was filled in, for showing it again."""

    q: str
    state: str
    lane: str
    period: str
    subject: str
    tag: str
    provider: str
    everything: bool
    """Not a quick look, but through all there is."""

    @property
    def narrowed(self) -> bool:
        """Something but the time was asked for."""
        return any((self.q, self.state, self.lane, self.subject, self.tag, self.provider))

    @property
    def more(self) -> bool:
        """One of the fields that are folded away is filled in."""
        return any((self.subject, self.tag, self.provider))


def asked(visit: Visit) -> Asked:
    """What the address of the page says. Unknown words count as nothing."""
    state, lane, period = visit.asked("state"), visit.asked("lane"), visit.asked("period")
    return Asked(
        q=visit.asked("q"),
        state=state if state in list(State) else "",
        lane=lane if lane in list(Lane) else "",
        period=period if period in PERIODS else DEFAULT,
        subject=visit.asked("subject"),
        tag=visit.asked("tag"),
        provider=visit.asked("provider"),
        everything=visit.asked("look") == EVERYTHING,
    )


def wanted(visit: Visit, form: Asked) -> Filter:
    """The question. Raises Refused for what is neither an address nor a domain."""
    address, domain = whom(form.q)
    lasting = PERIODS[form.period][1]
    return Filter(
        address=address,
        domain=domain,
        state=form.state,
        lane=form.lane,
        subject=form.subject,
        tag=form.tag,
        provider=form.provider,
        applications=visit.applications,
        since=visit.now - lasting if lasting and not address else None,
    )


def whom(text: str) -> tuple[str, str]:
    """The folded address or the domain that a text names. Raises Refused."""
    if not text:
        return "", ""
    local, at, domain = text.rpartition("@")
    try:
        return (fold_address(text), "") if at and local else ("", fold_domain(domain))
    except AddressError as error:
        raise invalid("q", error.reason) from None


def id_in(text: str) -> tuple[UUID, int | None] | None:
    """The id of an email, perhaps with the number of a recipient; None for any other text."""
    found = _ID.fullmatch(text.strip())
    return (UUID(found[1]), int(found[2]) if found[2] else None) if found else None


def is_whom(text: str) -> bool:
    """Whether it names an address or a domain."""
    try:
        return any(whom(text))
    except Refused:
        return False
