"""What pages of campaigns say in words: how far one is, what became of its people, what an act would do. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Final

from audience.eligibility import TEXTS
from campaigns import retrying, tallies
from campaigns.forecast import Forecast
from campaigns.model import Campaign
from campaigns.states import OPEN, SKIPPED, CampaignState, RowState
from console.shown import lasting, percent, plural

MEANING: Final[Mapping[RowState, str]] = {
    RowState.DELIVERED: "Their server took it.",
    RowState.QUEUED: "Its mail waits in the queue.",
    RowState.DEFERRED: "Their server said later; it is tried again.",
    RowState.WAITING: "No mail was made for them yet.",
    RowState.BOUNCED: "Their server refused it for good.",
    RowState.EXPIRED: "Their server did not take it in time.",
    RowState.FAILED: "The mail could not be made for them.",
    RowState.SUPPRESSED: "Their address gets no mail of ours.",
    RowState.UNSUBSCRIBED: "They had left before their mail did.",
    RowState.UNCONFIRMED: "They have not confirmed that they want mail.",
    RowState.TAPERED: "Silent for long, or had enough mail already.",
    RowState.CANCELLED: "It was cancelled before their turn.",
    RowState.ERASED: "They were erased.",
    RowState.MERGED: "The same person as another contact, who has a row of their own.",
    RowState.HELD_OUT: "They are in the group that gets nothing, to compare with.",
}
"""Outcomes in the order in which they are shown."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Its people, each counted once, and marks, which several outcomes share."""

    by: Mapping[RowState, int]
    opened: int
    clicked: int
    left: int
    complained: int

    @classmethod
    def of(cls, found: Campaign) -> "Counts":
        """From its tallies."""
        known = found.tallies
        by = {state: known.get(state.value, 0) for state in MEANING}
        marks = (tallies.OPENED, tallies.CLICKED, tallies.LEFT, tallies.COMPLAINED)
        return cls(by, *(known.get(name, 0) for name in marks))

    @property
    def total(self) -> int:
        """All of them."""
        return sum(self.by.values())

    @property
    def got(self) -> int:
        """Whose server took it."""
        return self.by[RowState.DELIVERED]

    @property
    def open(self) -> int:
        """Of whom it is not decided yet."""
        return sum(self.by[state] for state in OPEN)

    @property
    def missed(self) -> int:
        """Who did not get it, and will not."""
        return self.total - self.got - self.open

    @property
    def left_out(self) -> int:
        """Who may not get it, by rule and not by accident."""
        return sum(self.by[state] for state in SKIPPED)

    @property
    def shown(self) -> Sequence[tuple[RowState, int, str]]:
        """Outcomes that somebody has, with what each means."""
        return [(state, n, MEANING[state]) for state, n in self.by.items() if n]


def called(found: Campaign) -> str:
    """Its name, else its subject."""
    return found.name or found.words.subject or "Without a name"


def overall(found: Sequence[Campaign]) -> str:
    """The first line of the list."""
    if not found:
        return "No campaign yet."
    under = [one for one in found if one.state in (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.STOPPED)]
    halted = [one for one in under if one.state is not CampaignState.SENDING]
    planned = [one for one in found if one.state is CampaignState.SCHEDULED]
    told = [_under_way([one for one in under if one not in halted])]
    told += [f"{plural(len(halted), 'waits', 'wait')} for somebody to let {'it' if len(halted) == 1 else 'them'} go on"]
    told = [told[0], *(told[1:] if halted else [])]
    told += [f"{plural(len(planned), 'is', 'are')} scheduled"] if planned else []
    return f"{'; '.join(told)}."


def _under_way(found: Sequence[Campaign]) -> str:
    if not found:
        return "Nothing is being sent"
    counted = [Counts.of(one) for one in found]
    done, total = sum(one.total - one.open for one in counted), sum(one.total for one in counted)
    return f"{plural(len(found), 'campaign is', 'campaigns are')} under way: {done:,} of {total:,} people are decided"


