"""What a campaign says. A value."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """What a campaign says, as its author wrote it: templates."""

    sender: str
    subject: str = ""
    preview_text: str = ""
    reply_to: tuple[str, ...] = ()
    html: str | None = None
    text: str | None = None
