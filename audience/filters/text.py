"""A filter as people write it, read into its tree: `country = "DE" and (opened in last 30 days or not clicked
campaign "Spring")`.

Recursive descent, a function for each rule of the grammar. `not` binds before `and`, `and` before `or`. Words are taken
in whatever case, keys of properties as they are; `properties.` in front tells one that is called like a word of the
language. A mistake is told with its place, what was expected there and what stands there.

    filter  = both { "or" both }                      both = single { "and" single }
    single  = "not" single | "(" filter ")" | rule
    rule    = "never" moment | ("got" | "opened" | "clicked") "campaign" text
            | "subscribed to" text | "in list" text | moment | field test
    test    = "is" ["not"] "set" | sign value | ["not"] "in" "(" value { "," value } ")"
            | ["not"] "contains" text | "starts with" text | "ends with" text
            | ("before" | "after" | "since" | "until" | "on") date
            | "in" ["the"] ("last" | "next") span | "more than" span "ago"
"""

from collections.abc import Callable
from typing import Final, NoReturn

from audience.filters.tokens import Kind, Token, tokens
from audience.filters.tree import (
    DEEPEST,
    MOST_RULES,
    MOST_VALUES,
    PROPERTY,
    All,
    Any,
    Filter,
    FilterError,
    Not,
    Operator,
    Rule,
    Scalar,
    Span,
    Value,
)
from audience.filters.values import span_of
from audience.filters.words import FIELDS, MOMENTS, OF_CAMPAIGNS, OF_DATES, RESERVED, SIGNS

Asked = tuple[Operator, Value]

_A_RULE: Final = 'a rule, such as `country = "DE"`, `opened in last 30 days`, `subscribed to "News"`'
_A_VALUE: Final = '"a text", a number, true, false or a date such as 2026-01-31'
_A_TEST: Final = "`=`, `!=`, `<`, `>`, `in`, `contains`, `starts with`, `ends with`, `before`, `since` or `is set`"


def parse(text: str) -> Filter:
    """The tree of a text. Raises FilterError."""
    return _Parser(tokens(text)).whole()


