"""What a verdict does to the message, the recipient's address and our IP, in words. Pure; the same for every door."""

from datetime import timedelta

from mta.model import Action, Scope, Verdict
from mta.providers import OTHER
from mta.replies import UNREADABLE


def message(verdict: Verdict) -> str:
    """What happens to the message, in words."""
    if verdict is UNREADABLE:
        return "tried again later; such a code is no answer to anything we ask"
    match verdict.action:
        case Action.DELIVERED:
            return "delivered"
        case Action.RETRY_SAME_IP:
            return f"tried again through the same IP{_after(verdict.wait)}"
        case Action.RETRY_LATER:
            unsure = "; it may have been taken, so this waits longer" if verdict.uncertain else ""
            return f"tried again later{_after(verdict.wait)}{unsure}"
        case Action.THROTTLE_IP:
            return "tried again through another IP of its pool, or later through this one when there is no other"
        case Action.THROTTLE_DOMAIN:
            return f"tried again later{_after(verdict.wait)}, as is all mail of its sending domain to this provider"
        case Action.BOUNCE:
            return "bounced: it is not tried again"
        case Action.BLOCK:
            return "refused for good: it is not tried again, and the recipient is not to blame"


def address(verdict: Verdict) -> str:
    """What happens to the recipient's address, in words."""
    return "suppressed: it gets no more mail" if verdict.suppress else "not suppressed"


def ip(verdict: Verdict, provider: str) -> str:
    """What happens to our IP, in words."""
    if verdict.action is not Action.THROTTLE_IP:
        return "goes on as before"
    rest = f"rests {_time(verdict.wait)}" if verdict.wait is not None else "rests"
    if verdict.scope is Scope.LOCAL:
        return f"{rest} everywhere: it cannot be used from here"
    where = "this mail server" if provider == OTHER else provider
    again = ", longer each time it is refused again"
    listed = "; an alarm asks you to look at the list" if verdict.klass == "blocklisted" else ""
    return f"{rest} at {where}{again}{listed}"


def _after(wait: timedelta | None) -> str:
    return f" after {_time(wait)}" if wait is not None else ""


def _time(wait: timedelta) -> str:
    seconds = int(wait.total_seconds())
    for size, name in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds // size} {name}{'s' if seconds != size else ''}"
    return f"{seconds} seconds"