def standing(found: Campaign) -> str:
    """Who got it, who did not, what comes next: the first line of its page."""
    counts = Counts.of(found)
    if found.unreadable:
        so_far = f"{_got(counts)}{_not(counts)}" if counts.total else "Nobody got it yet"
        return f"This version of Postlane cannot read it, so it waits: {found.unreadable}. {so_far}."
    match found.state:
        case CampaignState.DRAFT:
            return "Nobody got it yet: it is a draft. Look at it, have it checked, and send it."
        case CampaignState.SCHEDULED:
            return "It is scheduled, and nobody got it yet."
        case CampaignState.SENDING if not counts.total:
            return "It has begun; its people are being put together."
        case CampaignState.SENDING if found.window_opens_at is not None:
            why = found.why[0].upper() + found.why[1:]
            return f"{why}. {_got(counts)}; {plural(counts.open, 'is', 'are')} still to come{_not(counts)}."
        case CampaignState.SENDING:
            return f"{_got(counts)}; {plural(counts.open, 'is', 'are')} still to come{_not(counts)}."
        case CampaignState.PAUSED | CampaignState.STOPPED:
            why = f": {found.reason}" if found.reason else ""
            by = "It stopped by itself" if found.state is CampaignState.STOPPED else "It is paused"
            if not counts.total:
                return f"{by}{why}. Nobody got it yet: its people are not put together."
            return f"{by}{why}. {_got(counts)}; {plural(counts.open, 'waits', 'wait')} until it goes on."
        case CampaignState.CANCELLED:
            why = f" ({found.reason})" if found.reason else ""
            return f"It was cancelled{why}. {_got(counts)}{_not(counts)}."
        case CampaignState.FINISHED if found.reason:
            return f"{found.reason[0].upper()}{found.reason[1:]}. {_got(counts)}{_not(counts)}."
        case CampaignState.FINISHED:
            return f"{_got(counts)}{_not(counts)}."


def _got(counts: Counts) -> str:
    share = f" ({percent(counts.got / counts.total)})" if counts.total else ""
    return f"{counts.got:,} of {plural(counts.total, 'person', 'people')} got it{share}"


def _not(counts: Counts) -> str:
    if not counts.missed:
        return ""
    why = sorted(((n, state) for state, n in counts.by.items() if state not in OPEN), reverse=True)
    told = [f"{n:,} {state.value.replace('_', ' ')}" for n, state in why if n and state is not RowState.DELIVERED]
    return f"; {counts.missed:,} did not: {', '.join(told[:3])}{' and others' if told[3:] else ''}"


def out(found: Forecast | None, now: datetime) -> str:
    """When one that is under way is out, in some words."""
    if found is None:
        return "nobody waits"
    if not found.people and found.put_off:
        return f"{found.put_off.people:,} put off"
    if found.expected_at is None:
        return "not out within 90 days"
    return f"out {within(found.expected_at, now)}{'' if found.at_pace else ' at the earliest'}"


def pace(found: Forecast) -> str:
    """By what it is expected, in front of "it is out": what was measured, where that decides."""
    if found.at_pace is None or found.pace is None:
        return "It is"
    minutes = max(1, round(found.pace.over.total_seconds() / 60))
    each = found.pace.per_hour / 60
    rate = f"{each:,.0f} a minute" if each >= 10 else f"{found.pace.per_hour:,.0f} an hour"
    return f"At the pace of the last {plural(minutes, 'minute')} ({rate}) it is"


def after(found: Forecast, moment: datetime | None) -> str:
    """How long after its beginning something ends, which stays true while the page is open."""
    if moment is None:
        return "not within 90 days"
    return f"{_whole(moment - found.starts_at)} after it begins"


def within(moment: datetime | None, now: datetime) -> str:
    """The same from now on, of one that is under way. Never "just now": somebody is still to come."""
    return f"in {_whole(moment - now)}" if moment is not None else "not within 90 days"


def _whole(away: timedelta) -> str:
    seconds = max(1, ceil(away.total_seconds()))
    return f"{seconds} s" if seconds < 10 else lasting(seconds)


def if_paused(counts: Counts) -> str:
    """What a pause would do; its people may not be put together yet."""
    if not counts.total:
        return "Its people are still being put together; nobody gets it until you resume it."
    return (
        f"{plural(counts.open, 'person waits', 'people wait')} until you resume it; {counts.got:,} already"
        f" {'has' if counts.got == 1 else 'have'} it. What is on the wire at this moment still arrives."
    )


def if_cancelled(found: Campaign) -> str:
    """What a cancel would do."""
    if found.state is CampaignState.SCHEDULED:
        return "It is a draft again, and does not begin by itself."
    counts = Counts.of(found)
    if not counts.total:
        return "Nobody gets it: its people are not put together yet. It cannot be taken up again."
    return (
        f"{plural(counts.open, 'person', 'people')} will not get it; {counts.got:,} already have it. What is on the"
        " wire at this moment still arrives. It cannot be taken up again."
    )


def retried(found: Campaign) -> int:
    """How many would be tried again."""
    return retrying.people(found.tallies)


def unopened(found: Campaign) -> int:
    """Who got it and did not open it, about: who clicked or left without opening counts as one that did not."""
    return max(0, found.tallies.get(RowState.DELIVERED.value, 0) - found.tallies.get(tallies.OPENED, 0))


def missed(found: Campaign) -> int:
    """Who did not get it and may, in another one."""
    again = (RowState.CANCELLED, RowState.TAPERED, RowState.UNCONFIRMED)
    return retried(found) + sum(found.tallies.get(state.value, 0) for state in again)


def why(state: RowState, reason: str) -> str:
    """A reason as it is stored, for people."""
    return TEXTS.get(reason) or reason.replace("_", " ").capitalize() or MEANING[state]
