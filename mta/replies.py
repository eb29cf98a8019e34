"""Every reply of a remote server, and everything we saw instead of one, becomes a `Verdict` here and nowhere else.

Owns the deciding; the rules are data in `mta/rules/*.toml`, described in `mta/rules/__init__.py`. Does no I/O after
loading, keeps no memory of earlier replies, never raises on a reply.

How one is decided: with a 4xx or 5xx code the reply decides, otherwise the trouble does. A bounce report often has an
enhanced code and no SMTP code; its first digit then stands for 450 or 550. The rules of the provider are asked first,
then those for everybody, and the first that fits decides; the shipped `generic.toml` ends in rules that always fit. At
servers that belong to no known provider, what any provider says in words of its own is asked first.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from core.errors import ConfigurationError
from mta.model import Action, Phase, Response, Scope, Trouble, Verdict
from mta.rules.reading import (
    LONGEST_WAIT,
    SHORTEST_WAIT,
    TEXT_LENGTH,
    Rule,
    RuleFile,
    read_rules,
    reply_code,
    searched_text,
)

UNREADABLE: Final = Verdict(Action.RETRY_LATER, "protocol", Scope.HOST, "unreadable-reply")
"""For what no rule can be about: codes outside 2xx, 4xx and 5xx, such as a 354 that came too late."""

_WAITING: Final = (Action.RETRY_LATER, Action.RETRY_SAME_IP, Action.THROTTLE_IP, Action.THROTTLE_DOMAIN)
_ASKS: Final = (
    r"\b(?:again|retry|retrying|wait|back|delayed|deferred|resend|blocked|gr[ae]y ?list(?:ed|ing)?)\b[a-z ,:(]{0,40}?"
)
_AMOUNT: Final = re.compile(_ASKS + r"\b(\d{1,6}) ?(s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?)\b")
_CLOCK: Final = re.compile(_ASKS + r"\b(\d{1,2}):([0-5]\d):([0-5]\d)\b")
_UNITS: Final = {"s": 1, "m": 60, "h": 3600}


class RuleTable:
    """All rules, indexed by provider and code or trouble. Immutable once made, shared by all threads."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules: tuple[Rule, ...] = tuple(rules)
        self.providers: frozenset[str] = frozenset(name for rule in self.rules for name in rule.providers)
        """Every provider that has rules of its own. A test holds them against the provider table."""
        codes = {code: [rule for rule in self.rules if rule.covers(code)] for code in range(200, 600)}
        troubles = {what: [rule for rule in self.rules if what in rule.troubles] for what in Trouble}
        names = ("", *self.providers)
        self._by_code = {(name, code): _bucket(name, fitting) for code, fitting in codes.items() for name in names}
        self._by_trouble = {
            (name, what): _bucket(name, fitting) for what, fitting in troubles.items() for name in names
        }

    def classify(self, response: Response, provider: str) -> Verdict:
        """The verdict on one response of a host of `provider` ("" or an unknown name: only the rules for everybody).

        Total: any response gets a verdict, and nothing is raised.
        """
        rule = self.deciding_rule(response, provider)
        if rule is None:
            return UNREADABLE
        verdict = rule.verdict
        if response.text and verdict.action in _WAITING:
            asked = asked_wait(response.text)
            return verdict if asked is None else replace(verdict, wait=asked)
        return verdict

    def deciding_rule(self, response: Response, provider: str) -> Rule | None:
        """The rule that decides, or None for a response that no rule can be about."""
        name = provider if provider in self.providers else ""
        code, trouble = reply_code(response), response.trouble
        if trouble is not None and code < 400:
            candidates = self._by_trouble[name, trouble]
        else:
            candidates = self._by_code.get((name, code), ())
        lowered = searched_text(response)
        for rule in candidates:
            if rule.says(response, lowered):
                return rule
        return None


def _bucket(name: str, fitting: Sequence[Rule]) -> tuple[Rule, ...]:
    """Of the rules for one code or trouble those for one provider, in the order they are asked."""
    if not name:
        return tuple(rule for rule in fitting if rule.anywhere or not rule.providers)
    own = [rule for rule in fitting if name in rule.providers]
    return (*own, *(rule for rule in fitting if not rule.providers))


