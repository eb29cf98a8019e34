"""Bodies and answers of `/api-keys`, by type and shape. What they do is in the routes.

Unknown fields are passed over, but for misspelt ones: a wrong `domain_id` would make a key that may do more than was
meant.
"""

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field

from api.schemas.shapes import Careful, Listed
from web.absent import Needed


def _printable(text: str) -> str:
    if not text.isprintable() or not text.strip():
        raise ValueError("it must hold printable characters only, and at least one")
    return text.strip()


ShownName = Annotated[str, Field(min_length=1, max_length=100), AfterValidator(_printable), Needed]
"""A name for people. Printable: PostgreSQL stores no NUL, UTF-8 knows no lone surrogate."""


class CreateKey(Careful):
    """An API key to make."""

    name: ShownName = Field(examples=["shop"])
    permission: Literal["full_access", "sending_access"] = Field(
        "full_access", description="`sending_access` may only send."
    )
    domain_id: Annotated[UUID, Field(strict=False)] | None = Field(
        None, description="With `sending_access`: the only domain it may send from."
    )
    test: bool = Field(
        False, description="Nothing that it sends leaves: mail is captured in the sandbox. Its token begins `pl_test_`."
    )


class RenameKey(Careful):
    """A new name for an API key."""

    name: ShownName


class KeyCreated(BaseModel):
    """A new key. The token is shown this once."""

    id: UUID
    token: str = Field(examples=["pl_…"])
    test: bool


class KeyAnswer(BaseModel):
    """An API key, without the token."""

    id: UUID
    name: str
    created_at: datetime
    last_used_at: datetime | None = Field(description="To the minute; null when it was never used.")
    permission: Literal["full_access", "sending_access"]
    domain_id: UUID | None
    hint: str = Field(description="The first characters of the token.")
    test: bool = Field(description="What it sends is captured, and never leaves.")


class KeyReference(BaseModel):
    """The key that was worked on."""

    object: Literal["api_key"] = "api_key"
    id: UUID


class KeyDeleted(KeyReference):
    """The key is gone."""

    deleted: Literal[True] = True


class KeyList(Listed[KeyAnswer]):
    """API keys, newest first."""
