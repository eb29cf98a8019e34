"""The OpenAPI document as those read it who have nothing else: a validator, a generator of types, a person."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from tests.clients.node import installed, run
from tests.openapi_document import document

DOCUMENT: dict[str, Any] = document()
CLIENT = Path(__file__).parents[2] / "clients" / "typescript"


def operations() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, all_ in DOCUMENT["paths"].items():
        for method, found in all_.items():
            yield method, path, found


def reachable(places: list[Any]) -> set[str]:
    """Names of the schemas that are part of these places, directly or through another."""
    schemas = DOCUMENT["components"]["schemas"]
    found: set[str] = set()
    waiting = [json.dumps(place) for place in places]
    while waiting:
        named = set(re.findall(r'"#/components/schemas/([^"]+)"', waiting.pop())) - found
        found |= named
        waiting += [json.dumps(schemas[name]) for name in named]
    return found


def test_it_is_valid() -> None:
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_nothing_is_null_by_default() -> None:
    """A generator makes such a field nullable, and one with any other default required."""
    assert '"default": null' not in json.dumps(DOCUMENT)
    defaults = [
        f"{name}.{field}"
        for name, schema in DOCUMENT["components"]["schemas"].items()
        for field, described in schema.get("properties", {}).items()
        if "default" in described
    ]
    assert defaults == []


def test_names_of_types_are_plain() -> None:
    """Two classes of one name get their modules' names as well, and openapi-python-client leaves both out."""
    assert [name for name in DOCUMENT["components"]["schemas"] if "__" in name] == []


def test_every_field_of_an_answer_and_every_parameter_has_a_meaning() -> None:
    answers = reachable([found["responses"] for _, _, found in operations()])
    silent = [
        f"{name}.{field}"
        for name in sorted(answers)
        for field, described in DOCUMENT["components"]["schemas"][name].get("properties", {}).items()
        if not described.get("description")
    ]
    silent += [
        f"{method} {path} {one['name']}"
        for method, path, found in operations()
        for one in found.get("parameters", ())
        if one["in"] != "path" and not one.get("description")
    ]
    assert {"EmailAnswer", "WebhookRequest"} <= answers, "one by itself, one inside another"
    assert silent == []


def test_every_route_lists_what_it_may_refuse_with() -> None:
    for method, path, found in operations():
        answers = set(found["responses"])
        assert {"500", "503"} <= answers, path
        if found.get("security") != []:
            assert {"401", "403", "429"} <= answers, path
        if "{" in path:
            assert "404" in answers, path
        if method != "get":
            assert "413" in answers, path
        if "requestBody" in found:
            assert {"400", "422"} <= answers, path


def test_types_made_from_it_check_a_send(tmp_path: Path) -> None:
    """openapi-typescript with its defaults, then the compiler: installed by lock file into a cache of its own."""
    tools = installed(CLIENT) / "node_modules" / ".bin"
    (tmp_path / "openapi.json").write_text(json.dumps(DOCUMENT))
    shutil.copy(CLIENT / "send.ts", tmp_path)
    run(str(tools / "openapi-typescript"), "openapi.json", "-o", "postlane.d.ts", cwd=tmp_path)
    complaints = run(str(tools / "tsc"), "--noEmit", "--strict", "--skipLibCheck", "send.ts", cwd=tmp_path)
    assert complaints == ""


_VERBS = frozenset({
    "Acknowledge", "Add", "Assign", "Cancel", "Change", "Check", "Close", "Complete", "Count", "Create", "Delete",
    "Duplicate", "End", "Erase", "Explain", "Export", "Get", "Import", "Let", "List", "Pause", "Preview", "Publish",
    "Redo", "Remove", "Rename", "Replay", "Report", "Reschedule", "Rest", "Restore", "Resume", "Retry", "Rotate",
    "Send", "Set", "Shift", "Simulate", "Skip", "Snooze", "Start", "Step", "Stop", "Suppress", "Switch", "Undo",
    "Update", "Verify",
})  # fmt: skip
_PROPER = frozenset({"API", "IP", "IPs", "Prometheus"})


def test_summaries_are_written_in_one_style() -> None:
    """A verb, then what it is done to, in small letters, without a full stop. FastAPI makes `Add Batch` otherwise."""
    summaries = [found["summary"] for _, _, found in operations()]
    odd = [
        text
        for text in summaries
        if (words := text.split())[0] not in _VERBS
        or len(words) < 2
        or len(text) > 45
        or text.endswith(".")
        or any(word != word.lower() and word not in _PROPER for word in words[1:])
    ]
    assert odd == []
    assert len(set(summaries)) == len(summaries)
