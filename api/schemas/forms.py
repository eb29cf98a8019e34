"""Bodies and answers of `/forms`, by type and shape. Ours: Resend has no sign-up forms."""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from api.schemas.shapes import Listed, Strict
from audience.forms import MOST_FIELDS, FormFacts, Texts
from audience.forms import Field as Asked
from web.absent import Absent, Needed

_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100, pattern=_ONE_LINE)]
_Line = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ONE_LINE)]
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=2000, pattern=r"^[^\x00]*$")]
_Code = Annotated[str, StringConstraints(pattern=r"^[a-z]{2}$")]


class FormTexts(Strict):
    """What a form says in one language; what is left out is said in our words."""

    title: _Line = Field("", description="What stands above the form.")
    intro: _Text = Field("", description="What stands between title and form.")
    consent: _Text = Field("", description="What people agree to: kept with their consent, word for word.")
    frequency: _Line = Field("", description="How often mail comes, as a sentence.", examples=["Once a month."])
    welcome: _Text = Field("", description="What the welcome mail begins with.")


_Texts = Annotated[dict[_Code, FormTexts], Field(max_length=20)]


class FormField(Strict):
    """Something a form asks beside the address."""

    key: _Name = Field(description="`first_name`, `last_name`, or the key of a contact property.")
    labels: dict[_Code, _Line] = Field({}, description="What stands above it, by language.")
    required: bool = False


class CreateForm(Strict):
    """A sign-up form."""

    name: Annotated[_Name, Needed] = Field(description="For you; nobody else sees it.", examples=["Footer"])
    sender: Annotated[_Name, Needed] = Field(
        alias="from", description="Whom its mail comes from.", examples=["Acme <hello@acme.example>"]
    )
    segment_id: Annotated[Annotated[UUID, Field(strict=False)] | None, Absent] = Field(
        None, description="The list that people are put on: the id of a segment without a filter."
    )
    topics: list[Annotated[UUID, Field(strict=False)]] = Field(
        [], max_length=50, description="Types of mail to choose from; none: all that is not left."
    )
    fields: list[FormField] = Field([], max_length=MOST_FIELDS)
    language: _Code = Field("en", description="Of readers whose own language has no texts.")
    texts: _Texts = Field({}, description="By language: `en`, `de`, `fr` and `es` have words of ours.")
    origins: list[_Line] = Field(
        [],
        max_length=50,
        description="Web origins whose pages may use the form by script, as `https://www.example.com`.",
    )
    welcome: bool = Field(True, description="Whether a welcome mail says what comes and how often.")

    def facts(self) -> FormFacts:
        """As they are stored."""
        return FormFacts(
            self.name,
            self.sender,
            self.segment_id,
            tuple(self.topics),
            tuple(Asked(one.key, one.labels, one.required) for one in self.fields),
            self.language,
            {code: Texts(**texts.model_dump()) for code, texts in self.texts.items()},
            tuple(self.origins),
            self.welcome,
        )


class UpdateForm(Strict):
    """What to change; what is left out stays."""

    name: Annotated[_Name | None, Absent] = None
    sender: Annotated[_Name | None, Absent] = Field(None, alias="from")
    segment_id: Annotated[Annotated[UUID, Field(strict=False)] | None, Absent] = Field(
        None, description="Null for none."
    )
    topics: list[Annotated[UUID, Field(strict=False)]] | None = Field(None, max_length=50)
    fields: list[FormField] | None = Field(None, max_length=MOST_FIELDS)
    language: Annotated[_Code | None, Absent] = None
    texts: _Texts | None = None
    origins: list[_Line] | None = Field(None, max_length=50)
    welcome: bool | None = None


class Figures(BaseModel):
    """People, as far as they are still kept: weeks."""

    waiting: int = Field(description="Asked, and not confirmed yet.")
    confirmed: int
    unsent: int = Field(description="Who got no mail: suppressed, or signed up all over the place.")


class FormItem(BaseModel):
    """A sign-up form."""

    object: Literal["form"] = "form"
    id: UUID
    name: str
    sender: str = Field(alias="from")
    segment_id: UUID | None = Field(description="The list that people are put on.")
    topics: list[UUID] = Field(description="Types of mail to choose from.")
    fields: list[FormField] = Field(description="What it asks beside the address.")
    language: str = Field(description="Of readers whose own has no texts.")
    texts: dict[str, FormTexts] = Field(description="What it says, by language.")
    origins: list[str] = Field(description="Web origins whose pages may use it by script.")
    welcome: bool = Field(description="Whether a welcome mail follows.")
    url: str | None = Field(description="The hosted page; null without public pages.")
    embed: str | None = Field(description="The form as HTML for a page of yours.")
    figures: Figures
    created_at: datetime
    updated_at: datetime


class FormList(Listed[FormItem]):
    """Forms, newest first."""


class FormReference(BaseModel):
    """The form that was worked on."""

    object: Literal["form"] = "form"
    id: UUID


class FormDeleted(FormReference):
    """It takes nobody more."""

    deleted: Literal[True] = True
