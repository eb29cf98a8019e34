"""What the page of reports says in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from console.charts import Lines, Stacked, lines, stacked
from console.outcomes import OUTCOMES, column
from console.shown import percent, short
from console.spans import Step
from store.tally import Tally

DIMENSIONS: Final[Mapping[str, str]] = {
    "provider": "provider", "ip": "IP", "pool": "pool", "stream": "stream", "topic": "topic", "tag": "tag",
    "domain": "sender domain", "application": "application",
}  # fmt: skip
RATES: Final[Mapping[str, tuple[str, str]]] = {
    "complaint_rate": ("Complaints", "of delivered"),
    "bounce_rate": ("Bounces", "of what was decided"),
    "delivery_rate": ("Deliveries", "of what was decided"),
    "unsubscribe_rate": ("Unsubscribes", "of delivered"),
    "open_rate": ("Opens by people", "of delivered"),
    "click_rate": ("Clicks by people", "of delivered"),
}
"""Rate → what, of what."""
LIMITS: Final = ((0.001, "0.1 %: look into it"), (0.003, "0.3 %: providers act"))
"""Of complaints: beyond the first mail begins to land in spam, beyond the second Gmail and Yahoo refuse it."""
STEPS: Final = (("", "fitting steps"), ("day", "by day"), ("week", "by week"), ("month", "by month"))


def capital(text: str) -> str:
    """As a heading begins."""
    return f"{text[:1].upper()}{text[1:]}"


def what_happened(now: Tally, before: Tally, told: str) -> str:
    """How much, how well, and against the time before."""
    found, rates = now.measures(), now.rates()
    if not now:
        return f"No mail in the {told}."
    if not found["delivered"] and not found["bounced"]:
        return f"{short(found['accepted'])} accepted in the {told}, and nothing was decided yet."
    first = (
        f"{short(found['delivered'])} delivered in the {told}, {percent(rates['delivery_rate'])} of what was decided"
    )
    complained = (
        f"; {percent(rates['complaint_rate'])} of it complained" if found["complained"] else "; nobody complained"
    )
    return f"{first}{complained}.{_against(found['delivered'], before.measures()['delivered'])}"


def _against(now: int, before: int) -> str:
    if not before:
        return " There was none in the time before."
    part = (now - before) / before
    if abs(part) < 0.005:
        return " As much as in the time before."
    return f" {abs(part):.0%} {'more' if part > 0 else 'less'} than in the time before.".replace(
        "%", "\N{NO-BREAK SPACE}%"
    )


def outcomes(found: Sequence[Step]) -> Stacked:
    """Outcomes step by step."""
    return stacked([column(step.label, step.title, step.tally) for step in found], OUTCOMES)


def rate_lines(rate: str, found: Sequence[Step], largest: Sequence[tuple[str, Sequence[Tally]]]) -> Lines:
    """A rate over time: of all mail, and of the largest rows where there are several."""
    series = [("series-1", "all", [step.tally.rates()[rate] for step in found])]
    if len(largest) > 1:
        for n, (name, tallies) in enumerate(largest, 2):
            series.append((f"series-{n}", name, [tally.rates()[rate] for tally in tallies]))
    limits = LIMITS if rate == "complaint_rate" else ()
    return lines([step.label for step in found], series, limits, percent=True)
