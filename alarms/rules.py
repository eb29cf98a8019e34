"""The rules of the alarms that are judged by the clock, as a table, with what may be set of each. Pure.

`alarms/rule_settings` keeps what was set. Rates are parts of 1. Below `least` mails nothing is judged: one complaint
among a hundred says nothing about the rate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from alarms.model import AlarmKind
from core.refusal import Refused, invalid


@dataclass(frozen=True, slots=True)
class Setting:
    """One value of a rule."""

    default: float
    meaning: str
    low: float = 0.0
    high: float = 1.0


@dataclass(frozen=True, slots=True)
class Rule:
    """What is judged, and by which values."""

    kind: AlarmKind
    title: str
    settings: Mapping[str, Setting]


def _hours(default: float, meaning: str) -> Setting:
    return Setting(default, meaning, 1, 24 * 30)


def _count(default: float, meaning: str) -> Setting:
    return Setting(default, meaning, 1, 1_000_000_000)


ENABLED: Final = Setting(1, "1: judged. 0: not.", 0, 1)

RULES: Final[Mapping[AlarmKind, Rule]] = {
    rule.kind: rule
    for rule in (
        Rule(
            AlarmKind.COMPLAINTS,
            "Complaints per delivered, of one stream of an application at one provider",
            {
                "warn": Setting(0.001, "From this rate on it is a warning."),
                "stop": Setting(0.003, "From this rate on the stream is stopped at that provider."),
                "hours": _hours(72, "Counted over so many hours: complaints come days after their mail."),
                "least": _count(1000, "Delivered mails below which nothing is judged."),
                "least_complaints": _count(3, "Complaints below which nothing is judged."),
                "stop_hours": _hours(24, "A stopped stream goes on after so many hours."),
                "stop_marketing": Setting(1, "1: marketing mail is stopped. 0: an alarm only.", 0, 1),
                "stop_transactional": Setting(1, "1: transactional mail is stopped. 0: an alarm only.", 0, 1),
            },
        ),
        Rule(
            AlarmKind.HARD_BOUNCES,
            "Hard bounces per decided mail, of one stream of an application",
            {
                "warn": Setting(0.02, "From this rate on it is a warning."),
                "critical": Setting(0.05, "From this rate on it is critical."),
                "hours": _hours(24, "Counted over so many hours."),
                "least": _count(500, "Decided mails below which nothing is judged."),
            },
        ),
        Rule(
            AlarmKind.DELIVERED_SHARE,
            "Delivered share of one type of mail at one provider, against its own line of seven days",
            {
                "drop": Setting(0.1, "So much below its line is a warning."),
                "critical": Setting(0.3, "So much below its line is critical."),
                "hours": _hours(6, "The share of so many hours is compared with that of the seven days before."),
                "least": _count(200, "Attempts below which nothing is judged; the line needs five times that."),
            },
        ),
        Rule(
            AlarmKind.QUEUE_AGE,
            "Mail that is due and nobody takes up",
            {
                "transactional_minutes": Setting(5, "Transactional mail may wait so long.", 1, 10_000),
                "marketing_minutes": Setting(120, "Marketing mail may wait so long.", 1, 100_000),
            },
        ),
        Rule(
            AlarmKind.IP_RESTING,
            "An IP that has not been healthy at a provider for hours",
            {"hours": _hours(4, "A warning after so many hours."), "critical": _hours(24, "Critical after so many.")},
        ),
        Rule(
            AlarmKind.POOL_RESTING,
            "A pool whose IPs all rest at a provider at once: its mail there waits",
            {"minutes": Setting(5, "A warning when it has lasted so long.", 0, 10_000)},
        ),
        Rule(
            AlarmKind.SEED_MISSING,
            "Mail to seed accounts that is missing or in spam",
            {"minutes": Setting(30, "A probe that is nowhere after so long is missing.", 1, 10_000)},
        ),
        Rule(
            AlarmKind.CERTIFICATE,
            "Certificates of our listeners",
            {
                "days": Setting(21, "A warning so many days before the end.", 1, 365),
                "critical": Setting(3, "Critical so many days before the end.", 0, 365),
            },
        ),
        Rule(AlarmKind.DNS_RECORD, "Records of verified domains", {}),
        Rule(AlarmKind.DOMAIN_LOST, "Sender domains whose records are gone", {}),
        Rule(
            AlarmKind.PROCESS_SILENT,
            "A process that is not heard of any more and did not say that it ends",
            {"minutes": Setting(2, "A warning after so many; critical when no other of its kind is there.", 1, 1000)},
        ),
    )
}
"""By the kind of alarm it raises."""

EASE: Final = 0.8
"""An alarm clears below this part of its limit, so that a rate at the limit does not raise and clear it in turn."""


def rule_named(name: str) -> Rule:
    """A rule. Raises Refused with the names there are."""
    if name not in [kind.value for kind in RULES]:
        names = ", ".join(kind.value for kind in RULES)
        raise Refused("not_found", f"there is no rule {name[:60]!r}", hint=f"There are {names}.")
    return RULES[AlarmKind(name)]


def all_settings(rule: Rule) -> dict[str, Setting]:
    """What may be set of a rule."""
    return {"enabled": ENABLED, **rule.settings}


def in_force(rule: Rule, given: Mapping[str, float]) -> dict[str, float]:
    """The values of a rule, what was set before what it comes with. What a newer version set is left out."""
    known = all_settings(rule)
    return {name: float(given.get(name, setting.default)) for name, setting in known.items()}


def checked(rule: Rule, given: Mapping[str, float]) -> dict[str, float]:
    """What somebody wants to set. Raises Refused naming the value that cannot be."""
    known = all_settings(rule)
    for name, value in given.items():
        setting = known.get(name)
        if setting is None:
            raise invalid(name, f"{rule.kind} has no such setting, only {', '.join(known)}")
        if not setting.low <= value <= setting.high:
            raise invalid(name, f"it must be from {setting.low:g} to {setting.high:g}")
    return dict(given)
