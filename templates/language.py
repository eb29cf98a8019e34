"""The edge of Jinja for templates that users write: their code cannot run away.

Jinja's sandbox keeps a template from Python's inside, not from filling the memory or never ending. So
`templates/reading` looks at its tree first; here is what runs then: keys instead of attributes, filters and arithmetic
whose results are measured, loops whose rounds are counted, and `Budget`, which ends what is left.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from types import CodeType
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateSyntaxError, Undefined, pass_context
from jinja2.ext import Extension
from jinja2.lexer import Token, TokenStream
from jinja2.runtime import Context, LoopContext, markup_join
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing

from templates.filters import FILTERS, bounded, text_of
from templates.limits import FULL, MAX_NUMBER, MAX_STEPS, MAX_TOKENS, MAX_VALUE, Bounds
from templates.reading import CONCAT, RANGE, ROUNDS, TESTS, LanguageError, Reading, read

_LOOP: Final = frozenset({
    "index", "index0", "revindex", "revindex0", "first", "last", "length", "depth", "depth0", "previtem", "nextitem",
})  # fmt: skip
_EVERY: Final = 64
"""Pieces and rounds between two looks at the clock, which cost 0.3 µs."""


class OverBudget(Exception):
    """Rendering would take more than a template has."""


class OverTime(OverBudget):
    """It took too much of the processor."""


class Budget:
    """What one rendering may still use."""

    __slots__ = ("_end", "_seconds", "steps")

    def __init__(self, seconds: float) -> None:
        self.steps = MAX_STEPS
        self._seconds = seconds
        self._end = time.thread_time() + seconds

    def check(self) -> None:
        """Raises OverTime when the time is up."""
        if time.thread_time() > self._end:
            raise OverTime(f"rendering takes more than {self._seconds:g} s of processor time")

    def rounds(self, entries: Sequence[Any] | Iterator[Any]) -> Iterator[Any]:
        """The entries, each of which costs a step."""
        for entry in entries:
            self.steps -= 1
            if self.steps < 0:
                raise OverBudget(f"its loops go around more than {MAX_STEPS} times")
            if not self.steps % _EVERY:
                self.check()
            yield entry


class Missing(StrictUndefined):
    """A variable that nobody gave. Any use of it fails with its name, which is all the message."""

    __slots__ = ()

    @property
    def _undefined_message(self) -> str:
        return str(self._undefined_name)


class Null(Missing):
    """A variable that is there and has no value: a condition may ask for it, printing it fails."""

    __slots__ = ()

    def __bool__(self) -> bool:  # type: ignore[override]
        return False


class Scope(Context):
    """Variables of one rendering. What is null counts as missing, but for conditions."""

    budget: Budget

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name."""
        value = self.vars[key] if key in self.vars else self.parent.get(key, missing)
        return Null(name=key) if value is None else value


class _Counting(Extension):
    """Ends what is too long while it is read, before any of it becomes a tree."""

    def filter_stream(self, stream: TokenStream) -> Iterator[Token]:
        """The same tokens."""
        for count, token in enumerate(stream):
            if count > MAX_TOKENS:
                raise TemplateSyntaxError(
                    f"it has more than {MAX_TOKENS} words and signs in placeholders", token.lineno
                )
            yield token


