"""What the page of seed accounts says in words. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from alarms.seeds import PLACEMENTS, Probe, Seed
from console.shown import plural
from console.sites import shown_site

LANDED: Final[Mapping[str | None, tuple[str, str]]] = {
    "inbox": ("inbox", "inbox"),
    "spam": ("spam", "spam"),
    "other": ("other", "another folder"),
    "missing": ("missing", "missing"),
    None: ("looked_for", "looked for"),
}
"""Where a probe landed: its state, and how that is said."""


def where_it_lands(found: Sequence[Seed]) -> str:
    """Where the newest probe of each account is, the bad ones first."""
    probed = [one for one in found if one.active and one.placement]
    if not found:
        return "Nobody knows: there is no mailbox of ours to look into."
    if not probed:
        return f"{plural(len(found), 'account')}, and no probe of an active one has been found yet."
    told = [_those([one for one in probed if one.placement == place], place) for place in ("missing", "spam", "other")]
    bad = [sentence for sentence in told if sentence]
    good = sum(one.placement == "inbox" for one in probed)
    has = "has" if 1 in (good, len(probed)) else "have"
    well = f"{good} of {plural(len(probed), 'account')} {has} the newest probe in the inbox"
    return f"{'; '.join(bad)}. {well}." if bad else f"{well}."


def _those(many: Sequence[Seed], place: str) -> str:
    if not many:
        return ""
    sites = sorted({shown_site(one.provider) for one in many})
    where = sites[0] if len(sites) == 1 else plural(len(sites), "provider")
    what = {"missing": "did not arrive at", "spam": "landed in spam at", "other": "landed in another folder at"}[place]
    return f"Mail {what} {where}"


def shares(probes: Sequence[Probe]) -> Sequence[tuple[str, str, int]]:
    """(state, what, how many) of these probes, without those that are looked for."""
    counts = {place: sum(one.placement == place for one in probes) for place in PLACEMENTS}
    return [(*LANDED[place], n) for place, n in counts.items() if n]
