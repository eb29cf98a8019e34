"""What the page of requests says in words. Pure."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from console.shown import lasting, percent, plural, relative
from requestlog.repository import Figures, Logged, Status

PERIODS: Final[Mapping[str, tuple[str, timedelta | None]]] = {
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(days=1)),
    "all": ("All that is kept", None),
}
DEFAULT: Final = "24h"
STATUSES: Final[tuple[tuple[Status | str, str], ...]] = (
    ("", "Any"), ("2xx", "2xx done"), ("failed", "Refused or failed"), ("4xx", "4xx refused"), ("5xx", "5xx our fault"),
)  # fmt: skip


def tone(status: int) -> str:
    """The state whose sign an answer takes."""
    if status < 400:
        return "delivered"
    return "failed" if status >= 500 else "deferred"


def overall(figures: Figures, last: Logged | None, now: datetime) -> str:
    """What was asked for lately, and what was refused: one or two sentences."""
    span = "hour" if figures.since is None else lasting((now - figures.since).total_seconds())
    if not figures.asked:
        begin = "Nothing was asked for in the last hour."
    elif not figures.failed:
        begin = f"{plural(figures.asked, 'request')} in the last {span}, all of them done."
    else:
        share = percent(figures.failed / figures.asked)
        asked = plural(figures.asked, "request")
        begin = f"{asked} in the last {span}, {figures.failed:,} of them refused or failed ({share})."
    return f"{begin} {_last(last, now, among=figures.failed > 0)}" if last else begin


def _last(last: Logged, now: datetime, *, among: bool) -> str:
    """`among`: it is one of those that were just told of; else it is older than they are."""
    why = f" {last.error}" if last.error else ""
    which = "The last of those" if among else "The last that was refused or failed"
    return f"{which}: {last.status}{why} at {last.method} {last.path}, {relative(last.created_at, now)}."


def one(found: Logged) -> str:
    """What became of a request: for its panel."""
    if found.status < 400:
        return "Done"
    return "Failed, by our fault" if found.status >= 500 else "Refused"
