"""Body and answer of `/addresses/check`, by type and shape. Ours."""

from typing import Annotated

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict
from audience.checks import Problem

MOST = 100


class CheckAddresses(Strict):
    """What may be addresses."""

    addresses: list[Annotated[str, Field(max_length=2000)]] = Field(
        min_length=1, max_length=MOST, description="Texts as people typed them.", examples=[["ann@gmial.com"]]
    )


class ProblemItem(BaseModel):
    """What speaks against an address."""

    code: Problem = Field(description="For programs.")
    message: str = Field(description="For people.")


class CheckedItem(BaseModel):
    """One text, and what was found."""

    given: str = Field(description="The text.")
    email: str | None = Field(description="The address in it; null when there is none.")
    ok: bool = Field(description="Nothing speaks against it.")
    deliverable: bool | None = Field(
        description="Mail can arrive at its domain: a server is named for it. Null when DNS did not answer."
    )
    problems: list[ProblemItem] = Field(description="What speaks against it; the worst first.")
    suggestion: str | None = Field(description="The address that was likely meant.")


class CheckedList(Listed[CheckedItem]):
    """One entry for each text, in their order."""
