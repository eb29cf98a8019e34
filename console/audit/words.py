"""What the audit log says in words, and where it leads. Pure."""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from accounts.audit import Logged

_ID: Final = re.compile(r"[0-9a-f-]{36}")
_SAID: Final[Mapping[str, str]] = {
    "session.begin": "Signed in",
    "session.end": "Signed out",
    "campaign.test": "Sent a test of a campaign",
    "campaign.winner": "Chose the winner of a campaign",
    "throttle.override": "Ended a rest",
    "throttle.rest": "Rested an IP",
    "pool.attach": "Put an IP into a pool",
    "pool.detach": "Took an IP out of a pool",
    "pool.weight": "Set a share in a pool",
    "breaker.stop": "Stopped a stream",
    "breaker.end": "Let a stream go on",
    "user.link": "Made a sign-in link",
    "user.second_factor": "Changed a second factor",
    "user.password": "Changed a password",
}
"""Actions that are no verb with a noun."""
_PAGES: Final[Mapping[str, str]] = {
    "campaign": "/campaigns/", "segment": "/segments/", "template": "/templates/", "contact": "/people/",
    "message": "/messages/", "ip": "/ips/", "warmup": "/warmup/",
}  # fmt: skip


def said(action: str) -> str:
    """An action for people: `campaign.start` → Campaign: start."""
    noun, _, verb = action.partition(".")
    told = f"{noun[:1].upper()}{noun[1:]}: {verb}" if verb else action
    return _SAID.get(action, told.replace("_", " ").replace("-", " "))


def name_of(line: Logged) -> str:
    """What people call it, where its subject is an id and the line keeps the name; "" otherwise."""
    if _ID.fullmatch(line.subject) is None:
        return ""
    name = (line.after or {}).get("name") or (line.before or {}).get("name")
    return name if isinstance(name, str) else ""


def leads(action: str, subject: str) -> str:
    """The page of what was changed; "" where there is none (any more)."""
    noun, _, verb = action.partition(".")
    if not subject or verb in ("delete", "erase") or noun not in _PAGES:
        return ""
    return _PAGES[noun] + quote(subject, safe="/")
