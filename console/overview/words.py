"""The overview's answer in words. Pure."""

from collections.abc import Sequence
from typing import Final

from alarms.model import Severity
from console.charts import Stacked
from console.outcomes import by_hour
from console.overview.figures import Overview
from console.shown import lasting, percent, plural, short
from messages.search import COUNTED
from store.tally import Tally

LATE: Final = 60.0
"""Seconds that due mail may wait before it is worth a word."""


def is_mail_flowing(seen: Overview) -> str:
    """One sentence with figures: how much, how well, who rests, who waits."""
    delivered = seen.now.measures()["delivered"]
    if not delivered and not seen.now:
        return "No mail in the last 24 hours." + _machine(seen)
    deferred = share(seen.now, "deferred")
    parts = [f"{short(delivered)} delivered in the last 24 hours"]
    if deferred:
        parts.append(f"{percent(deferred)} deferred")
    return ", ".join(parts) + _machine(seen)


def needs_me(seen: Overview) -> str:
    """Whether there is something to do, as a sentence."""
    grave = sum(alarm.severity == Severity.CRITICAL for alarm in seen.alarms)
    stopped = [one for one in seen.campaigns if one.state == "stopped"]
    told = []
    if seen.alarms:
        told.append(plural(len(seen.alarms), "alarm") + (f" ({grave} critical)" if grave else ""))
    if stopped:
        told.append(plural(len(stopped), "campaign") + " stopped by itself")
    if not told:
        return "Nothing needs you."
    return f"{' and '.join(told)} {'needs' if len(seen.alarms) + len(stopped) == 1 else 'need'} you."


def _machine(seen: Overview) -> str:
    rests = sum(len(one.rests) for one in seen.resting)
    told = f", {plural(len(seen.resting), 'IP')} {_verb(seen.resting)} at {_where(seen)}" if rests else ""
    late = {lane: seconds for lane, seconds in seen.overdue.items() if seconds > LATE}
    told += "".join(f", {lane} mail waits for {lasting(seconds)}" for lane, seconds in late.items())
    end = f"{told}." if told or seen.now else ""
    return end + _waiting(seen, late=bool(late))


def _waiting(seen: Overview, *, late: bool) -> str:
    """What is not through yet, and that it goes on by itself; "" for whoever may not see the queue."""
    if seen.queue is None:
        return ""
    if seen.queue.more:
        return f" More than {COUNTED:,} mails wait" + ("." if late else ", none of them late.")
    put_off, fresh = seen.queue.put_off, seen.queue.waiting - seen.queue.put_off
    told = [f"{plural(put_off, 'mail is', 'mails are')} put off and tried again"] if put_off else []
    told += [f"{plural(fresh, 'mail is', 'mails are')} on the way or scheduled"] if fresh else []
    if not told:
        return " No mail waits." if seen.now else ""
    return f" {', '.join(told)}" + ("." if late else "; none is late.")


def _verb(many: Sequence[object]) -> str:
    return "rests" if len(many) == 1 else "rest"


def _where(seen: Overview) -> str:
    sites = sorted({row.key.site for one in seen.resting for row in one.rests})
    return sites[0] if len(sites) == 1 else plural(len(sites), "provider")


def share(tally: Tally, measure: str) -> float | None:
    """Of the mail that was accepted, counted once a message: None where there was none."""
    found = tally.measures()
    whole = found["accepted"]
    return found[measure] / whole if whole else None


def change(now: int, before: int) -> str:
    """Against the 24 hours before: +12 %, -3 %, "" where there is nothing to compare with."""
    if before < 20 or now == before:
        return ""
    part = (now - before) / before
    sign = "+" if part > 0 else "\N{MINUS SIGN}"
    return f"{sign}{abs(part) * 100:,.0f} %"


def outcomes(seen: Overview) -> Stacked:
    """The chart: outcomes of each hour."""
    return by_hour(seen.hours)
