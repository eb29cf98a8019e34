"""A batch of emails: all of them or none (strict), or those that are in order (permissive).

The whole body is parsed once; only a permissive batch in which an item has a wrong type is parsed again item by item,
to tell the good ones from the others.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from pydantic import ValidationError

from api.errors import ApiError, invalid_field
from api.intake import Intake, to_email
from api.packing import in_bounds
from api.schemas.emails import BATCH, MAX_BATCH, SendEmail
from api.validation import api_error
from messages.model import NewEmail

MODES: Final = ("strict", "permissive")

_TURN = 50
"""Emails after which other requests get a turn: about 1.5 ms of work."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What a batch came to."""

    emails: tuple[NewEmail, ...]
    errors: tuple[tuple[int, str], ...] | None
    """(position in the request, message) of those left out; None in strict mode."""

    def answer(self) -> dict[str, Any]:
        """The body of the answer."""
        answer: dict[str, Any] = {"data": [{"id": email.id} for email in self.emails]}
        if self.errors is not None:
            answer["errors"] = [{"index": index, "message": message} for index, message in self.errors]
        return answer


async def read_batch(raw: bytes, mode: str | None, intake: Intake) -> Batch:
    """The emails of the body of `POST /emails/batch`. Raises ApiError: in strict mode for the first wrong email, with
    its position; in permissive mode only when the body is no batch at all, or one email is too large to go on."""
    if mode is not None and mode not in MODES:
        raise ApiError("invalid_parameter", "The `x-batch-validation` header must be `strict` or `permissive`.")
    permissive = mode == "permissive"
    items = _parse(in_bounds(raw), permissive)
    if not items:
        raise invalid_field("The batch is empty: send 1 to 1000 emails.")
    emails: list[NewEmail] = []
    errors: list[tuple[int, str]] = []
    for index, item in enumerate(items):
        if index % _TURN == _TURN - 1:
            await asyncio.sleep(0)
        try:
            emails.append(await to_email(_typed(item), intake))
        except ApiError as error:
            if not permissive:
                raise _at(index, error) from None
            errors.append((index, error.message))
    return Batch(tuple(emails), tuple(errors) if permissive else None)


def _parse(raw: bytes, permissive: bool) -> Sequence[SendEmail | Any]:
    try:
        return BATCH.validate_json(raw)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        first = problems[0]
        if first["type"] == "too_long" and not first["loc"]:
            raise invalid_field(f"The batch is too long: at most {MAX_BATCH} emails are allowed.") from None
        if not permissive or not first["loc"]:
            raise api_error(problems) from None
    items: list[Any] = orjson.loads(raw)
    if len(items) > MAX_BATCH:
        raise invalid_field(f"The batch is too long: at most {MAX_BATCH} emails are allowed.")
    return items


def _typed(item: SendEmail | Any) -> SendEmail:
    if isinstance(item, SendEmail):
        return item
    try:
        return SendEmail.model_validate(item)
    except ValidationError as error:
        raise api_error(error.errors(include_url=False)) from None


def _at(index: int, error: ApiError) -> ApiError:
    return ApiError(error.name, f"Email [{index}]: {error.message}", error.headers, status=error.status)
