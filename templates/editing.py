"""Applies an edit to what was written. Pure. Raises `core.refusal.Refused`, naming the field."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import orjson

from core.addresses import AddressError, parse_mailbox
from core.refusal import Refused, invalid
from templates.build import Kind, Source
from templates.model import DEFAULT, UNSAID, Edit, LanguageEdit, Unsaid, Variable, VariableType, Writing
from templates.render import RenderError, compile_line

MAX_VARIABLES: Final = 100
MAX_LANGUAGES: Final = 50
MAX_NAME: Final = 100
_ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}-?(?:[0-9A-Fa-f]{4}-?){3}[0-9A-Fa-f]{12}")
_LANGUAGE: Final = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}")
_KEY: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,49}")
_RESERVED: Final = frozenset(("contact", "content", "RESEND_UNSUBSCRIBE_URL", "UNSUBSCRIBE_URL", "loop", "self"))
_TYPES: Final[Mapping[VariableType, tuple[type, ...]]] = {
    VariableType.STRING: (str,),
    VariableType.NUMBER: (int, float),
    VariableType.BOOLEAN: (bool,),
    VariableType.OBJECT: (dict,),
    VariableType.LIST: (list,),
}

NOTHING: Final = Writing({})


def edited(writing: Writing, edit: Edit) -> Writing:
    """What is written after the edit; the layout is looked up by who stores it."""
    sources = dict(writing.sources)
    sources[DEFAULT] = _source(sources.get(DEFAULT), edit.content, "")
    for language, change in edit.languages.items():
        _change_language(sources, language, change)
    if len(sources) > MAX_LANGUAGES:
        raise invalid("languages", f"a template has at most {MAX_LANGUAGES}")
    if isinstance(edit.sender, str):
        _check_mailbox("from", edit.sender)
        writing = replace(writing, sender=edit.sender)
    if not isinstance(edit.reply_to, Unsaid):
        for text in edit.reply_to:
            _check_mailbox("reply_to", text)
        writing = replace(writing, reply_to=tuple(edit.reply_to))
    if not isinstance(edit.variables, Unsaid):
        _check_variables(tuple(edit.variables))
        writing = replace(writing, variables=tuple(edit.variables))
    return replace(writing, sources=sources)


def checked_name(edit: Edit) -> None:
    """Raises Refused for a name or an alias that cannot be."""
    if isinstance(edit.name, str) and not (0 < len(edit.name.strip()) <= MAX_NAME and edit.name.isprintable()):
        raise invalid("name", f"it must be one line of 1 to {MAX_NAME} characters")
    if not isinstance(edit.alias, str) or not edit.alias:
        return
    if not _ALIAS.fullmatch(edit.alias) or _UUID.fullmatch(edit.alias):
        raise invalid("alias", "1 to 100 letters, digits, `-`, `_` and `.`, and not the form of an id")


def _change_language(sources: dict[str, Source], language: str, change: LanguageEdit | None) -> None:
    if not _LANGUAGE.fullmatch(language):
        raise invalid(f"languages.{language[:20]}", "it must be a language tag such as `de` or `de-AT`")
    if change is None:
        sources.pop(language, None)
        return
    base = sources[DEFAULT]
    # A new language begins with the default's subject, and must bring its own content.
    before = sources.get(language) or Source(base.kind, "", base.subject)
    sources[language] = _source(before, change, f"languages.{language}.")


def _source(before: Source | None, change: LanguageEdit, place: str) -> Source:
    if change.body is UNSAID and (before is None or not before.body):
        raise Refused(
            "invalid", "one of html, mjml and blocks is needed", f"{place}html", code="missing_required_field"
        )
    kind, body = change.body if not isinstance(change.body, Unsaid) else (before.kind, before.body)  # type: ignore[union-attr]
    if not body.strip():
        raise invalid(f"{place}{kind.value}", "it is empty")
    subject = change.subject if isinstance(change.subject, str) else (before.subject if before else "")
    text = change.text if not isinstance(change.text, Unsaid) else (before.text if before else None)
    for field, value in ((kind.value, body), ("subject", subject), ("text", text or "")):
        _no_nul(f"{place}{field}", value.replace("\\u0000", "\0") if kind is Kind.BLOCKS else value)
    return Source(kind, body, subject, text)


def _no_nul(field: str, text: str) -> None:
    if "\0" in text:
        raise invalid(field, "it holds a NUL")


def _check_mailbox(field: str, text: str) -> None:
    """A mailbox, or one that placeholders complete."""
    if not text:
        return
    _no_nul(field, text)
    try:
        compiled = compile_line(text)
        if not compiled.variables:
            parse_mailbox(compiled.render({}))
    except (RenderError, AddressError) as error:
        raise invalid(field, getattr(error, "reason", str(error))) from None


def _check_variables(variables: tuple[Variable, ...]) -> None:
    if len(variables) > MAX_VARIABLES:
        raise invalid("variables", f"a template has at most {MAX_VARIABLES}")
    seen: set[str] = set()
    for number, variable in enumerate(variables):
        place = f"variables[{number}]"
        if not _KEY.fullmatch(variable.key) or variable.key in _RESERVED:
            raise invalid(f"{place}.key", "a letter, then up to 49 letters, digits and _; some names are taken")
        if variable.key in seen:
            raise invalid(f"{place}.key", f"{variable.key} stands twice")
        seen.add(variable.key)
        _no_nul(f"{place}.fallback_value", orjson.dumps(variable.fallback).decode().replace("\\u0000", "\0"))
        if variable.fallback is not None and not fits(variable, variable.fallback):
            raise invalid(f"{place}.fallback_value", f"it must be of type {variable.type}")


def fits(variable: Variable, value: object) -> bool:
    """Whether a value is of a variable's type."""
    if isinstance(value, bool):
        return variable.type is VariableType.BOOLEAN
    return isinstance(value, _TYPES[variable.type])
