"""What the page of bounces and complaints says in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from console.charts import Column, Stacked, stacked
from console.shown import percent, plural, short
from console.spans import Step
from mta.bounces import ReportKind
from outcomes.judging import Result
from store.tally import REFUSED, Tally

CAME_BACK: Final = (
    ("bounced", "Refused for good"),
    ("deferred", "Blocked"),
    ("underway", "Came back after delivery"),
    ("complained", "Complaints"),
)
"""Tones of the chart, from the bottom."""
_OUTCOMES: Final[Mapping[str, str]] = {
    "bounced": "bounced", "deferred": "blocked", "underway": "late_bounced", "complained": "complained",
}  # fmt: skip

BECAME: Final[Mapping[str, tuple[str, str]]] = {
    Result.BOUNCED: ("bounced", "bounced"),
    Result.NOTED: ("plain", "noted"),
    Result.REPEATED: ("plain", "told before"),
    Result.DELAYED: ("deferred", "delayed"),
    Result.COMPLAINED: ("complained", "complaint"),
    Result.WITHDRAWN: ("delivered", "complaint taken back"),
    Result.UNSUBSCRIBED: ("suppressed", "unsubscribed"),
    Result.IGNORED: ("plain", "no report"),
    Result.UNPLACED: ("deferred", "names no mail of ours"),
    Result.UNREAD: ("deferred", "not understood"),
    Result.UNKNOWN: ("deferred", "about a mail that is gone"),
    "": ("waiting", "waits"),
}
"""What became of a received mail: its tone, and how that is said."""
FOLLOWED: Final[Mapping[str, str]] = {
    Result.BOUNCED: "The message it is about is bounced now.",
    Result.NOTED: "The timeline of its message has it; it moved nothing, for the message had ended or was under way.",
    Result.REPEATED: "The same was known: nothing changed.",
    Result.DELAYED: "The other server still tries.",
    Result.COMPLAINED: "Its recipient called the mail unwanted, and is suppressed.",
    Result.WITHDRAWN: "The complaint is taken back, and what it suppressed is free again.",
    Result.UNSUBSCRIBED: "Its author gets no more of this mail.",
    Result.IGNORED: "Nothing to act on: an answer of a program, or of a person.",
    Result.UNPLACED: "Nothing followed: it shows no token of ours, and no known feedback loop has signed it.",
    Result.UNREAD: "Nothing followed: a mail system wrote, and no reader of ours understands what.",
    Result.UNKNOWN: "Nothing followed: the mail it is about is no longer stored.",
    "": "It is looked at within seconds.",
}
KINDS: Final[Mapping[str, str]] = {
    ReportKind.FAILED: "given up",
    ReportKind.DELAYED: "still being tried",
    ReportKind.DONE: "delivered after all",
    ReportKind.COMPLAINT: "a complaint",
    ReportKind.NOT_SPAM: "a complaint taken back",
    ReportKind.NO_COMPLAINT: "a report that blames nobody",
    ReportKind.AUTO_REPLY: "an answer of a program",
    ReportKind.RECEIPT: "a read receipt",
    ReportKind.CHALLENGE: "a filter that wants proof",
}
"""What a report says."""


def what_came_back(tally: Tally, before: Tally, told: str, classes: Mapping[str, str]) -> str:
    """How much came back, most for what, and how many complained."""
    found, rates = tally.measures(), tally.rates()
    if not tally:
        return f"No mail, and so nothing came back, in the {told}."
    if not found["bounced"] and not found["complained"]:
        return f"Nothing came back in the {told}, and nobody complained."
    worst = next(iter(tally.by_class(*REFUSED).items()), None)
    most = f", most of it because {classes.get(worst[0], f'of {worst[0]}')} ({short(worst[1])})" if worst else ""
    back = f"{short(found['bounced'])} {'mail' if found['bounced'] == 1 else 'mails'} came back in the {told}"
    back += f", {percent(rates['bounce_rate'])} of what was decided{most}"
    return f"{back}; {_complaints(found['complained'], rates['complaint_rate'])}{_against(tally, before)}."


def _complaints(n: int, rate: float | None) -> str:
    return f"{plural(n, 'complaint')}, {percent(rate)} of delivered" if n else "nobody complained"


def _against(tally: Tally, before: Tally) -> str:
    now, then = tally.rates()["bounce_rate"], before.rates()["bounce_rate"]
    return "" if now is None or then is None else f" ({percent(then)} came back in the time before)"


def waits(open_ones: Mapping[str, int]) -> str:
    """What nobody understood and a person may look at; "" for nothing."""
    unread = open_ones.get(Result.UNREAD, 0)
    if not unread:
        return ""
    return f"{plural(unread, 'report')} nobody could read {'waits' if unread == 1 else 'wait'} for a look."


def chart(found: Sequence[Step]) -> Stacked:
    """What came back, step by step."""
    return stacked([_column(step) for step in found], CAME_BACK)


def _column(step: Step) -> Column:
    counts = {tone: step.tally.sum(outcome) for tone, outcome in _OUTCOMES.items()}
    told = ", ".join(f"{counts[tone]:,} {name.lower()}" for tone, name in CAME_BACK if counts[tone])
    return Column(step.label, counts, f"{step.title}: {told or 'nothing'}")
