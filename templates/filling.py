"""A published version with the variables of one mail → subject, HTML and text. Pure; Refused names the variable."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final
from uuid import UUID

import orjson

from core.refusal import invalid
from templates.build import Built, Content, compiled
from templates.editing import fits
from templates.model import Version, language_for
from templates.render import Compiled, RenderError, compile_line, compile_text

_KEPT: Final = 128


@dataclass(frozen=True, slots=True)
class Filled:
    """What a mail is made of."""

    subject: str
    html: str
    text: str
    sender: str
    reply_to: tuple[str, ...]
    template_id: UUID


def content_of(version: Version, language: str | None = None) -> Content:
    """A version's content in the language for somebody, ready to be rendered. Compiled once a process."""
    found = language_for(version.built, language)
    return _content(_Key(version.id, found, version.built[found]))


def fill(version: Version, given: Mapping[str, object], language: str | None = None) -> Filled:
    """The mail for these variables. Raises Refused naming what is missing or of another type."""
    values = with_fallbacks(version, given)
    content = content_of(version, language)
    return Filled(
        _rendered("the subject", content.subject, values),
        _rendered("the HTML", content.html, values),
        _rendered("the text", content.text, values),
        _rendered("the sender", _line(version.writing.sender), values),
        tuple(_rendered("a reply address", _line(text), values) for text in version.writing.reply_to),
        version.template_id,
    )


def with_fallbacks(version: Version, given: Mapping[str, object]) -> dict[str, object]:
    """The variables, with the fallback of each that was not given. Raises Refused."""
    values = dict(given)
    for variable in version.writing.variables:
        value = values.get(variable.key)
        if value is None:
            values[variable.key] = variable.fallback
        elif not fits(variable, value):
            raise invalid(f"template.variables.{variable.key}", f"it must be of type {variable.type}")
    return values


def _rendered(part: str, text: Compiled, values: Mapping[str, object]) -> str:
    try:
        return text.render(values)
    except RenderError as error:
        field = f"template.variables.{error.variable}" if error.variable else "template"
        reason = f"{part} needs `{error.variable}`, and it has no fallback" if error.variable else str(error)
        raise invalid(field, reason) from None


@dataclass(frozen=True, slots=True, eq=False)
class _Key:
    """A language of a version: two of the same id hold the same."""

    version_id: UUID
    language: str
    built: Built

    def __hash__(self) -> int:
        return hash((self.version_id, self.language))

    def __eq__(self, other: object) -> bool:
        same = isinstance(other, _Key) and (self.version_id, self.language) == (other.version_id, other.language)
        return same and self.built == other.built  # type: ignore[attr-defined]


@lru_cache(_KEPT)
def _content(key: _Key) -> Content:
    return compiled(key.built)


_line = lru_cache(_KEPT)(compile_line)


def standing_alone(version: Version, language: str | None = None) -> Built:
    """The content for whoever renders it without the template's declarations: fallbacks are written into it."""
    built = version.built[language_for(version.built, language)]
    return Built(*(_with_declared(version, part) for part in (built.subject, built.html, built.text)))


def _with_declared(version: Version, part: str) -> str:
    """A part with `set` for each variable it uses that has a fallback; lists and objects cannot be written so."""
    used = {path.partition(".")[0] for path in compile_text(part, html=False).variables}
    declared = [
        f"{{% set {one.key} = {one.key} | default({_literal(one.fallback)}) %}}"
        for one in version.writing.variables
        if one.key in used and isinstance(one.fallback, str | int | float)
    ]
    return "".join(declared) + part


def _literal(value: str | float) -> str:
    """As Jinja reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return orjson.dumps(value).decode().replace("{", "\\u007b").replace("}", "\\u007d")