class _Environment(ImmutableSandboxedEnvironment):
    """Jinja with our filters, keys instead of attributes, and measured arithmetic."""

    context_class = Scope
    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%"})

    def __init__(self, *, html: bool) -> None:
        super().__init__(
            autoescape=html, undefined=Missing, finalize=_printable, optimized=False, cache_size=0,
            keep_trailing_newline=True, extensions=[_Counting],
        )  # fmt: skip
        self.globals.clear()
        self.filters = {name: _measured(function) for name, function in FILTERS.items()}
        self.filters |= {ROUNDS: _rounds, RANGE: _range, CONCAT: _concat}
        self.tests = {name: test for name, test in self.tests.items() if name in TESTS}
        self.tests["none"] = lambda value: value is None or isinstance(value, Null)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """A key of an object, or what `loop` knows."""
        if isinstance(obj, LoopContext) and attribute in _LOOP:
            return getattr(obj, attribute)
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """An entry of an object or a list, never an attribute of Python's."""
        if isinstance(obj, Undefined):
            str(obj)  # fails with its name
        try:
            value = obj[argument] if isinstance(obj, Mapping | Sequence) else missing
        except (TypeError, LookupError):
            value = missing
        if value is None:
            return Null(obj=obj, name=argument)
        return Missing(obj=obj, name=argument) if value is missing else value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Arithmetic of numbers; `+` joins texts, too."""
        if operator == "+" and isinstance(left, str) and isinstance(right, str):
            bounded(left), bounded(right)
            return bounded(left + right)
        for side in (left, right):
            if not isinstance(side, int | float | Decimal):
                text_of(side)
                raise TypeError(f"`{operator}` needs numbers on both sides; `~` joins texts")
        result = self.binop_table[operator](left, right)
        if abs(result) > MAX_NUMBER:
            raise ValueError("a number is too large")
        return result


@pass_context
def _printable(_: Context, value: Any) -> Any:
    return value if value.__class__ is str else text_of(value)


def _measured(function: Callable[..., Any]) -> Callable[..., Any]:
    """A filter whose texts are not too long, though applied again and again."""

    def measured(value: object, *args: object, **named: object) -> Any:
        result = function(value, *args, **named)
        return bounded(result) if isinstance(result, str) else result

    return measured


@pass_context
def _rounds(context: Scope, value: Any) -> Iterator[Any]:
    if isinstance(value, Null):
        return iter(())
    if not isinstance(value, Sequence | Mapping) or isinstance(value, str):
        if not isinstance(value, Undefined):
            raise TypeError("a loop needs a list")
        str(value)
    return context.budget.rounds(value)


@pass_context
def _range(_: Context, bounds: Sequence[Any]) -> range:
    return range(*bounds)


@pass_context
def _concat(context: Context, parts: Sequence[Any]) -> str:
    texts = [text_of(part) for part in parts]
    if sum(map(len, texts)) > MAX_VALUE:
        raise ValueError(f"a value has more than {MAX_VALUE} characters")
    return markup_join(texts) if context.eval_ctx.autoescape else "".join(texts)


_ENVIRONMENTS: Final = {html: _Environment(html=html) for html in (False, True)}


@dataclass(frozen=True, slots=True)
class Program:
    """A template ready to run, as often and in as many threads as one likes."""

    reading: Reading
    _template: Template = field(repr=False)
    _environment: _Environment = field(repr=False)

    def run(self, variables: Mapping[str, object], bounds: Bounds = FULL) -> str:
        """The text. Raises OverBudget, UndefinedError with the variable's name, and what Python raises."""
        scope = Scope(self._environment, variables, None, {}, None)  # type: ignore[arg-type]
        scope.budget = budget = Budget(bounds.seconds)
        pieces: list[str] = []
        size = 0
        for piece in self._template.root_render_func(scope):
            pieces.append(piece)
            size += len(piece)
            if size > bounds.output:
                raise OverBudget(f"it makes more than {bounds.output} characters")
            if not len(pieces) % _EVERY:
                budget.check()
        budget.check()
        return "".join(pieces)

    def line_of(self, error: BaseException) -> int:
        """Line of the template in which an error arose; 0 when it cannot be told."""
        line, trace = 0, error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename == _FILE:
                line = self._template.get_corresponding_lineno(trace.tb_lineno)
            trace = trace.tb_next
        return line


_FILE: Final = "<template>"


def program(source: str, *, html: bool) -> Program:
    """Compiles a text in Jinja's notation. Raises LanguageError."""
    environment = _ENVIRONMENTS[html]
    try:
        tree = environment.parse(source)
        reading = read(tree)
        code: CodeType = environment.compile(tree)
    except TemplateSyntaxError as error:
        raise LanguageError(error.message or "it cannot be read", error.lineno) from None
    except (RecursionError, MemoryError, SyntaxError, OverflowError, ValueError) as error:
        # CPython's own limits, for what is nested or long beyond ours.
        raise LanguageError(f"it cannot be compiled: {error}") from None
    return Program(reading, Template.from_code(environment, code, {}), environment)