class _Parser:
    """Tokens, and how far they are read."""

    def __init__(self, given: list[Token]) -> None:
        self._given = given
        self._at = 0
        self._depth = 0
        self._rules = 0

    def whole(self) -> Filter:
        found = self._either()
        if self._next.kind is not Kind.END:
            self._expected("`and`, `or` or the end")
        return found

    def _either(self) -> Filter:
        return self._joined("or", self._both, Any)

    def _both(self) -> Filter:
        return self._joined("and", self._single, All)

    def _joined(self, word: str, part: Callable[[], Filter], kind: type[All] | type[Any]) -> Filter:
        found = [part()]
        while self._took(word):
            found.append(part())
        return found[0] if len(found) == 1 else kind(tuple(found))

    def _single(self) -> Filter:
        self._depth += 1
        if self._depth > DEEPEST + 1:
            raise FilterError(f"at most {DEEPEST} levels of `not` and parentheses", self._next.place)
        found = self._nested()
        self._depth -= 1
        return found

    def _nested(self) -> Filter:
        if self._took("not"):
            return Not(self._single())
        if self._took("("):
            found = self._either()
            self._needs(")")
            return found
        return self._rule()

    def _rule(self) -> Rule:
        place = self._next.place
        self._rules += 1
        if self._rules > MOST_RULES:
            raise FilterError(f"at most {MOST_RULES} rules", place)
        field, (operator, value) = self._special() or self._tested()
        return Rule(field, operator, value, place)

    def _special(self) -> tuple[str, Asked] | None:
        """A rule that begins with a word of its own."""
        if self._took("never"):
            return self._moment(), (Operator.IS_EMPTY, None)
        if self._took("subscribed"):
            self._needs("to")
            return "topic", (Operator.EQ, self._text("the name of a topic"))
        if self._took("in"):
            self._one_of("list", "segment")
            return "list", (Operator.EQ, self._text("the name of a list"))
        if self._next.word in OF_CAMPAIGNS and self._second.word == "campaign":
            operator = OF_CAMPAIGNS[self._read().word]
            self._read()
            return "campaign", (operator, self._text("the name of a campaign"))
        return None

    def _tested(self) -> tuple[str, Asked]:
        field = self._field()
        over = self._next.kind is Kind.END or self._next.word in ("and", "or") or self._is(")")
        if field in MOMENTS and over:
            return field, (Operator.EXISTS, None)
        return field, self._test()

    def _moment(self) -> str:
        if FIELDS.get(self._next.word) not in MOMENTS:
            self._expected("`opened`, `clicked`, `active` or `confirmed`")
        return self._field()

    def _field(self) -> str:
        token = self._next
        if token.kind is not Kind.NAME or token.word in RESERVED:
            self._expected(_A_RULE)
        self._read()
        if token.text.startswith(PROPERTY):
            return token.text
        return FIELDS.get(token.word) or f"{PROPERTY}{token.text}"

    def _test(self) -> Asked:
        for word, read in (("is", self._is_set), ("in", self._in), ("not", self._negated), ("more", self._older)):
            if self._took(word):
                return read()
        for word, operator in (("starts", Operator.STARTS_WITH), ("ends", Operator.ENDS_WITH)):
            if self._took(word):
                self._needs("with")
                return operator, self._text("a text in quotes")
        return self._compared()

    def _compared(self) -> Asked:
        token = self._next
        if token.kind is Kind.SIGN and token.text in SIGNS:
            return SIGNS[self._read().text], self._value()
        if token.word in OF_DATES:
            return OF_DATES[self._read().word], self._date()
        if not self._is("contains"):
            self._expected(_A_TEST)
        self._read()
        return Operator.CONTAINS, self._text("a text in quotes")

    def _is_set(self) -> Asked:
        operator = Operator.IS_EMPTY if self._took("not") else Operator.EXISTS
        self._needs("set")
        return operator, None

    def _in(self) -> Asked:
        if self._is("("):
            return Operator.IN, self._values()
        self._took("the")
        word = self._one_of("last", "next")
        return (Operator.WITHIN if word == "last" else Operator.AHEAD), self._span()

    def _negated(self) -> Asked:
        if self._took("contains"):
            return Operator.NOT_CONTAINS, self._text("a text in quotes")
        self._one_of("in", "contains")
        return Operator.NOT_IN, self._values()

    def _older(self) -> Asked:
        self._needs("than")
        found = self._span()
        self._needs("ago")
        return Operator.OLDER, found

    def _values(self) -> tuple[Scalar, ...]:
        self._needs("(")
        found = [self._value()]
        while self._took(","):
            found.append(self._value())
        if len(found) > MOST_VALUES:
            raise FilterError(f"at most {MOST_VALUES} values between these parentheses", self._next.place)
        self._needs(")", "`,` or `)`")
        return tuple(found)

    def _value(self) -> Scalar:
        token = self._next
        if token.word in ("true", "false"):
            return self._read().word == "true"
        if token.kind not in (Kind.TEXT, Kind.NUMBER, Kind.DATE):
            self._expected(_A_VALUE)
        return self._read().value

    def _date(self) -> Scalar:
        if self._next.kind is not Kind.DATE:
            self._expected("a date such as 2026-01-31")
        return self._read().value

    def _text(self, what: str) -> str:
        if self._next.kind is not Kind.TEXT:
            self._expected(what if "quotes" in what else f"{what} in quotes")
        return self._read().text

    def _span(self) -> Span:
        token = self._next
        if token.kind is not Kind.NUMBER or not isinstance(token.value, int):
            self._expected("a span such as 30 days")
        self._read()
        return span_of(token.value, self._read().word, token.place)

    # Reading tokens

    @property
    def _next(self) -> Token:
        return self._given[self._at]

    @property
    def _second(self) -> Token:
        return self._given[min(self._at + 1, len(self._given) - 1)]

    def _read(self) -> Token:
        token = self._next
        self._at = min(self._at + 1, len(self._given) - 1)
        return token

    def _is(self, text: str) -> bool:
        return self._next.word == text or (self._next.kind is Kind.SIGN and self._next.text == text)

    def _took(self, text: str) -> bool:
        found = self._is(text)
        if found:
            self._read()
        return found

    def _needs(self, text: str, what: str = "") -> None:
        if not self._took(text):
            self._expected(what or f"`{text}`")

    def _one_of(self, *words: str) -> str:
        if self._next.word not in words:
            self._expected(" or ".join(f"`{word}`" for word in words))
        return self._read().word

    def _expected(self, what: str) -> NoReturn:
        raise FilterError(f"expected {what}, found {self._next.shown}", self._next.place)
