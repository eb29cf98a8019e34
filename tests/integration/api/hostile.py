"""Every text field of every body that the API takes, out of its own description, so that a new field is in by itself;
and what hostile people write into one."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]
Where = tuple[str | int, ...]

EVIL: Final = "X-Evil: yes"
HOSTILE: Final = {
    "CRLF": f"a\r\n{EVIL}",
    "LF": f"a\n{EVIL}",
    "CR": f"a\r{EVIL}",
    "folded": f"a\r\n {EVIL}\r\n\r\n{EVIL}",
    "NUL": f"a\0{EVIL}",
    "U+2028": f"a\u2028{EVIL}",
    "NEL and VT": f"a\x85{EVIL}\x0b{EVIL}",
    "encoded-word": f"=?utf-8?q?a=0D=0A{EVIL.replace(' ', '_')}?=",
    "percent": f"a%0d%0a{EVIL}",
    "over-long": "a" * 30_000,
    "over-long line": f"{'a' * 997}\r\n{EVIL}",
    "address": f'"a\r\n{EVIL}" <a@acme.example>',
    "address by an encoded-word": f"=?utf-8?q?a=0D=0A{EVIL.replace(' ', '_')}?= <a@acme.example>",
}

GOOD: Final[Mapping[str, Any]] = {
    "from": "Acme <hello@acme.example>", "to": "bob@example.com", "subject": "Hi", "text": "Hello", "name": "news",
    "endpoint": "https://hooks.acme.example/x", "events": ["email.bounced"], "email": "bob@example.com",
    "address": "bob@example.com", "filename": "a.txt", "content": "Zg==", "pattern": "*@qa.example.com",
    "attachments": [{"filename": "a.txt", "content": "Zg=="}], "tags": [{"name": "campaign", "value": "x"}],
    "default_subscription": "opt_in", "value": "x", "ip": "192.0.2.7", "emails": ["bob@example.com"],
}  # fmt: skip
"""What is accepted, where no description says it."""


@dataclass(frozen=True, slots=True)
class Field:
    """One text field of one operation."""

    method: str
    path: str
    where: Where
    body: Any
    """A body in which all else is as it should be."""

    def filled(self, text: str) -> Any:
        """The body with this text there."""
        return _put(self.body, self.where, text)

    def __str__(self) -> str:
        return f"{self.method.upper()} {self.path} {'.'.join(map(str, self.where))}"


def fields(openapi: Schema) -> Iterator[Field]:
    """All of them. A header's name is a field too: it stands as `headers.*`."""
    for path, operations in openapi["paths"].items():
        for method, operation in operations.items():
            content = operation.get("requestBody", {}).get("content", {}).get("application/json")
            if content is None:
                continue
            schema = _one(content["schema"], openapi)
            body = _good("", schema, openapi)
            for where in _texts(schema, openapi, ()):
                yield Field(method, path, where, body)


def _texts(schema: Schema, openapi: Schema, where: Where) -> Iterator[Where]:
    if len(where) > 6:
        return
    for one in _each(schema, openapi):
        if one.get("type") == "string" and "enum" not in one:
            yield where
        if one.get("type") == "array":
            yield from _texts(one.get("items", {}), openapi, (*where, 0))
        for name, inner in one.get("properties", {}).items():
            yield from _texts(inner, openapi, (*where, name))
        if isinstance(one.get("additionalProperties"), dict):
            yield from ((*where, "X-Mine"), (*where, "*"))


def _good(name: str, schema: Schema, openapi: Schema) -> Any:
    one = _one(schema, openapi)
    kind = one.get("type")
    if kind == "object":
        wanted = [*one.get("required", ()), *(field for field in GOOD if field in one.get("properties", {}))]
        return {field: _good(field, one["properties"][field], openapi) for field in dict.fromkeys(wanted)}
    if name in GOOD:
        return GOOD[name]
    if kind == "array":
        return [_good(name, one.get("items", {}), openapi)]
    if "enum" in one or "const" in one:
        return one.get("const", next(iter(one.get("enum", [None]))))
    formats = {
        "uuid": "01a20446-0000-7000-8000-000000000000",
        "date-time": "2027-01-01T00:00:00Z",
        "date": "2027-01-01",
    }
    plain: Mapping[str, Any] = {"string": "x", "integer": 1, "number": 1, "boolean": False}
    return formats.get(one.get("format", "")) or plain.get(str(kind))


def _each(schema: Schema, openapi: Schema) -> list[Schema]:
    """The alternatives that a schema has."""
    if "$ref" in schema:
        return _each(openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]], openapi)
    inner = [*schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return [one for part in inner for one in _each(part, openapi)] or [schema]


def _one(schema: Schema, openapi: Schema) -> Schema:
    return _each(schema, openapi)[0]


def _put(body: Any, where: Where, text: str) -> Any:
    """A copy with the text at that place; what is on the way and not there is made."""
    if not where:
        return text
    first, rest = where[0], where[1:]
    if isinstance(first, int):
        held = body[0] if isinstance(body, list) and body else None
        return [_put(held, rest, text)]
    held = dict(body) if isinstance(body, dict) else {}
    if first == "*":
        return {**held, text: "x"}
    return {**held, first: _put(held.get(first), rest, text)}
