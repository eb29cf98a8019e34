"""Bodies and answers of `/templates`, by type and shape.

`name alias from subject reply_to html text variables` are Resend's, so that its SDKs work; `mjml`, `blocks`, `layout`,
`languages` and `uses` are ours.
"""

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from api.schemas.broadcasts import as_list
from api.schemas.emails import Addresses
from api.schemas.shapes import Lenient, Listed
from templates.editing import MAX_LANGUAGES, MAX_VARIABLES
from templates.model import VariableType
from web.absent import Absent, Needed, otherwise

Fallback = str | int | float | bool | dict[str, Any] | list[Any] | None

_Document = Annotated[dict[str, Any], Field(max_length=10)]


class TemplateVariable(Lenient):
    """A variable that mail gives a value to."""

    key: Annotated[str, Needed] = Field(description="Letters, digits and _; at most 50.", examples=["ORDER"])
    type: Annotated[VariableType, Field(strict=False), otherwise(VariableType.STRING)] = Field(
        VariableType.STRING, description="What a value must be."
    )
    fallback_value: Fallback = Field(None, description="For mail that gives none. Without one it must be given.")


class TemplateContent(Lenient):
    """What is written, in one language: one of `html`, `mjml` and `blocks`."""

    subject: str | None = Field(None, description="Subject line, with placeholders.")
    html: Annotated[str | None, Absent] = Field(None, description="HTML, which stays as it is.")
    mjml: Annotated[str | None, Absent] = Field(None, description="MJML, which becomes HTML for all mail programs.")
    blocks: _Document | None = Field(
        None, description='A document of blocks: `{"blocks": [{"type": "text", "text": "Hello"}], "settings": {}}`.'
    )
    text: str | None = Field(None, description="Plain text; by default it is made from the HTML. Null for that again.")


class TemplateFacts(TemplateContent):
    """What a template has."""

    model_config = ConfigDict(extra="ignore", strict=True, populate_by_name=True)

    alias: str | None = Field(None, description="A name for programs, instead of the id. Null or empty for none.")
    sender: str | None = Field(None, alias="from", description="Sender of mail that names none itself.")
    reply_to: Addresses | None = Field(None, description="Where answers go, unless the mail says it.")
    variables: list[TemplateVariable] | None = Field(
        None, max_length=MAX_VARIABLES, description="Variables with their types and fallbacks."
    )
    layout: str | None = Field(
        None, description="Id or alias of a template whose `{{ content }}` this goes into. Null or empty for none."
    )
    languages: dict[str, TemplateContent | None] | None = Field(
        None, max_length=MAX_LANGUAGES, description="Other languages by tag, such as `de-AT`; null takes one away."
    )


class CreateTemplate(TemplateFacts):
    """A template to make. It is a draft until it is published."""

    name: Annotated[str, Needed] = Field(description="What people read.", examples=["Welcome"])


_REVISION = "The revision that the change was made of: 409 when it is another one by now."


class UpdateTemplate(TemplateFacts):
    """What to change; what is left out stays. It goes into the draft."""

    name: Annotated[str | None, Absent] = Field(None, description="What people read.")
    revision: Annotated[int | None, Absent] = Field(None, ge=0, description=_REVISION)


class SeenTemplate(Lenient):
    """Which one was looked at; all of it may be left out."""

    revision: Annotated[int | None, Absent] = Field(None, ge=0, description=_REVISION)


class PreviewTemplate(Lenient):
    """Whom to show a template for."""

    variables: dict[str, Any] | None = Field(None, description="Values by key.")
    contact: Annotated[str | None, Absent] = Field(
        None, description="A contact, by id or address, whose values to use."
    )
    language: Annotated[str | None, Absent] = Field(None, description="By default the contact's, else the template's.")


class TestTemplate(PreviewTemplate):
    """To whom it is sent for a look, and as whom they get it."""

    to: Annotated[list[str] | None, BeforeValidator(as_list), Absent] = Field(
        None, min_length=1, max_length=20, description="One or more addresses; they may be left out with `seeds`."
    )
    seeds: bool | None = Field(
        None, description="Also to the seed accounts of its stream, which tell in which folder it lands."
    )
    sender: Annotated[str | None, Absent] = Field(
        None, alias="from", description="Sender of the test; by default the template's."
    )


