"""Rules set while the practice internet runs: "gmail throttles client 127.0.1.2 for the next 50 mails".

Owns the list of rules and how often each has answered; the first rule that matches wins, in the order they were set.
Never touches sockets. `simulator/mailroom.py` asks at each stage, `simulator/control.py` sets and clears.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import translate
from functools import lru_cache
from typing import Any

from simulator.behaviour import natural_stage
from simulator.model import Behaviour, Plan, Stage
from simulator.replies import STYLES, is_reply

_TLS_STAGES = {Behaviour.BADTLS: Stage.STARTTLS}


class RuleError(ValueError):
    """A rule that cannot be understood; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One order to the providers. `provider`, `client` and `recipient` are patterns with `*` and `?`.

    `client` is compared with the client's IP and with its EHLO name. `until` is in seconds since the epoch; `mails` is
    how often the rule may answer. With `above` the rule is a rate limit: it answers only what a client sends above so
    many recipients in each `per` seconds. With `after` it is a limit of connections: it answers only on those that have
    carried so many mails.
    """

    behaviour: Behaviour
    provider: str = "*"
    client: str = "*"
    recipient: str = "*"
    argument: str = ""
    stage: Stage | None = None
    text: str = ""
    until: float | None = None
    mails: int | None = None
    above: int | None = None
    per: float = 60.0
    after: int | None = None
    name: str = ""


@dataclass(slots=True)
class _Window:
    """Recipients counted for one client since `start`."""

    start: float
    count: int = 0


class RuleBook:
    """The rules in force. Times are given by the caller, in seconds since the epoch."""

    def __init__(self) -> None:
        self._rules: dict[str, Rule] = {}
        self._windows: dict[tuple[str, str], _Window] = {}
        self._answered: dict[str, int] = {}
        self._last = 0

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, rule: Rule) -> Rule:
        """Put a rule in force and name it (`r1`, `r2`, … unless it has a name; an equal name is replaced)."""
        if not rule.name:
            self._last += 1
            rule = replace(rule, name=f"r{self._last}")
        self.remove(rule.name)
        self._rules[rule.name] = rule
        return rule

    def remove(self, name: str) -> bool:
        """Take one rule out of force; False if there is none of that name."""
        for key in [key for key in self._windows if key[0] == name]:
            del self._windows[key]
        self._answered.pop(name, None)
        return self._rules.pop(name, None) is not None

    def clear(self) -> int:
        """Take all rules out of force; how many there were."""
        count = len(self._rules)
        self._rules.clear()
        self._windows.clear()
        self._answered.clear()
        return count

    def in_force(self, now: float) -> list[tuple[Rule, int]]:
        """Rules that can still answer, with how often each has."""
        self._expire(now)
        return [(rule, self._answered.get(name, 0)) for name, rule in self._rules.items()]

    def plan(self, stages: tuple[Stage, ...], who: "Who", now: float) -> Plan | None:
        """What the first matching rule that speaks at one of `stages` orders, counted as one answer; None without."""
        for rule in list(self._rules.values()):
            if rule.until is not None and now >= rule.until:
                self.remove(rule.name)
                continue
            stage = stage_of(rule, who)
            if (
                stage in stages
                and _matches(rule, who)
                and who.carried >= (rule.after or 0)
                and self._exceeded(rule, who.client, now)
            ):
                self._count_answer(rule)
                return Plan(rule.behaviour, stage, rule.argument, rule.text)
        return None

    def _exceeded(self, rule: Rule, client: str, now: float) -> bool:
        if rule.above is None:
            return True
        key = (rule.name, client)
        window = self._windows.get(key)
        if window is None or now - window.start >= rule.per:
            window = self._windows[key] = _Window(now)
        if window.count >= rule.above:
            return True
        window.count += 1
        return False

    def _count_answer(self, rule: Rule) -> None:
        answered = self._answered.get(rule.name, 0) + 1
        self._answered[rule.name] = answered
        if rule.mails is not None and answered >= rule.mails:
            self.remove(rule.name)

    def _expire(self, now: float) -> None:
        for name in [name for name, rule in self._rules.items() if rule.until is not None and now >= rule.until]:
            self.remove(name)


@dataclass(frozen=True, slots=True)
class Who:
    """Whom a rule is asked about. `recipient` is "" before RCPT; `shared_door` is set in EHLO mode."""

    provider: str
    style: str
    ip: str
    ehlo_name: str
    client: str
    recipient: str = ""
    shared_door: bool = False
    carried: int = 0
    """Mails that its connection has carried."""


def stage_of(rule: Rule, who: Who) -> Stage:
    """When a rule speaks: as it says, else by the provider's habit; RCPT at the earliest if it names recipients.

    Behind a shared door the provider is known at RCPT and not before. A rate limit counts mails, so it speaks at RCPT
    or later as well.
    """
    stage = rule.stage or _TLS_STAGES.get(rule.behaviour)
    if stage is None:
        stage = natural_stage(rule.behaviour, STYLES[who.style].throttle_stage)
    if stage is Stage.STARTTLS:
        return stage
    if not _like(rule.client, who.ip):  # told by EHLO name, which no one has said at the banner
        stage = max(stage, Stage.MAIL)
    if rule.behaviour is Behaviour.ACCEPT or rule.recipient != "*" or rule.above is not None or who.shared_door:
        return max(stage, Stage.RCPT)
    return stage


def rule_from(fields: Mapping[str, Any]) -> Rule:
    """A rule from JSON fields. Raises `RuleError` that names the field."""
    unknown = set(fields) - set(Rule.__slots__)
    if unknown:
        raise RuleError(f"unknown field {sorted(unknown)[0]!r}")
    rule = Rule(
        behaviour=_behaviour(fields.get("behaviour")),
        provider=_text(fields, "provider", "*"),
        client=_text(fields, "client", "*"),
        recipient=_text(fields, "recipient", "*").lower(),
        argument=_text(fields, "argument", ""),
        stage=_stage(fields.get("stage")),
        text=_text(fields, "text", ""),
        until=_number(fields, "until"),
        mails=_count(fields, "mails"),
        above=_count(fields, "above"),
        per=_number(fields, "per") or 60.0,
        after=_count(fields, "after"),
        name=_text(fields, "name", ""),
    )
    if rule.text and not is_reply(rule.text):
        raise RuleError(
            "text: must be one line such as '421 4.7.0 Slow down', with a 4yz or 5yz code; lines before it as '220-mx|'"
        )
    return rule


def _behaviour(value: object) -> Behaviour:
    try:
        return Behaviour(str(value))
    except ValueError:
        raise RuleError(f"behaviour: one of {', '.join(Behaviour)}") from None


def _stage(value: object) -> Stage | None:
    if value in (None, ""):
        return None
    try:
        return Stage[str(value).upper()]
    except KeyError:
        raise RuleError(f"stage: one of {', '.join(stage.name.lower() for stage in Stage)}") from None


def _text(fields: Mapping[str, Any], key: str, default: str) -> str:
    value = fields.get(key, default)
    if not isinstance(value, str) or len(value) > 500:
        raise RuleError(f"{key}: must be text of at most 500 characters")
    return value or default


def _number(fields: Mapping[str, Any], key: str) -> float | None:
    value = fields.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
        raise RuleError(f"{key}: must be a number above 0")
    return float(value)


def _count(fields: Mapping[str, Any], key: str) -> int | None:
    value = _number(fields, key)
    if value is None:
        return None
    if value != int(value):
        raise RuleError(f"{key}: must be a whole number")
    return int(value)


def _matches(rule: Rule, who: Who) -> bool:
    return (
        _like(rule.provider, who.provider)
        and (_like(rule.client, who.ip) or _like(rule.client, who.ehlo_name))
        and _like(rule.recipient, who.recipient)
    )


def _like(pattern: str, value: str) -> bool:
    if pattern in ("*", value):
        return True
    return _compiled(pattern).match(value) is not None


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern), re.IGNORECASE)
