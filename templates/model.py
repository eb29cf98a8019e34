"""Templates and their versions, as values."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum, StrEnum
from typing import Final, TypeAlias
from uuid import UUID

from templates.build import Built, Kind, Source


class Unsaid(Enum):
    """A field that a change does not mention."""

    UNSAID = 0


UNSAID: Final = Unsaid.UNSAID
DEFAULT: Final = ""
"""The language of whom no other fits."""


class VariableType(StrEnum):
    """What a variable holds. The values are stored."""

    STRING = "string"
    NUMBER = "number"
    BOOLEAN = "boolean"
    OBJECT = "object"
    LIST = "list"


@dataclass(frozen=True, slots=True)
class Variable:
    """A variable that a template declares."""

    key: str
    type: VariableType = VariableType.STRING
    fallback: object = None
    """None: it must be given."""


@dataclass(frozen=True, slots=True)
class Writing:
    """All that is versioned."""

    sources: Mapping[str, Source]
    """By language; `DEFAULT` is always there."""
    sender: str = ""
    reply_to: tuple[str, ...] = ()
    variables: tuple[Variable, ...] = ()
    layout_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Template:
    """A template without its content."""

    id: UUID
    application_id: UUID
    name: str
    alias: str | None
    created_at: datetime
    updated_at: datetime
    published_at: datetime | None
    published_id: UUID | None
    draft_id: UUID | None
    """The version that is worked on; None while the published one is the newest."""
    revision: int = 0
    """How often it was written: whoever changes it can say which one they saw."""
    step: int = 0
    """Which of its steps the draft is at (`templates/steps`)."""
    campaign_id: UUID | None = None
    """Whose content it is alone: such a one is in no list."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version with what it became. A published one never changes."""

    id: UUID
    template_id: UUID
    number: int
    writing: Writing
    built: Mapping[str, Built]
    created_at: datetime
    published_at: datetime | None


@dataclass(frozen=True, slots=True)
class Change:
    """How a change came."""

    seen: int | None = None
    """The revision that it was made of; None where nobody looked."""
    what: str = ""
    """What changed, for whoever takes it back."""
    typing: bool = False
    """Whether it is one step with others of the same a moment before, by the same person."""
    who: UUID | None = None
    """The user of the console who makes it; None at the other doors."""


Body: TypeAlias = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class LanguageEdit:
    """What changes in a language; UNSAID stays."""

    body: Body | Unsaid = UNSAID
    subject: str | Unsaid = UNSAID
    text: str | Unsaid | None = UNSAID
    """None: made from the HTML."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What changes in a template; UNSAID stays."""

    name: str | Unsaid = UNSAID
    alias: str | Unsaid | None = UNSAID
    sender: str | Unsaid = UNSAID
    reply_to: Sequence[str] | Unsaid = UNSAID
    variables: Sequence[Variable] | Unsaid = UNSAID
    layout: str | Unsaid | None = UNSAID
    """Id or alias."""
    content: LanguageEdit = field(default_factory=LanguageEdit)
    """The default language."""
    languages: Mapping[str, LanguageEdit | None] = field(default_factory=dict)
    """The others; None takes one away."""


def language_for(languages: Mapping[str, object], wanted: str | None) -> str:
    """The language to write somebody in: theirs, else its main one (`de` for `de-AT`), else the default."""
    known = {name.lower(): name for name in languages}
    tag = (wanted or "").replace("_", "-").lower()
    while tag:
        if tag in known:
            return known[tag]
        tag = tag.rpartition("-")[0]
    return DEFAULT