class TemplateItem(BaseModel):
    """A template without its content."""

    id: UUID
    name: str
    alias: str | None = Field(description="Its name for programs.")
    status: Literal["draft", "published"] = Field(description="Whether mail can be made of it.")
    created_at: datetime
    updated_at: datetime = Field(description="When it was changed last.")
    published_at: datetime | None = Field(description="When it was published last; null for never.")


class TemplateVariableAnswer(BaseModel):
    """A variable with its fallback."""

    key: str = Field(description="Its name in the content.")
    type: VariableType = Field(description="What a value must be.")
    fallback_value: Fallback = Field(description="For mail that gives none; null where it must be given.")
    created_at: datetime
    updated_at: datetime = Field(description="When it was changed last.")


class TemplateLanguage(BaseModel):
    """What is written in one language, and what it became."""

    kind: Literal["html", "mjml", "blocks"] = Field(description="What it is written in.")
    subject: str = Field(description="Subject line, with placeholders.")
    html: str = Field(description="The HTML that mail is made of.")
    text: str = Field(description="The text part that mail is made of.")
    mjml: str | None = Field(description="As it was written; null where it is no MJML.")
    blocks: dict[str, Any] | None = Field(description="As it was written; null where it is no document of blocks.")


class TemplateAnswer(TemplateItem, TemplateLanguage):
    """A template with its newest content, published or not."""

    model_config = ConfigDict(populate_by_name=True)

    object: Literal["template"] = "template"
    sender: str | None = Field(alias="from", description="Sender of mail that names none itself.")
    reply_to: list[str] = Field(description="Where answers go.")
    variables: list[TemplateVariableAnswer] = Field(description="Variables with their types and fallbacks.")
    layout: UUID | None = Field(description="The template around it; null for none.")
    languages: dict[str, TemplateLanguage] = Field(description="The other languages.")
    uses: list[str] = Field(description="All variables that its content names.")
    needs: list[str] = Field(description="Those without which a mail cannot be made, fallbacks aside.")
    current_version_id: UUID = Field(description="The version that is shown here.")
    has_unpublished_versions: bool = Field(description="Whether it was changed since it was published.")
    revision: int = Field(description="How often it was written; a change can name it.")


class TemplateList(Listed[TemplateItem]):
    """Templates, newest first."""


class TemplateReference(BaseModel):
    """The template that was worked on."""

    object: Literal["template"] = "template"
    id: UUID


class TemplateTested(TemplateReference):
    """It was sent for a look."""

    emails: list[UUID] = Field(description="The mails that were made.")


class TemplateVersionItem(BaseModel):
    """A version of a template, without its content."""

    id: UUID
    number: int = Field(description="1 for the first.")
    created_at: datetime
    published_at: datetime | None = Field(description="Since when mail is or was made of it; null for a draft.")


class TemplateVersionList(Listed[TemplateVersionItem]):
    """The newest versions, the last one first."""


class TemplateDeleted(TemplateReference):
    """The template that is gone."""

    deleted: Literal[True] = True


class TemplateRemark(BaseModel):
    """Something about the content that recipients or mail programs will mind."""

    check: str = Field(description="Which check: a fixed word.")
    severity: Literal["error", "warning"] = Field(description="An `error` should not be sent.")
    message: str = Field(description="What is wrong.")
    advice: str = Field(description="What to do.")


class TemplatePreview(BaseModel):
    """A mail as it would be made."""

    model_config = ConfigDict(populate_by_name=True)

    object: Literal["template_preview"] = "template_preview"
    id: UUID
    sender: str | None = Field(alias="from", description="Its sender; null for none.")
    reply_to: list[str] = Field(description="Where answers go.")
    subject: str = Field(description="The subject line.")
    html: str = Field(description="The HTML; links are not rewritten.")
    text: str = Field(description="The text part.")
    remarks: list[TemplateRemark] = Field(description="What to mend.")
