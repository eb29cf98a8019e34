"""Which thing is meant: the whole id, enough of its beginning (or end) to be the only one, or the name it goes by."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from cli.output import CliError
from core.visible import on_one_line

SHORTEST: Final = 4
"""Letters of an id that a person has to type at least: fewer are a slip of the finger."""

LISTED: Final = 10
"""Candidates named in an error. That there are more is said, and not how many: a reader asks for one more than this."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that may be meant."""

    id: UUID
    name: str = ""
    """It can be called by this too; "" for what has no name of its own."""
    about: str = ""
    """Tells it from the others in the list of an error."""


def the_one(text: str, noun: str, candidates: Sequence[Candidate], command: str, missing: str = "not_found") -> UUID:
    """The id of the one that `text` means. Raises CliError: `missing`, or `ambiguous` with the candidates."""
    matching = [one for one in candidates if one.name and one.name == text] or _by_id(text, candidates)
    if not matching:
        told = (
            f"There is no {noun} {text}." if text.strip() else f"There is no {noun} without a name: the text is empty."
        )
        raise CliError(missing, told, f"`{command}` shows what there is.")
    if len(matching) > 1:
        raise ambiguous(text, noun, matching)
    return matching[0].id


def ambiguous(text: str, noun: str, candidates: Sequence[Candidate]) -> CliError:
    """The error that lists what may be meant."""
    lines = [on_one_line(f"{one.id}  {one.name or one.about}") for one in candidates[:LISTED]]
    more = ["and more"] if len(candidates) > LISTED else []
    listed = "\n".join(f"  {line}" for line in (*lines, *more))
    return CliError("ambiguous", f"{text} could be more than one {noun}:\n{listed}", "Give more of the id.")


def beginning(text: str) -> tuple[UUID, UUID] | None:
    """The least and the largest id that begin like the text; None when no id does."""
    digits = text.replace("-", "").lower()
    if not re.fullmatch(rf"[0-9a-f]{{{SHORTEST},32}}", digits):
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))


def _by_id(text: str, candidates: Sequence[Candidate]) -> list[Candidate]:
    bounds = beginning(text)
    if bounds is None:
        return []
    least, largest = bounds
    begins = [one for one in candidates if least <= one.id <= largest]
    return begins or [one for one in candidates if one.id.hex.endswith(text.replace("-", "").lower())]
