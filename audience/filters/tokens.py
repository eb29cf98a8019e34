"""The text of a filter cut into words, values and signs, each with its place. Pure."""

import re
from dataclasses import dataclass
from datetime import date
from enum import Enum, auto
from typing import Final

from audience.filters.tree import LARGEST_NUMBER, LONGEST_TEXT, LONGEST_VALUE, FilterError, Scalar
from audience.filters.values import date_from


class Kind(Enum):
    """What a token is."""

    NAME = auto()
    """A word of the language, or a property."""
    TEXT = auto()
    NUMBER = auto()
    DATE = auto()
    SIGN = auto()
    END = auto()


_CLOSING: Final = {'"': '"', "'": "'", "“": "”", "„": "“”"}
"""Quotes as word processors make them, too: filters are copied from notes."""

_BLANK: Final = re.compile(r"\s*")
_SIGN: Final = re.compile(r"!=|<>|<=|>=|==|[=<>(),]")
_DATE: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?(?:Z|[+-]\d{2}:\d{2})?)?(?![\w-])", re.ASCII
)
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?(?![\w.])", re.ASCII)
_NAME: Final = re.compile(r"\w[\w.]*", re.ASCII)
_SAME: Final = {"<>": "!=", "==": "="}


@dataclass(frozen=True, slots=True)
class Token:
    """One of them."""

    kind: Kind
    text: str
    """As it was written; of a quoted text what stands between the quotes."""
    start: int
    end: int
    value: Scalar = ""

    @property
    def word(self) -> str:
        """Of a name: in lower case; "" of all else."""
        return self.text.lower() if self.kind is Kind.NAME else ""

    @property
    def place(self) -> str:
        """For people, who count from one."""
        return f"at character {self.start + 1}"

    @property
    def shown(self) -> str:
        """What is found here, in a complaint."""
        if self.kind is Kind.END:
            return "the end"
        return f'the text "{self.text[:40]}"' if self.kind is Kind.TEXT else f"`{self.text[:40]}`"


def tokens(text: str) -> list[Token]:
    """All of them, with an `END` behind. Raises FilterError."""
    if len(text) > LONGEST_TEXT:
        raise FilterError(f"a filter has at most {LONGEST_TEXT:,} characters")
    found: list[Token] = []
    at = _past_blanks(text, 0)
    while at < len(text):
        found.append(_token(text, at))
        at = _past_blanks(text, found[-1].end)
    return [*found, Token(Kind.END, "", at, at)]


def _past_blanks(text: str, at: int) -> int:
    blank = _BLANK.match(text, at)
    return blank.end() if blank else at


def _token(text: str, at: int) -> Token:
    place = f"at character {at + 1}"
    if text[at] in _CLOSING:
        return _quoted(text, at)
    if found := _SIGN.match(text, at):
        return Token(Kind.SIGN, _SAME.get(found[0], found[0]), at, found.end())
    if found := _DATE.match(text, at):
        moment: date = date_from(found[0], place)
        return Token(Kind.DATE, found[0], at, found.end(), moment)
    if found := _NUMBER.match(text, at):
        return Token(Kind.NUMBER, found[0], at, found.end(), number_within(_number(found[0]), place))
    if found := _NAME.match(text, at):
        return Token(Kind.NAME, found[0], at, found.end())
    raise FilterError(f"`{text[at]}` means nothing here" if text[at].isprintable() else "a strange character", place)


def _quoted(text: str, start: int) -> Token:
    """A text in quotes; a backslash makes the next character stand for itself."""
    closing, at = _CLOSING[text[start]], start + 1
    read: list[str] = []
    while at < len(text) and text[at] not in closing:
        at += text[at] == "\\"
        read.append(text[at : at + 1])
        at += 1
    place = f"at character {start + 1}"
    if at >= len(text):
        raise FilterError(f"the text that begins here has no closing {closing[0]}", place)
    value = text_from("".join(read), place)
    return Token(Kind.TEXT, value, start, at + 1, value)


def text_from(text: str, place: str) -> str:
    """A value that is a text. Raises FilterError: nothing that is stored looks like it."""
    if len(text) > LONGEST_VALUE:
        raise FilterError(f"a text has at most {LONGEST_VALUE} characters", place)
    if any(letter < " " or letter == "\x7f" or "\ud800" <= letter <= "\udfff" for letter in text):
        raise FilterError("a text holds no control characters", place)
    return text


def _number(text: str) -> int | float:
    """So many digits are too many, and twenty of them as well."""
    return float(text) if set(".eE") & set(text) else int(text[:20])


def number_within(number: float, place: str) -> int | float:
    """A number. Raises FilterError: it is too large to be exact, or none."""
    if not -LARGEST_NUMBER <= number <= LARGEST_NUMBER:
        raise FilterError("a number lies between -10^15 and 10^15", place)
    return number
