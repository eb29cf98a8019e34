"""Makes what pydantic writes into the OpenAPI document say what clients can rely on.

Code generators read the document literally: a field with a default counts as required in TypeScript, one with
`default: null` as nullable. So defaults of bodies become words, fields of answers that are always there are required,
and every field of an answer has a meaning: its own, or that of `api/meanings`.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from api.meanings import meaning

_PREFIX: Final = "#/components/schemas/"


def tidy(document: dict[str, Any]) -> None:
    """Change the document in place."""
    schemas: dict[str, Any] = document["components"]["schemas"]
    asked = _reachable(_bodies(document), schemas)
    for name, schema in schemas.items():
        _tidy_schema(name, schema, answer=name not in asked)
    for path in document["paths"].values():
        for operation in path.values():
            for parameter in operation.get("parameters", ()):
                parameter["schema"] = _without_null(parameter["schema"])


def _tidy_schema(title: str, schema: dict[str, Any], answer: bool) -> None:
    for name, field in schema.get("properties", {}).items():
        default = field.pop("default", None)
        if answer:
            if default is not None:
                schema["required"] = [*schema.get("required", ()), name]
            if "description" not in field:
                field["description"] = meaning(title, name)
        elif default is not None and default not in ("", [], {}):
            said = str(default).lower() if isinstance(default, bool) else default
            field["description"] = f"{field.get('description', '')} By default `{said}`.".strip()


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter is there or not: no text in a path or query stands for null."""
    rest = [one for one in schema.get("anyOf", ()) if one != {"type": "null"}]
    if len(rest) != 1:
        return schema
    others = {key: value for key, value in schema.items() if key not in ("anyOf", "default")}
    return {**rest[0], **others}


def _bodies(document: Mapping[str, Any]) -> Iterator[Any]:
    for path in document["paths"].values():
        for operation in path.values():
            yield operation.get("requestBody", {})


def _reachable(places: Iterator[Any], schemas: Mapping[str, Any]) -> set[str]:
    """Names of the schemas that are part of these places, directly or through another."""
    found: set[str] = set()
    waiting = list(places)
    while waiting:
        for name in _references(waiting.pop()):
            if name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def _references(place: Any) -> Iterator[str]:
    if isinstance(place, dict):
        reference = place.get("$ref", "")
        if isinstance(reference, str) and reference.startswith(_PREFIX):
            yield reference.removeprefix(_PREFIX)
        place = list(place.values())
    if isinstance(place, list):
        for one in place:
            yield from _references(one)
