"""Bodies and answers of `/throttles`, by type and shape. What they do is in the routes. Unknown fields are refused."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Moment, Strict, Text

_Kind = Literal["ip", "domain"]


class Override(Strict):
    """End a rest before its time."""

    kind: _Kind = "ip"
    subject: Text = Field(description="Address of an IP, or a sending domain.")
    site: Text = Field(description="A provider, `mx:<server>`, or `*`, as `GET /throttles` shows it.")
    reason: Annotated[str, Field(max_length=500)]


class RestNow(Override):
    """Rest something by hand."""

    until: Moment = Field(description="ISO 8601 with a zone, in the future.")


class ThrottleAnswer(BaseModel):
    """An IP or sending domain that is not healthy somewhere."""

    object: Literal["throttle"] = "throttle"
    id: str
    kind: Literal["ip", "domain"]
    subject: str
    site: str = Field(description="A provider, `mx:<server>` of one that is in no file, or `*` for everywhere.")
    state: Literal["throttled", "probing", "recovering"]
    since: datetime
    rest_until: datetime | None
    rate: float = Field(description="Messages a second, once it sends.")
    strikes: int
    rule: str
    reply: str


class ThrottleList(Listed[ThrottleAnswer]):
    """What is not healthy now, by kind, subject and site."""
