"""Reads rule files. Anything that is wrong becomes a `ConfigurationError` that names file, rule and field.

The format is described in `mta/rules/__init__.py`.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Final, NoReturn, TypeVar

from core.errors import ConfigurationError
from mta.model import Action, Phase, Response, Scope, Trouble, Verdict
from mta.rules import CLASSES

SHORTEST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(hours=4)
"""Bounds of every wait, from a rule or from a reply's text. Shorter is not worth a second visit; longer would let one
careless server hold mail for a day."""

TEXT_LENGTH: Final = 1000
"""Characters of a reply that are looked at: the contract's bound, kept here too because a bound protects."""

_CONDITIONS: Final = ("id", "provider", "anywhere", "phase", "code", "enhanced", "text", "trouble")
_DECISION: Final = ("action", "class", "scope", "suppress", "wait", "uncertain")
_FIELDS: Final = frozenset((*_CONDITIONS, *_DECISION, "source", "matches", "near_miss"))
_MOST_STEPS: Final = 10_000
_POLICY_CODE: Final = re.compile(r"(?<![\d.])5\.7\.\d{1,3}(?![\d.])")
"""Such a code further on in the text, as qmail writes it: "no such user (#5.7.1)"."""
_ABOUT_US: Final = re.compile(
    r"\btoo (?:many|much|fast|quickly|often|frequent)|\brates?\b|\blimit(?:s|ed)?\b"
    r"|\b(?:per|this|an|last) (?:hour|minute)\b"
    r"|\b(?:hourly|daily)\b|\bslow(?:ing)?(?: |-)?down|\bthrottl|\b(?:try|come) (?:again|back)|\blater\b|\btemporar"
    r"|\bgr[ae]y-? ?list|\b(?:block|black) ?list|\breputation\b|\bspam\b"
    r"|\bip (?:address )?(?:is |was )?(?:block|reject)ed"
)
"""Words of patience, of amounts and of trust. A reply with them speaks of how we send, whatever its code says."""
_BEHIND: Final = re.compile(r"\(#([245]\.\d{1,3}\.\d{1,3})\)")
_SAMPLE: Final = re.compile(
    r"(?:(?P<phase>[a-z]+): )?(?:!(?P<trouble>[a-z0-9_]+)|(?P<code>\d{3})(?: (?P<enhanced>\d\.\d{1,3}\.\d{1,3}))?)"
    r"(?: (?P<text>.*))?",
    re.DOTALL,
)
_Word = TypeVar("_Word", bound=StrEnum)
RuleFile = Path | Traversable


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the table: conditions, the verdict, and the samples that prove it."""

    id: str
    file: str
    providers: tuple[str, ...]
    """Empty: everybody."""
    anywhere: bool
    """Of a provider, and in words or codes of its own: decides also for servers that belong to nobody known."""
    phases: tuple[Phase, ...]
    codes: tuple[int, ...]
    """Exact codes, and classes as one digit."""
    enhanced: re.Pattern[str] | None
    text: re.Pattern[str] | None
    troubles: tuple[Trouble, ...]
    verdict: Verdict
    source: str
    matches: tuple[Response, ...]
    near_misses: tuple[Response, ...]

    def covers(self, code: int) -> bool:
        """Whether a reply with this code is among the rule's."""
        return code in self.codes or code // 100 in self.codes

    def fits(self, response: Response) -> bool:
        """Whether the rule, asked alone, would decide this response."""
        code = reply_code(response)
        by_trouble = response.trouble is not None and code < 400
        met = response.trouble in self.troubles if by_trouble else self.covers(code)
        return met and self.says(response, searched_text(response))

    def says(self, response: Response, lowered: str) -> bool:
        """Whether phase, enhanced code and text (`lowered`: cut and in lower case) fit; code and trouble aside."""
        if self.phases and response.phase not in self.phases:
            return False
        if self.enhanced is not None and self.enhanced.fullmatch(enhanced_code(response, lowered)) is None:
            return False
        if self.verdict.suppress and (response.enhanced[1:3] == ".7" or _speaks_about_us(lowered)):
            return False  # it speaks about us, and proves nothing about the mailbox
        return self.text is None or self.text.search(lowered) is not None


def reply_code(response: Response) -> int:
    """The SMTP code, or what an enhanced code without one stands for; 0 for neither."""
    if response.code or not response.enhanced:
        return response.code
    return {"2": 250, "4": 450, "5": 550}.get(response.enhanced[0], 0)


