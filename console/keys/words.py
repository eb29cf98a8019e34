"""What pages say of API keys. Pure."""

from datetime import datetime
from typing import Final

from accounts.counting import KeyTally
from accounts.repository import ApiKey
from console.shown import plural, relative

MAY: Final = {
    "full_access": "send, read, and change all of its application",
    "sending_access": "only send",
}
PERMISSIONS: Final = [("full_access", "Everything of its application"), ("sending_access", "Only send")]
MODES: Final = [("live", "Live: mail leaves"), ("test", "Test: mail is captured in the sandbox, nothing leaves")]


def who_may_send(found: KeyTally) -> str:
    """The answer of the list."""
    if not found.all:
        return "None yet: a program needs a key to send."
    told = f"{plural(found.all, 'key')}: {found.all - found.tests:,} live, {found.tests:,} for tests."
    return f"{told} {_unused(found.unused, found.all)}"


def _unused(unused: int, of: int) -> str:
    if not unused:
        return "Each was used."
    if unused == of:
        return "None was ever used."
    return f"{unused:,} {'was' if unused == 1 else 'were'} never used."


def revoked(key: ApiKey, now: datetime) -> str:
    """What follows from revoking one."""
    if key.last_used_at is None:
        return "It was never used. Whatever tries to use it from now on is refused."
    used = relative(key.last_used_at, now)
    return f"It was last used {used}. Whatever uses it is refused within five seconds. Mail it has sent is not touched."
