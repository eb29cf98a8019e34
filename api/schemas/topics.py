"""Bodies and answers of `/topics` and `/contacts/{contact}/topics`, by type and shape.

Names, limits and values are Resend's, so that its SDKs work; `stream`, `is_default` and `chosen` are ours.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field, StringConstraints

from api.schemas.shapes import Lenient, Listed, Strict
from audience.tapering import MOST_STEPS, YEAR
from audience.topics import MOST, Subscription, Visibility
from core.queues import Lane
from web.absent import Absent, Needed, otherwise

_ONE_LINE = r"^[^\x00-\x1f\x7f]*$"
_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=50, pattern=_ONE_LINE)]
_About = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=_ONE_LINE)]


class CreateTopic(Lenient):
    """A type of mail."""

    name: Annotated[_Name, Needed] = Field(description="What recipients read.", examples=["Weekly newsletter"])
    default_subscription: Annotated[Subscription, Field(strict=False), Needed] = Field(
        description="Whether those who have not chosen get it (`opt_in`) or not (`opt_out`). Cannot be changed."
    )
    description: Annotated[_About, otherwise("")] = Field("", description="What recipients read below the name.")
    visibility: Annotated[Visibility, Field(strict=False), otherwise(Visibility.PRIVATE)] = Field(
        Visibility.PRIVATE,
        description="`public`: everybody sees it; `private`: only who gets it or has chosen about it.",
    )
    stream: Annotated[Lane, Field(strict=False), otherwise(Lane.MARKETING)] = Field(
        Lane.MARKETING,
        description="Ours. Mail of a `transactional` topic is shown as always on and never stopped by choices.",
    )


class UpdateTopic(Lenient):
    """What to change; what is left out stays."""

    fixed = {
        "default_subscription": "Make another topic: people have chosen about this one.",
        "stream": "Make another topic for the other stream.",
    }

    name: Annotated[_Name | None, Absent] = Field(None, description="What recipients read.")
    description: _About | None = Field(None, description="What recipients read below the name; empty for nothing.")
    visibility: Annotated[Annotated[Visibility, Field(strict=False)] | None, Absent] = Field(
        None, description="`public` or `private`."
    )


class Taper(Strict):
    """From so many days of silence on, every so many-th campaign."""

    after_days: int = Field(description="Days without an open, a click or a reported login.", examples=[30])
    send_every: int | None = Field(
        None, description="2: every second campaign, 4: every fourth; null: none.", examples=[2]
    )


class PutPolicy(Strict):
    """How much mail of a topic who gets. What is left out is as for a topic without a policy."""

    tapering: list[Taper] = Field([], max_length=MOST_STEPS, description="Empty: off.")
    silent_after_days: int | None = Field(
        YEAR, description="Who was silent for so long gets no campaign. Null: whoever is silent gets mail for ever."
    )
    most_per_week: int | None = Field(None, description="Mails of the topic that one person gets in seven days.")
    reconfirm: bool = Field(
        False, description="Ask people once, by mail, whether they still want it, two weeks before they get none."
    )


class PolicyAnswer(BaseModel):
    """How much mail of a topic who gets."""

    object: Literal["topic_policy"] = "topic_policy"
    topic_id: UUID
    tapering: list[Taper]
    silent_after_days: int | None
    most_per_week: int | None
    reconfirm: bool
    is_default: bool = Field(description="The topic has no policy of its own.")
    updated_at: datetime | None


class TopicItem(BaseModel):
    """A type of mail."""

    id: UUID
    name: str
    description: str = Field(description="What recipients read below the name.")
    default_subscription: Subscription = Field(description="For those who have not chosen.")
    visibility: Visibility = Field(description="Who sees it among the preferences.")
    created_at: datetime
    stream: Literal["transactional", "marketing"]
    is_default: bool = Field(description="Marketing mail without a topic is of this one.")


class TopicAnswer(TopicItem):
    """A type of mail."""

    object: Literal["topic"] = "topic"


class TopicList(Listed[TopicItem]):
    """Topics, newest first."""


class TopicReference(BaseModel):
    """The topic that was worked on."""

    object: Literal["topic"] = "topic"
    id: UUID


class TopicDeleted(TopicReference):
    """The topic is gone."""

    deleted: Literal[True] = True


class ContactTopic(BaseModel):
    """A topic as it is for one person."""

    id: UUID
    name: str
    description: str = Field(description="What recipients read below the name.")
    subscription: Subscription = Field(description="Whether the person gets it.")
    chosen: bool = Field(description="They said so; else it is the topic's default.")


class ContactTopics(Listed[ContactTopic]):
    """All topics for one person, the default one first."""


class Choice(Lenient):
    """Take or leave one topic."""

    id: UUID = Field(strict=False)
    subscription: Annotated[Subscription, Field(strict=False)]


class Choices(Lenient):
    """The same list under a name."""

    topics: list[Choice] = Field(min_length=1, max_length=MOST)


ChooseTopics = Annotated[list[Choice], Field(min_length=1, max_length=MOST)] | Choices
"""Resend's SDKs send the bare list, its description shows the other."""


class WhoseTopics(BaseModel):
    """Whose topics they are."""

    object: Literal["contact"] = "contact"
    id: str = Field(description="The contact's id, or the address by which they were named.")
