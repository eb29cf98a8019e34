"""Bodies and answers of `/providers`, by type and shape. What they do is in the routes. Unknown fields are refused."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict, Text
from mta.model import Action, Phase, Scope
from mta.providers import Tls


class LimitsAnswer(BaseModel):
    """What one of our IPs may use there. 0 is no limit."""

    connections: int
    messages_per_connection: int
    messages_per_second: float
    messages_per_hour: int
    provider_wide: bool = Field(description="`connections` counts all servers of the provider together.")
    tls: Tls


class ProviderAnswer(BaseModel):
    """A mailbox provider."""

    object: Literal["provider"] = "provider"
    id: str
    name: str
    mx_suffixes: list[str]
    limits: LimitsAnswer


class ProviderList(Listed[ProviderAnswer]):
    """All providers by name; `other`, the last, is everybody else, each server by itself."""


class ExplainReply(Strict):
    """A reply of a mail server."""

    reply: Annotated[str, Field(min_length=1, max_length=2000)] = Field(
        examples=["421 4.7.28 unusual rate of unsolicited mail originating from your IP address"]
    )
    provider: Text = Field("other", examples=["gmail"])
    phase: Annotated[Phase, Field(strict=False)] = Field(Phase.RCPT, description="Where in the conversation it came.")


class Explained(BaseModel):
    """The verdict on it."""

    object: Literal["verdict"] = "verdict"
    provider: str
    code: int
    enhanced: str
    text: str
    rule: str
    action: Action
    class_: str = Field(alias="class")
    scope: Scope
    suppress: bool
    wait_seconds: float | None = Field(description="What the reply or its rule asks for.")
