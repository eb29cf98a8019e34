"""What somebody asked for cannot be done: one exception, raised by services and shown alike by every door.

Raised inside the caller's transaction, so that the transaction rolls back and nothing stays half applied. The API turns
its kind into 404, 409 or 422, the command line into one line with its code.
"""

from typing import Literal

from core.errors import PostlaneError

Kind = Literal["not_found", "conflict", "invalid"]


class Refused(PostlaneError):
    """Nothing was changed. `kind` says how to read it:

    `not_found`: there is no such thing. `conflict`: something else stands in the way, and `reason` names it.
    `invalid`: the value given for `field` cannot be.

    `code` is stable, for programs: the kind, where nothing finer is said. `hint` says what to do.
    """

    def __init__(self, kind: Kind, reason: str, field: str = "", hint: str = "", code: str = "") -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.kind = kind
        self.code = code or kind
        self.field = field
        self.reason = reason
        self.hint = hint


def not_found(reason: str, hint: str = "", code: str = "") -> Refused:
    """There is no such thing."""
    return Refused("not_found", reason, hint=hint, code=code)


def invalid(field: str, reason: str, code: str = "") -> Refused:
    """A value that cannot be."""
    return Refused("invalid", reason, field, code=code)


def conflict(reason: str, hint: str = "", code: str = "") -> Refused:
    """Something else stands in the way."""
    return Refused("conflict", reason, hint=hint, code=code)
