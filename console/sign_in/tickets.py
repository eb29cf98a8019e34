"""What a browser carries from one step to the next, signed: good for a while, in this browser only. Pure.

A ticket stands for what somebody came by (a password, a link, a provider) while the code is asked for, and for the
password they had then only: one that is set meanwhile makes it worthless. A signed key of a second factor shows that we
made it, for this session, after the password.
"""

import hmac
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from console.visit import Visit

PASSWORD: Final = "password"  # what somebody came by, none of them
_TICKET: Final = timedelta(minutes=5)
"""From the password to the code."""
_KEY: Final = timedelta(minutes=15)
"""To find the phone, and an application for it."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket says."""

    user_id: UUID
    password: str
    """A trace of the hash of their password."""
    by: str
    """What they came by, as the audit log says it."""


def ticket(visit: Visit, user_id: UUID, password_hash: str | None, by: str) -> str:
    """What stands for the password, link or provider while the code is asked for."""
    return _signed(visit, "console-code", f"{user_id}.{_trace(visit, password_hash)}.{by}", _TICKET)


def read_ticket(visit: Visit, text: str) -> Ticket | None:
    """What it says; None when it is none, or too old."""
    user_id, _, rest = _read(visit, "console-code", text).partition(".")
    password, _, by = rest.partition(".")
    return Ticket(UUID(user_id), password, by or PASSWORD) if user_id else None  # without: of the version before


def stands_for(visit: Visit, ticket: Ticket, password_hash: str | None) -> bool:
    """Whether this is the password it was given for."""
    return hmac.compare_digest(ticket.password, _trace(visit, password_hash))


def signed_key(visit: Visit, key: str) -> str:
    """A key of a second factor that we made for this session, which is one user's."""
    return _signed(visit, "console-factor", key, _KEY)


def key_of(visit: Visit, text: str) -> str:
    """The key again; "" for one that we did not make for this session, or too long ago."""
    return _read(visit, "console-factor", text)


def _signed(visit: Visit, purpose: str, value: str, lasting: timedelta) -> str:
    ends = int((visit.now + lasting).timestamp())
    return f"{value}.{ends}.{_mac(visit, purpose, f'{value}.{ends}')}"


def _read(visit: Visit, purpose: str, text: str) -> str:
    said, _, mac = text.rpartition(".")
    if not hmac.compare_digest(mac.encode(), _mac(visit, purpose, said).encode()):
        return ""
    value, _, ends = said.rpartition(".")
    return value if int(ends) > visit.now.timestamp() else ""


def _mac(visit: Visit, purpose: str, text: str) -> str:
    return visit.given.secret.mac(purpose, f"{text}.{visit.token}".encode(), 16).hex()


def _trace(visit: Visit, password_hash: str | None) -> str:
    return visit.given.secret.mac("console-password", (password_hash or "").encode(), 16).hex()
