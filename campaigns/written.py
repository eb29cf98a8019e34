"""The words of a campaign that is made of a template: of each language of its published version."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from campaigns import speaking
from templates.filling import standing_alone
from templates.model import DEFAULT, Version


@dataclass(frozen=True, slots=True)
class Written:
    """What a version says, for campaigns: placeholders are filled in when mail leaves."""

    subject: str
    html: str
    text: str
    reply_to: tuple[str, ...] = ()
    sender: str = ""
    """"" when there is none, or one with placeholders: a campaign has the same for everybody."""
    template_id: UUID | None = None
    languages: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def written(version: Version) -> Written:
    """The words of a published version, with the fallbacks of its variables in them."""
    own = standing_alone(version)
    others = {tag: standing_alone(version, tag) for tag in version.built if tag != DEFAULT}
    said = {tag: {"subject": one.subject, "html": one.html, "text": one.text} for tag, one in others.items()}
    sender = "" if "{" in version.writing.sender else version.writing.sender
    return Written(
        own.subject, own.html, own.text, version.writing.reply_to, sender, version.template_id,
        speaking.languages_from_json({tag: words for tag, words in said.items() if any(words.values())}),
    )  # fmt: skip
