"""Routes of Resend that do not exist here, each with what to use instead: a client of its SDK learns why. Pure."""

import re
from typing import Final

_ID: Final = r"[^/]+"
_ABSENT: Final = tuple(
    (re.compile(pattern + r"/?"), told)
    for pattern, told in (
        (
            r"/emails/receiving(/.*)?",
            "Postlane receives no mail for you. What comes back to a return path is told by the webhook event "
            "`email.received`; for answers name a mailbox of yours in `reply_to`.",
        ),
        (
            rf"/emails/{_ID}/share",
            "Mail cannot be shared by a link here. Its page in the console shows it to whoever may log in there.",
        ),
        (
            rf"/emails/{_ID}/attachments(/.*)?",
            "Attachments of mail that was sent cannot be fetched here. `GET /emails/{id}` has the rest of it.",
        ),
        (
            r"/usage",
            "There is no plan here that could be used up. `GET /emails/metrics` and `GET /reports` have the figures, "
            "and the `ratelimit-*` headers of each answer what this key may still ask.",
        ),
        (
            r"/inboxes(/.*)?",
            "Postlane has no inboxes: it sends mail. For answers name a mailbox of yours in `reply_to`.",
        ),
        (
            r"/oauth(-|/)grants(/.*)?",
            "There is no OAuth here: whoever may use this API has a key. `GET /api-keys` lists them.",
        ),
        (
            rf"/domains/(claim|{_ID}/claim)(/.*)?",
            "A domain need not be claimed here: `POST /domains` registers it, and its records prove that it is yours.",
        ),
    )
)


def absence(path: str) -> str:
    """Why there is nothing at this path, and what to use instead; "" for any other path."""
    return next((told for pattern, told in _ABSENT if pattern.fullmatch(path)), "")
