"""A mail that names a template → the same mail with subject and bodies.

`from`, `reply_to` and `subject` of the request win over those of the template. A broadcast takes the words of the
published version as they are then, placeholders and all: each person's own variables are filled in when their mail
leaves.
"""

from typing import Final, TypeVar

import orjson

from api.errors import invalid_field
from api.schemas.broadcasts import BroadcastFacts, CreateBroadcast
from api.schemas.emails import SendEmail
from api.validation import missing
from campaigns.written import written as of_template
from core.refusal import invalid
from templates.book import TemplateReading

MAX_VARIABLES: Final = 256 * 1024
"""Bytes of the variables of one mail, as JSON."""

Facts = TypeVar("Facts", bound=BroadcastFacts)


async def broadcast_words(body: Facts, templates: TemplateReading) -> Facts:
    """The broadcast with the words of its template, which it names by its id then. Raises Refused naming the field."""
    if body.template is None:
        return body
    if body.html or body.text:
        raise invalid("template", "it cannot be used together with `html` or `text`")
    version = await templates.version(body.template, "template")
    said = of_template(version)
    words: dict[str, object] = {"template": str(said.template_id), "html": said.html, "text": said.text}
    if isinstance(body, CreateBroadcast) and body.sender is None:
        words["sender"] = said.sender or None
    if body.subject is None:
        words["subject"] = said.subject
    if body.reply_to is None and said.reply_to:
        words["reply_to"] = list(said.reply_to)
    if body.languages is None and said.languages:
        words["languages"] = said.languages
    return body.model_copy(update=words)


async def written(sent: SendEmail, templates: TemplateReading) -> SendEmail:
    """The mail as its template makes it, which it names by its id then. Raises ApiError, or Refused naming the
    field."""
    use = sent.template
    if use is None:
        return sent
    if sent.html or sent.text:
        raise invalid_field("The `template` field cannot be used together with `html` or `text`.")
    if use.variables and len(orjson.dumps(use.variables)) > MAX_VARIABLES:
        raise invalid("template.variables", f"they have more than {MAX_VARIABLES} bytes together")
    filled = await templates.filled(use.id, use.variables or {}, use.language)
    sender = sent.sender or filled.sender
    if not sender:
        raise missing("from")
    return sent.model_copy(
        update={
            "template": use.model_copy(update={"id": str(filled.template_id)}),
            "sender": sender,
            "subject": sent.subject if sent.subject is not None else filled.subject,
            "reply_to": sent.reply_to or list(filled.reply_to) or None,
            "html": filled.html,
            "text": filled.text,
        }
    )
