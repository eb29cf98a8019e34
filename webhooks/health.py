"""When an event is tried again, how an endpoint stands, and when it is switched off. Pure: no clock, no I/O.

Two clocks run side by side. Each *event* has its own tries (`DELAYS`). An *endpoint* in trouble rests for moments that
grow up to half a minute and is then asked with one event: so a receiver that is away for hours costs few events their
tries, hangs no more than one request, and gets all that waits as soon as it is back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

DELAYS: Final = tuple(
    timedelta(seconds=seconds)
    for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
)
"""After the first try, the second, and so on: those of Standard Webhooks. After the tenth an event has failed."""

JITTER: Final = 0.1
"""A delay is longer or shorter by up to this share, so that what failed together does not come back together."""

GIVEN_UP: Final = timedelta(days=5)
"""An endpoint that has answered nothing well for so long is switched off."""

LONGEST_REST: Final = timedelta(seconds=30)
LONGEST_WISH: Final = timedelta(hours=24)
"""Of `Retry-After`: nobody may ask for longer."""

GONE: Final = 410


class Answer(NamedTuple):
    """What came of one request."""

    status: int | None
    """None: there was no answer."""
    text: str = ""
    """The beginning of the body."""
    error: str = ""
    """Why there was no answer, in words."""
    retry_after: timedelta | None = None
    milliseconds: int = 0

    @property
    def good(self) -> bool:
        """Only a 2xx says that it was taken: a redirect is not followed."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def trouble(self) -> bool:
        """The endpoint as a whole is away, broken or overloaded; another event would fare no better now."""
        return self.status is None or self.status == 429 or self.status >= 500


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint stands."""

    failing_since: datetime | None = None
    """The first failure after the last success."""
    failures: int = 0
    """Rests in a row."""
    rest_until: datetime | None = None
    disabled: str = ""
    """Why it is to be switched off; "" for not."""


def next_try(tries: int, now: datetime, chance: float, wish: timedelta | None = None) -> datetime | None:
    """When an event is due again after so many tries; None when it has failed. `chance` is between 0 and 1."""
    if tries > len(DELAYS):
        return None
    delay = DELAYS[tries - 1] * (1 + JITTER * (2 * chance - 1))
    return now + max(delay, min(wish or timedelta(0), LONGEST_WISH))


def after(health: Health, answers: list[Answer], now: datetime) -> Health:
    """How the endpoint stands after these answers, in the order they came."""
    good = any(answer.good for answer in answers)
    bad = [answer for answer in answers if not answer.good]
    if not bad:
        return Health()
    since = now if good else health.failing_since or now
    if any(answer.status == GONE for answer in bad):
        return Health(since, disabled="it answered 410 Gone")
    if now - since >= GIVEN_UP:
        return Health(since, disabled=f"nothing was taken for {GIVEN_UP.days} days; the last answer: {said(bad[-1])}")
    troubled = [answer for answer in bad if answer.trouble]
    if not troubled:
        return Health(since)
    failures = 1 if good else health.failures + 1
    wish = max((answer.retry_after or timedelta(0) for answer in troubled), default=timedelta(0))
    rest = max(min(timedelta(seconds=2 ** min(failures - 1, 16)), LONGEST_REST), min(wish, LONGEST_WISH))
    return Health(since, failures, now + rest)


def said(answer: Answer) -> str:
    """An answer in a few words."""
    return str(answer.status) if answer.status is not None else answer.error
