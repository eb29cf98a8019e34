"""How often one client may do what costs something or could annoy others.

A one-click with a link of ours is never refused: the servers of one mailbox provider bring those of millions of people.
"""

from typing import Final
from uuid import UUID

from fastapi import Request

from core.rate_windows import RateWindow
from core.shared_windows import SharedCounts, SharedWindow
from pages.answers import PageError
from pages.deps import deps
from web.connections import client_of

STRANGE_A_MINUTE: Final = 60
"""Links that are none of ours. Guessing is hopeless anyway; it shall not fill the log or the processor either."""
ACTS_A_MINUTE: Final = 120
"""Forms sent."""
VIEWS_A_MINUTE: Final = 300
"""Campaigns looked at on the web: a whole office may open one at the same time."""
MOVES_AN_HOUR: Final = 20
"""Mails to other addresses, asked for by one client; one person may ask for `MOVES_A_DAY`."""
MOVES_A_DAY: Final = 3
SIGNUPS_AN_HOUR: Final = 60
"""Sign-ups of one client whose browser did the work for each (`pages/work`): a stand with one tablet has no more."""
IDLE_AN_HOUR: Final = 5
"""Sign-ups of one client without."""
IDLE_OF_FORM: Final = 60
"""Sign-ups an hour of one form without, from everywhere."""
SAME_AN_HOUR: Final = 5
"""Sign-ups of one address: beyond them the answer is the same, and nothing is done."""
_HOUR: Final = 3600
_RETRY: Final = {"retry-after": "60"}


class Limits:
    """The windows. What concerns sign-ups all processes count together; the others protect each process. A form takes
    `of_form` sign-ups an hour at most."""

    def __init__(self, of_form: int, shared: SharedCounts) -> None:
        self.strange = RateWindow(STRANGE_A_MINUTE, 60.0)
        self.acts = RateWindow(ACTS_A_MINUTE, 60.0)
        self.views = RateWindow(VIEWS_A_MINUTE, 60.0)
        self.moves = RateWindow(MOVES_AN_HOUR, 3600.0)
        self.signups = SharedWindow("signups", SIGNUPS_AN_HOUR, _HOUR, shared)
        self.idle = SharedWindow("idle signups", IDLE_AN_HOUR, _HOUR, shared)
        self.idle_of_form = SharedWindow("idle signups of a form", IDLE_OF_FORM, _HOUR, shared)
        self.of_form = SharedWindow("signups of a form", of_form, _HOUR, shared)
        self.same = SharedWindow("signups of an address", SAME_AN_HOUR, _HOUR, shared)
        self._shared = shared

    async def close(self) -> None:
        """Drop the connections."""
        await self._shared.close()


def count(request: Request, window: RateWindow) -> None:
    """Note one event of this client. Raises PageError when it is one too many."""
    if not window.count(_client(request)):
        raise PageError(429, "too_many", _RETRY)


async def count_signup(request: Request, form_id: UUID, *, worked: bool) -> None:
    """Note a sign-up. Raises PageError when it is one too many, of this client or of the form."""
    known = limits(request)
    if not await (known.signups if worked else known.idle).count(_client(request)):
        raise PageError(429, "too_many", _RETRY)
    if not await known.of_form.count(form_id) or not (worked or await known.idle_of_form.count(form_id)):
        raise PageError(429, "busy", _RETRY)


def _client(request: Request) -> str:
    client = deps(request).clients.address(request)
    return client_of(client) if client else ""


def strange(request: Request) -> PageError:
    """What a link ends with that is none of ours."""
    count(request, limits(request).strange)
    return PageError(404, "link")


def limits(request: Request) -> Limits:
    """The windows of this process."""
    found: Limits = request.app.state.limits
    return found