def load_rules(*paths: RuleFile, providers: Collection[str] | None = None) -> RuleTable:
    """A table of these files, in this order; of the shipped files when none is given.

    An operator's file goes before the shipped ones: `load_rules(own, *shipped_files())`. A table that loads is whole:
    each rule decides its own samples and leaves its near misses alone, ids are unique, every provider is one of
    `providers` (when those are given), and every 2xx, 4xx, 5xx and trouble reaches a last rule in each phase. Anything
    else raises `ConfigurationError` naming file, rule and field.
    """
    rules = [rule for path in paths or shipped_files() for rule in read_rules(path)]
    if providers is not None:
        _check_providers(rules, providers)
    seen: dict[str, Rule] = {}
    for rule in rules:
        if rule.id in seen:
            raise _wrong(rule, "id", f"is also a rule of {seen[rule.id].file}")
        seen[rule.id] = rule
    table = RuleTable(rules)
    _check_samples(table)
    _check_total(table)
    return table


def shipped_files() -> tuple[RuleFile, ...]:
    """The rule files that come with the product: providers by name, `generic.toml` last."""
    found = [item for item in files("mta.rules").iterdir() if item.name.endswith(".toml")]
    return tuple(sorted(found, key=lambda item: (item.name == "generic.toml", item.name)))


@cache
def shipped_rules() -> RuleTable:
    """The shipped table, loaded once a process."""
    return load_rules()


def classify(response: Response, provider: str) -> Verdict:
    """`RuleTable.classify` by the shipped rules, for callers without a table of their own."""
    return shipped_rules().classify(response, provider)


def asked_wait(text: str) -> timedelta | None:
    """The pause that a reply asks for ("try again in 5 minutes", "come back in 00:05:00"), 30 seconds to 4 hours, or
    None. A number counts only next to a word of waiting: "100 messages in 60 seconds" is a limit, not a request."""
    lowered = text[:TEXT_LENGTH].lower()
    if (found := _AMOUNT.search(lowered)) is not None:
        seconds = int(found[1]) * _UNITS[found[2][0]]
    elif (found := _CLOCK.search(lowered)) is not None:
        seconds = int(found[1]) * 3600 + int(found[2]) * 60 + int(found[3])
    else:
        return None
    return min(max(timedelta(seconds=seconds), SHORTEST_WAIT), LONGEST_WAIT)


def _check_providers(rules: Iterable[Rule], known: Collection[str]) -> None:
    for rule in rules:
        for name in rule.providers:
            if name not in known:
                raise _wrong(rule, "provider", f"{name!r} is none of {', '.join(sorted(known))}")


def _check_samples(table: RuleTable) -> None:
    """A rule may only lose its sample to a rule of another file: that is how an operator overrides one."""
    for rule in table.rules:
        for provider in (*rule.providers, "") if rule.anywhere else rule.providers or ("",):
            for sample in rule.matches:
                if not rule.fits(sample):
                    raise _wrong(rule, "matches", f"{_written(sample)!r} does not fit this rule")
                by = table.deciding_rule(sample, provider)
                if by is not rule and (by is None or by.file == rule.file):
                    raise _wrong(rule, "matches", f"{_written(sample)!r} is decided by {by.id if by else 'no rule'}")
        for sample in rule.near_misses:
            if rule.fits(sample):
                raise _wrong(rule, "near_miss", f"{_written(sample)!r} fits this rule")


def _check_total(table: RuleTable) -> None:
    last = [Response(phase, code) for phase in Phase for code in (299, 499, 599)]
    last += [Response(phase, trouble=trouble) for phase in Phase for trouble in Trouble]
    for response in last:
        if table.deciding_rule(response, "") is None:
            where = ", ".join(sorted({rule.file for rule in table.rules})) or "no files"
            raise ConfigurationError(f"{where}: no last rule for {_written(response)!r}; add one without conditions")


def _wrong(rule: Rule, field: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"{rule.file}: rule {rule.id!r}: field {field!r}: {reason}")


def _written(response: Response) -> str:
    what = f"!{response.trouble}" if response.trouble else str(response.code)
    return " ".join(part for part in (f"{response.phase}: {what}", response.enhanced, response.text) if part)
