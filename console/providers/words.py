"""What the pages of providers say in words. Pure."""

from collections.abc import Sequence
from datetime import datetime

from console.charts import Lines, lines
from console.providers.treating import Treatment, deferral
from console.shown import lasting, percent, plural, short
from console.sites import shown_site
from store.tally import Tally


def how_all(found: Sequence[Treatment], now: datetime) -> str:
    """How they treat us: the ones worth a word, then the rest."""
    mail = [one for one in found if one.now]
    if not mail:
        return "No provider has had mail of ours in the last 24 hours."
    bad = [one for one in mail if one.worse or one.rests]
    if not bad and not any(one.before for one in mail):
        told = f"{plural(len(mail), 'provider')} had mail of ours in the last 24 hours"
        return f"{told}, their first: there is nothing to compare it with."
    if not bad:
        return f"{plural(len(mail), 'provider')} had mail of ours in the last 24 hours; each takes it as it did."
    told = " ".join(_one(one, now) for one in bad[:2])
    more = f" So do {len(bad) - 2} more." if len(bad) > 2 else ""
    fine = len(mail) - len(bad)
    return f"{told}{more}" + (f" The other {fine} take our mail as they did." if fine > 1 else "")


def how(one: Treatment, since: datetime | None, now: datetime) -> str:
    """How this one treats us, and since when."""
    if not one.now and not one.rests:
        return f"{shown_site(one.name)} has had no mail of ours in the last 24 hours."
    if not one.worse and not one.rests:
        share = deferral(one.now)
        if not one.before:
            return (
                f"Its first day with mail of ours: {percent(share)} of the attempts deferred, nothing to compare with."
            )
        return f"It takes our mail as it did: {percent(share)} of the attempts deferred in the last 24 hours."
    return _one(one, now, since)


def _one(one: Treatment, now: datetime, since: datetime | None = None) -> str:
    share, usual = one.share, deferral(one.before)
    began = f" for {lasting((now - since).total_seconds())}" if since else ""
    before = f", {percent(usual)} in the week before" if usual is not None else ""
    told = f"{shown_site(one.name)} defers {percent(share)} of the attempts{began}{before}" if one.worse else ""
    if not one.rests:
        return f"{told}."
    rest = _resting(one, now)
    return f"{told}; {rest.format('there')}." if told else f"{rest.format(f'at {shown_site(one.name)}')}."


def _resting(one: Treatment, now: datetime) -> str:
    """Who is held there and for how long, with a gap for the place."""
    who = one.rests[0].key.subject if len(one.rests) == 1 else plural(len(one.rests), "IP")
    has = "has" if len(one.rests) == 1 else "have"
    does = "rested" if one.state == "throttled" else "been coming back"
    lasted = f" for {lasting((now - one.resting_since).total_seconds())}" if one.resting_since else ""
    return f"{who} {has} {does} {{}}{lasted}"


def deferrals(hours: Sequence[tuple[datetime, Tally]]) -> Lines:
    """The share of deferred attempts, hour by hour."""
    values = [deferral(tally) for _, tally in hours]
    return lines([f"{at:%a %H}h" for at, _ in hours], [("deferred", "Deferred", values)], percent=True)


def times(hours: Sequence[tuple[datetime, Tally]]) -> Lines:
    """Accept to delivered, hour by hour: the middle one, and that of 99 %. Seconds."""
    found = [tally.seconds(0.5, 0.99) for _, tally in hours]
    return lines(
        [f"{at:%a %H}h" for at, _ in hours],
        [
            ("delivered", "half of it within", [p50 for p50, _ in found]),
            ("underway", "99 %", [p99 for _, p99 in found]),
        ],
    )


def delivered(tally: Tally) -> str:
    """Delivered, in short."""
    return short(tally.measures()["delivered"])
