"""Templates as JSON. Pure; the fields are those of `api/schemas/templates`."""

import orjson

from templates.build import Built, Kind, Source
from templates.checks import Remark
from templates.filling import Filled, content_of
from templates.model import DEFAULT, Template, Version
from templates.versions import Listed


def template_face(one: Template) -> dict[str, object]:
    """A template in a list."""
    return {
        "id": one.id,
        "name": one.name,
        "alias": one.alias,
        "status": "published" if one.published_id else "draft",
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "published_at": one.published_at,
    }


def template_answer(one: Template, version: Version) -> dict[str, object]:
    """A template with its newest content."""
    writing = version.writing
    others = [name for name in writing.sources if name != DEFAULT]
    contents = [content_of(version, name) for name in writing.sources]
    return {
        "object": "template",
        **template_face(one),
        **_language(writing.sources[DEFAULT], version.built[DEFAULT]),
        "from": writing.sender or None,
        "reply_to": list(writing.reply_to),
        "variables": _variables(version),
        "layout": writing.layout_id,
        "languages": {name: _language(writing.sources[name], version.built[name]) for name in others},
        "uses": sorted(set().union(*(one.variables for one in contents))),
        "needs": sorted(set().union(*(one.required for one in contents))),
        "current_version_id": version.id,
        "has_unpublished_versions": one.draft_id is not None,
        "revision": one.revision,
    }


def version_face(one: Listed) -> dict[str, object]:
    """A version in the list of a template's."""
    return {"id": one.id, "number": one.number, "created_at": one.created_at, "published_at": one.published_at}


def preview_face(one: Template, filled: Filled, remarks: list[Remark]) -> dict[str, object]:
    """A mail as it would be made."""
    return {
        "object": "template_preview",
        "id": one.id,
        "from": filled.sender or None,
        "reply_to": list(filled.reply_to),
        "subject": filled.subject,
        "html": filled.html,
        "text": filled.text,
        "remarks": [remark_face(remark) for remark in remarks],
    }


def remark_face(remark: Remark) -> dict[str, object]:
    """Something to mend."""
    return {
        "check": remark.check,
        "severity": remark.severity,
        "message": remark.message,
        "advice": remark.advice,
    }


def _variables(version: Version) -> list[dict[str, object]]:
    return [
        {
            "key": variable.key,
            "type": variable.type,
            "fallback_value": variable.fallback,
            "created_at": version.created_at,
            "updated_at": version.created_at,
        }
        for variable in version.writing.variables
    ]


def _language(source: Source, built: Built) -> dict[str, object]:
    return {
        "kind": source.kind,
        "subject": built.subject,
        "html": built.html,
        "text": built.text,
        "mjml": source.body if source.kind is Kind.MJML else None,
        "blocks": orjson.loads(source.body) if source.kind is Kind.BLOCKS else None,
    }
