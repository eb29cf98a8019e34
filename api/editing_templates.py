"""Bodies of `/templates` as edits of `templates/model`: what a body does not mention stays. Pure."""

from typing import Any

import orjson

from api.schemas.templates import TemplateContent, TemplateFacts
from core.refusal import invalid
from templates.build import Kind
from templates.model import UNSAID, Body, Edit, LanguageEdit, Unsaid, Variable


def edit_of(body: TemplateFacts) -> Edit:
    """The edit that a body asks for. Raises Refused naming the field."""
    said = body.model_fields_set

    def given(field: str, otherwise: Any = None) -> Any:
        return (getattr(body, field) or otherwise) if field in said else UNSAID

    return Edit(
        name=getattr(body, "name", None) or UNSAID,
        alias=given("alias"),
        sender=given("sender", ""),
        reply_to=_addresses(body.reply_to) if "reply_to" in said else UNSAID,
        variables=_variables(body) if "variables" in said else UNSAID,
        layout=given("layout"),
        content=_content(body, ""),
        languages={
            name: None if one is None else _content(one, f"languages.{name}.")
            for name, one in (body.languages or {}).items()
        },
    )


def _content(body: TemplateContent, place: str) -> LanguageEdit:
    said = body.model_fields_set
    return LanguageEdit(
        _body(body, place),
        body.subject or "" if "subject" in said else UNSAID,
        body.text if "text" in said else UNSAID,
    )


def _body(body: TemplateContent, place: str) -> Body | Unsaid:
    found: list[Body] = []
    if body.html is not None:
        found.append((Kind.HTML, body.html))
    if body.mjml is not None:
        found.append((Kind.MJML, body.mjml))
    if body.blocks is not None:
        found.append((Kind.BLOCKS, orjson.dumps(body.blocks).decode()))
    if len(found) > 1:
        raise invalid(f"{place}{found[1][0]}", "give one of `html`, `mjml` and `blocks`")
    return found[0] if found else UNSAID


def _addresses(given: str | list[str] | None) -> list[str]:
    return [text for text in ([given] if isinstance(given, str) else given or []) if text]


def _variables(body: TemplateFacts) -> list[Variable]:
    return [Variable(one.key, one.type, one.fallback_value) for one in body.variables or ()]
