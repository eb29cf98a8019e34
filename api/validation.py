"""What pydantic found wrong, as one of our errors: the first mistake, with the name of its field.

Pure. Bodies that FastAPI reads and those that we read ourselves are refused in the same words.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.errors import ApiError, invalid_field

_BRANCH: Final = re.compile(r"str|(list|constrained|function)[\[-].*")
"""How pydantic names the branch of a union in a location. No field of ours is called so."""
_PLACES: Final = frozenset({"body", "query", "path", "header", "cookie"})
_JSON_ERRORS: Final = frozenset({"json_invalid", "json_type"})
_PHRASES: Final[Mapping[str, str]] = {
    "string_type": "it must be a text",
    "list_type": "it must be a list",
    "dict_type": "it must be an object",
    "model_type": "it must be an object",
    "model_attributes_type": "it must be an object",
    "int_type": "it must be a whole number",
    "int_parsing": "it must be a whole number",
    "bool_type": "it must be true or false",
    "bool_parsing": "it must be true or false",
    "uuid_parsing": "it must be a valid UUID",
    "uuid_type": "it must be a valid UUID",
}


_SENTENCES: Final = frozenset({"fixed", "misspelt"})
"""Ours (`api/schemas/shapes`), which name their field."""
_NO_FILE: Final = "it must be base64, or a list of the bytes as numbers"


def api_error(problems: Sequence[Mapping[str, Any]]) -> ApiError:
    """The error for pydantic's list (`ValidationError.errors()`), which is never empty."""
    problem = _most_telling(problems)
    kind, location = problem["type"], tuple(problem["loc"])
    if kind in _JSON_ERRORS:
        return ApiError("validation_error", f"The request body is not valid JSON: {_reason(problem)}.")
    where, location = (location[0], location[1:]) if location and location[0] in _PLACES else ("body", location)
    if where == "path":
        return ApiError(
            "not_found", f"There is nothing here: `{_field(location)}` in the path {_names_nothing(problem)}."
        )
    if where in ("query", "header", "cookie"):
        return ApiError("invalid_parameter", f"The `{_field(location)}` parameter is not valid: {phrase(problem)}.")
    field = _field(location)
    if "attachments" in location and "content" in location:
        reason = "a list must hold numbers from 0 to 255 only" if "list" in str(location) else _NO_FILE
        return ApiError("invalid_attachment", f"The `{field}` field is not valid: {reason}.")
    if kind == "missing" or _is_null(problem, location):
        return missing(field) if field else ApiError("missing_required_field", "The request needs a JSON body.")
    if kind in _SENTENCES:
        return invalid_field(f"{_capital(_reason(problem)).rstrip('.')}.")
    if not field:
        return invalid_field(f"The request body is not valid: {phrase(problem)}.")
    return invalid_field(f"The `{field}` field is not valid: {phrase(problem)}.")


def _is_null(problem: Mapping[str, Any], location: Sequence[int | str]) -> bool:
    """A field that must be there is null, as Go and Java write what was never set. In a list null is just wrong."""
    named = [part for part in location if isinstance(part, int) or not _BRANCH.fullmatch(part)]
    return problem.get("input", ...) is None and bool(named) and isinstance(named[-1], str) and "headers" not in named


def _names_nothing(problem: Mapping[str, Any]) -> str:
    return "is not an id" if str(problem["type"]).startswith("uuid") else f"is not valid, {phrase(problem)}"


def missing(field: str) -> ApiError:
    """A field that must be there is not."""
    return ApiError("missing_required_field", f"Missing `{field}` field.")


def phrase(problem: Mapping[str, Any]) -> str:
    """The mistake as half a sentence."""
    kind = problem["type"]
    if kind == "too_long":
        return f"it may hold at most {problem['ctx']['max_length']} entries"
    if kind == "too_short":
        least = problem["ctx"]["min_length"]
        return "it is empty: give at least one entry" if least == 1 else f"it must hold at least {least} entries"
    if kind in ("enum", "literal_error"):
        return f"it must be {problem['ctx']['expected']}"
    return _PHRASES.get(kind) or _reason(problem)


def _most_telling(problems: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Of the mistakes of the first wrong field, the one about the type that was meant.

    A field that takes a text or a list yields one mistake for each; for a list that is too long or holds a number,
    "must be a text" is the wrong one to show.
    """
    first = problems[0]
    if first["type"] == "string_type" and isinstance(first.get("input"), list):
        field = tuple(first["loc"][:-1])
        for problem in problems[1:]:
            if tuple(problem["loc"][: len(field)]) == field:
                return problem
    return first


def _field(location: Sequence[int | str]) -> str:
    """("attachments", 0, "filename") → `attachments[0].filename`, without the names of a union's branches."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif not _BRANCH.fullmatch(part):
            text += f".{part}" if text else part
    return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _reason(problem: Mapping[str, Any]) -> str:
    if problem["type"] in _JSON_ERRORS:
        return str(problem.get("ctx", {}).get("error", problem["msg"]))
    text = str(problem["msg"])
    return text[:1].lower() + text[1:]
