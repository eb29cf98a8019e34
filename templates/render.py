"""A template's text → something to fill in for each person. Compiled once, rendered by any thread; pure.

    Hello {{ first_name | default("there") }}      Jinja, as far as `templates/language` lets it
    Hello {{{first_name|there}}}                   the same, as Resend writes it

`compile_text` is for bodies: in HTML every value is escaped. `compile_line` is for what goes into a header: whatever
the values hold, no line break comes out. What is missing or null and has no default fails with its name.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from jinja2 import TemplateError, UndefinedError

from templates.language import OverBudget, OverTime, Program, program
from templates.limits import FULL, MAX_SOURCE, Bounds
from templates.reading import LanguageError
from templates.resend_notation import as_jinja

_BREAKING: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
"""What ends or disturbs a line of a header."""


class RenderError(Exception):
    """A text that cannot be compiled, or not be rendered with these values. Reads as one sentence.

    `line` is 0 where none can be named; `variable` is the path of a variable that is missing, else "".
    """

    def __init__(self, reason: str, line: int = 0, variable: str = "") -> None:
        super().__init__(f"line {line}: {reason}" if line else reason)
        self.reason = reason
        self.line = line
        self.variable = variable


class TooMuch(RenderError):
    """It takes more time or makes more text than it may."""


@dataclass(frozen=True, slots=True)
class Compiled:
    """A text ready to be filled in."""

    variables: frozenset[str]
    """Paths that it uses, such as `contact.first_name`."""
    required: frozenset[str]
    """Those that must have a value."""
    quick: bool
    """Whatever the values, rendering takes no more than milliseconds."""
    _program: Program | None = field(repr=False)
    """None for a text without placeholders."""
    _text: str = field(repr=False)
    _line: bool = field(repr=False)

    def render(self, variables: Mapping[str, object], bounds: Bounds = FULL) -> str:
        """The text with these values. Raises RenderError."""
        if self._program is None:
            return self._text
        text = self._rendered(self._program, variables, bounds)
        if self._line:
            return _BREAKING.sub(" ", text).strip()
        return text.replace("\0", "") if "\0" in text else text

    def _rendered(self, made: Program, variables: Mapping[str, object], bounds: Bounds) -> str:
        try:
            return _run(made, variables, bounds)
        except UndefinedError as error:
            line = made.line_of(error)
            path = self._path(made, line, error.message or "")
            raise RenderError(f"`{path}` has no value", line, path) from None
        except OverBudget as error:
            raise TooMuch(str(error), made.line_of(error)) from None
        # What Python says of values that do not fit: a text where a number belongs, an entry that is not there.
        except (TemplateError, TypeError, ValueError, ArithmeticError, LookupError, RecursionError) as error:
            raise RenderError(str(error) or type(error).__name__, made.line_of(error)) from None

    @staticmethod
    def _path(made: Program, line: int, name: str) -> str:
        """The whole path of a key: on its line where it is there, else anywhere."""
        paths = sorted(made.reading.places, key=lambda place: place[0] != line)
        return next((path for _, path in paths if path == name or path.endswith(f".{name}")), name)


def _run(made: Program, variables: Mapping[str, object], bounds: Bounds) -> str:
    """A second time when the first takes too long: the interpreter collects its garbage in whichever thread comes
    along, and that is nobody's fault."""
    try:
        return made.run(variables, bounds)
    except OverTime:
        return made.run(variables, bounds)


def compile_text(source: str, *, html: bool) -> Compiled:
    """A body. Raises RenderError."""
    return _compiled(source, html=html, line=False)


def compile_line(source: str) -> Compiled:
    """A subject, a name, a mailbox: one line. Raises RenderError."""
    return _compiled(source, html=False, line=True)


def _compiled(source: str, *, html: bool, line: bool) -> Compiled:
    if len(source) > MAX_SOURCE:
        raise RenderError(f"it has more than {MAX_SOURCE} characters")
    if line:
        source = _BREAKING.sub(" ", source).strip()
    source = source.replace("\0", "")
    if not any(sign in source for sign in ("{{", "{%", "{#")):
        return Compiled(frozenset(), frozenset(), True, None, source, line)
    try:
        made = program(as_jinja(source), html=html)
    except LanguageError as error:
        raise RenderError(error.reason, error.line) from None
    return Compiled(made.reading.variables, made.reading.required, made.reading.quick, made, "", line)
