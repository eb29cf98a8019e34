"""What somebody asked for cannot be done: one exception, with the field that is wrong and the reason.

Raised inside the caller's transaction, so that the transaction rolls back and nothing stays half applied. The API turns
it into 404, 409 or 422, the command line into one line with its code.
"""

from typing import Literal

from core.errors import PostlaneError

Kind = Literal["not_found", "conflict", "invalid"]


class Refused(PostlaneError):
    """Nothing was changed. `code` says how to read it:

    `not_found`: there is no such thing. `conflict`: something else stands in the way, and `reason` names it.
    `invalid`: the value given for `field` cannot be.
    """

    def __init__(self, code: Kind, reason: str, field: str = "", hint: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.code = code
        self.field = field
        self.reason = reason
        self.hint = hint


def invalid(field: str, reason: str) -> Refused:
    """A value that cannot be."""
    return Refused("invalid", reason, field)


def conflict(reason: str, hint: str = "") -> Refused:
    """Something else stands in the way."""
    return Refused("conflict", reason, hint=hint)