def enhanced_code(response: Response, lowered: str) -> str:
    """The enhanced code, also where it stands behind the words, as qmail writes it: "no such user (#5.1.1)"."""
    if response.enhanced:
        return response.enhanced
    found = _BEHIND.search(lowered)
    return found[1] if found is not None and found[1][0] == str(response.code)[0] else ""


def searched_text(response: Response) -> str:
    """What patterns are searched in."""
    return response.text[:TEXT_LENGTH].lower()


def _speaks_about_us(lowered: str) -> bool:
    return _POLICY_CODE.search(lowered) is not None or _ABOUT_US.search(lowered) is not None


@dataclass(frozen=True, slots=True)
class _Fields:
    """The raw fields of one rule, and who to name when one is wrong."""

    file: str
    rule: str
    raw: Mapping[str, Any]

    def wrong(self, field: str, reason: str) -> NoReturn:
        raise ConfigurationError(f"{self.file}: rule {self.rule!r}: field {field!r}: {reason}")

    def texts(self, field: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A string or a list of strings, none of them empty."""
        value = self.raw.get(field, list(default))
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) and item for item in items):
            self.wrong(field, "must be a text or a list of texts")
        return tuple(items)

    def words(self, field: str, kind: type[_Word]) -> tuple[_Word, ...]:
        return tuple(self._word(field, kind, text) for text in self.texts(field))

    def word(self, field: str, kind: type[_Word]) -> _Word:
        return self._word(field, kind, self.text(field))

    def text(self, field: str) -> str:
        value = self.raw.get(field)
        if not isinstance(value, str) or not value:
            self.wrong(field, "is missing or not a text")
        return value

    def flag(self, field: str) -> bool:
        value = self.raw.get(field, False)
        if not isinstance(value, bool):
            self.wrong(field, "must be true or false")
        return value

    def _word(self, field: str, kind: type[_Word], text: str) -> _Word:
        try:
            return kind(text)
        except ValueError:
            self.wrong(field, f"{text!r} is none of {', '.join(kind)}")


def read_rules(file: RuleFile) -> list[Rule]:
    """The rules of one file, in its order. Raises `ConfigurationError`."""
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:  # ValueError: not TOML, not UTF-8
        raise ConfigurationError(f"{file}: cannot be read: {error}") from error
    unknown = data.keys() - {"provider", "rule"}
    tables = data.get("rule", [])
    if unknown or not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigurationError(f"{file}: holds more than `provider` and [[rule]] tables: {sorted(unknown)}")
    whole = _Fields(str(file), "(all)", data).texts("provider")
    return [
        _rule(_Fields(str(file), str(table.get("id", f"number {n}")), table), whole)
        for n, table in enumerate(tables, 1)
    ]


def _rule(fields: _Fields, providers: tuple[str, ...]) -> Rule:
    unknown = fields.raw.keys() - _FIELDS
    if unknown:
        fields.wrong(sorted(unknown)[0], "is not a field of a rule")
    rule = Rule(
        id=fields.text("id"),
        file=fields.file,
        providers=fields.texts("provider", providers),
        anywhere=fields.flag("anywhere"),
        phases=fields.words("phase", Phase),
        codes=_codes(fields),
        enhanced=_optional(fields, "enhanced", _enhanced),
        text=_optional(fields, "text", _pattern),
        troubles=fields.words("trouble", Trouble),
        verdict=_verdict(fields),
        source=fields.text("source") if "source" in fields.raw else "",
        matches=_samples(fields, "matches"),
        near_misses=_samples(fields, "near_miss"),
    )
    if not rule.codes and not rule.troubles:
        fields.wrong("code", "a rule needs a code or a trouble")
    if rule.anywhere and (not rule.providers or (rule.text is None and rule.enhanced is None)):
        fields.wrong("anywhere", "is for a provider's rule with words or enhanced codes")
    return rule


def _verdict(fields: _Fields) -> Verdict:
    action, scope = fields.word("action", Action), fields.word("scope", Scope)
    if fields.text("class") not in CLASSES:
        fields.wrong("class", f"{fields.text('class')!r} is not in mta.rules.CLASSES")
    suppress = fields.flag("suppress")
    if suppress and (action is not Action.BOUNCE or scope is not Scope.RECIPIENT):
        fields.wrong("suppress", "only a bounce of the recipient may suppress")
    return Verdict(
        action, fields.text("class"), scope, fields.text("id"), suppress, _wait(fields), fields.flag("uncertain")
    )


def _wait(fields: _Fields) -> timedelta | None:
    seconds = fields.raw.get("wait")
    if seconds is None:
        return None
    if type(seconds) is not int or not SHORTEST_WAIT <= timedelta(seconds=min(seconds, 10**6)) <= LONGEST_WAIT:
        fields.wrong("wait", "must be 30 to 14400 (seconds)")
    return timedelta(seconds=seconds)


def _codes(fields: _Fields) -> tuple[int, ...]:
    """421 or "421" is exact, "4xx" becomes the digit 4."""
    value = fields.raw.get("code", [])
    codes = []
    for item in value if isinstance(value, list) else [value]:
        found = re.fullmatch(r"([2-5])(\d\d|xx)", str(item))
        if found is None:
            fields.wrong("code", f"{item!r} is neither a code such as 421 nor a class such as '4xx'")
        codes.append(int(found[1]) if found[2] == "xx" else int(found[0]))
    return tuple(codes)


_Build = Callable[[_Fields], re.Pattern[str]]


def _optional(fields: _Fields, field: str, build: _Build) -> re.Pattern[str] | None:
    return build(fields) if field in fields.raw else None


def _enhanced(fields: _Fields) -> re.Pattern[str]:
    parts = []
    for code in fields.texts("enhanced"):
        if re.fullmatch(r"[245*](\.(\d{1,3}|\*)){2}", code) is None:
            fields.wrong("enhanced", f"{code!r} is not like '5.1.1' or '*.2.2'")
        parts.append(re.escape(code).replace(r"\*", r"\d{1,3}"))
    return re.compile("|".join(parts))


def _pattern(fields: _Fields) -> re.Pattern[str]:
    text = fields.text("text")
    reason = _unbounded(text)
    if reason:
        fields.wrong("text", reason)
    try:
        return re.compile(text)
    except re.error as error:
        fields.wrong("text", f"is not a regular expression: {error}")


def _unbounded(pattern: str) -> str:
    """Why a pattern could be slow or could never match, or ""."""
    bare = re.sub(r"\\[1-9]", "\x00", pattern)
    bare = re.sub(r"\[(?:\\.|[^\]\\])+\]", "c", re.sub(r"\\[^\x00]", "e", bare))
    if "\x00" in bare or "(?P=" in bare:
        return "has a back-reference"
    if re.search(r"[*+]|\{\d*,\}", bare):
        return "has an open repeat (*, + or {n,}); bound it as in .{0,40}"
    if re.search(r"\)\{", bare):
        return "repeats a group"
    if re.search(r"[A-Z]", bare):
        return "has capitals, and is matched with the lower-cased text"
    if _steps(bare) > _MOST_STEPS:
        return f"the bounds of one way through it multiply to more than {_MOST_STEPS}"
    return ""


def _steps(bare: str) -> int:
    """Ways to try the costliest path through a pattern at one place: bounds multiply along a path."""
    frames = [[1, 1]]  # per open group: the costliest alternative so far, the one being read
    for token in re.findall(r"[(|)]|\{(?:\d*,)?\d{1,6}\}", bare):
        frame = frames[-1]
        if token == "(":
            frames.append([1, 1])
        elif token == "|":
            frame[:] = max(frame), 1
        elif token == ")" and len(frames) > 1:
            frames.pop()
            frames[-1][1] *= max(frame)
        elif token[0] == "{":
            frame[1] *= max(1, int(re.split(r"[{,}]", token)[-2]))
    return max(frames[0])


def _samples(fields: _Fields, field: str) -> tuple[Response, ...]:
    samples = fields.texts(field)
    if not samples:
        fields.wrong(field, "needs at least one sample")
    return tuple(_sample(fields, field, sample) for sample in samples)


def _sample(fields: _Fields, field: str, sample: str) -> Response:
    """A response from its written form, such as `dot: 554 5.7.1 Spam` or `connect: !timeout`."""
    found = _SAMPLE.fullmatch(sample)
    if found is None:
        fields.wrong(field, f"{sample!r} is not like '550 5.1.1 text' or 'connect: !timeout'")
    try:
        return Response(
            phase=Phase(found["phase"] or "rcpt"),
            code=int(found["code"] or 0),
            enhanced=found["enhanced"] or "",
            text=found["text"] or "",
            trouble=Trouble(found["trouble"]) if found["trouble"] else None,
        )
    except ValueError as error:
        fields.wrong(field, f"{sample!r}: {error}")
