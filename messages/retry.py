"""When a message that could not be delivered is tried again, or that it is not.

Pure: takes times, returns a time.

The clock is 1, 5, 15, 30 minutes, 1, 2, 4 hours, then every 4 hours until 72 hours after acceptance, each step
spread by ±10 % so that a provider's outage does not end in one wave. RFC 5321 4.5.4.1 wants to try for 4 to 5 days
and not more often than every 30 minutes; three days are what applications and recipients still find useful, and the
early steps are short because a greylisted or throttled sign-in mail is worth nothing half an hour later.
"""

from datetime import datetime, timedelta
from typing import Final

from mta.model import Verdict

STEPS: Final = tuple(timedelta(minutes=m) for m in (1, 5, 15, 30, 60, 120, 240))
"""Pause after the 1st, 2nd, … attempt; the last one repeats."""
GIVE_UP_AFTER: Final = timedelta(hours=72)
LONGEST_WAIT: Final = timedelta(hours=4)
"""A remote server may ask for a pause up to this long; more would be a bounce by another name."""
UNCERTAIN_WAIT: Final = timedelta(minutes=30)
"""After "the dot was sent, no answer came" the remote may still be working on the mail. RFC 5321 4.5.3.2.6 gives it
10 minutes, and a repeat that comes too early is a second copy (RFC 1047)."""
JITTER: Final = 0.1


def next_attempt(
    attempts: int,
    first_accepted: datetime,
    now: datetime,
    verdict: Verdict,
    expires_at: datetime | None,
    jitter: float,
) -> datetime | None:
    """The time of the next attempt, or None: give up, the message is expired.

    `attempts` made so far, the one just ended included (≥ 1). `first_accepted` starts the 72 hours; for scheduled
    mail it is the schedule. `jitter` is a random number in [0, 1). All times are aware.

    The result is later than `now`, not earlier than `verdict.wait` asks (as far as `LONGEST_WAIT`), at most 72 hours
    after `first_accepted` and never after `expires_at`: when the clock would pass that, `expires_at` itself is
    returned, and the claim at that moment expires the message. Raises `ValueError` on counts out of range.
    """
    if attempts < 1 or not 0 <= jitter < 1:
        raise ValueError(f"attempts {attempts} or jitter {jitter} out of range")
    horizon = first_accepted + GIVE_UP_AFTER
    candidate = now + _pause(attempts, verdict, jitter)
    if expires_at is not None and expires_at <= min(candidate, horizon):
        return expires_at if expires_at > now else None
    return candidate if candidate <= horizon else None


def hold_until(
    until: datetime, first_accepted: datetime, now: datetime, expires_at: datetime | None
) -> datetime | None:
    """When mail that waits for an IP is due, or None: its 72 hours, or its own expiry, are over before that.

    Waiting costs no attempt, so the clock of attempts does not apply; the end does. All times are aware.
    """
    if now >= first_accepted + GIVE_UP_AFTER or (expires_at is not None and now >= expires_at):
        return None
    ends = [first_accepted + GIVE_UP_AFTER] + ([expires_at] if expires_at else [])
    return min(max(until, now), *ends)


def _pause(attempts: int, verdict: Verdict, jitter: float) -> timedelta:
    """The clock's step, or what the verdict asks for when that is longer; spread upwards only in that case, because
    earlier than asked is what must not happen."""
    step = STEPS[min(attempts, len(STEPS)) - 1] * (1 - JITTER + 2 * JITTER * jitter)
    asked = min(verdict.wait or timedelta(0), LONGEST_WAIT)
    if verdict.uncertain:
        asked = max(asked, UNCERTAIN_WAIT)
    return max(step, asked * (1 + JITTER * jitter))
