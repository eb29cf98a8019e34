"""How often one client may do what costs something or could annoy others.

A one-click with a link of ours is never refused: the servers of one mailbox provider bring those of millions of people.
"""

from typing import Final

from fastapi import Request

from mta.inbound_gate import RateWindow
from pages.answers import PageError
from pages.deps import deps
from web.connections import client_of

STRANGE_A_MINUTE: Final = 60
"""Links that are none of ours. Guessing is hopeless anyway; it shall not fill the log or the processor either."""
ACTS_A_MINUTE: Final = 120
"""Forms sent."""
MOVES_AN_HOUR: Final = 20
"""Mails to other addresses, asked for by one client; one person may ask for `MOVES_A_DAY`."""
MOVES_A_DAY: Final = 3
_RETRY: Final = {"retry-after": "60"}


class Limits:
    """The windows of one process."""

    def __init__(self) -> None:
        self.strange = RateWindow(STRANGE_A_MINUTE, 60.0)
        self.acts = RateWindow(ACTS_A_MINUTE, 60.0)
        self.moves = RateWindow(MOVES_AN_HOUR, 3600.0)


def count(request: Request, window: RateWindow) -> None:
    """Note one event of this client. Raises PageError when it is one too many."""
    client = deps(request).clients.address(request)
    if not window.count(client_of(client) if client else ""):
        raise PageError(429, "too_many", _RETRY)


def strange(request: Request) -> PageError:
    """What a link ends with that is none of ours."""
    count(request, limits(request).strange)
    return PageError(404, "link")


def limits(request: Request) -> Limits:
    """The windows of this process."""
    found: Limits = request.app.state.limits
    return found
