"""Bodies and answers of `/seeds`, by type and shape."""

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.shapes import Listed, Strict, Text


class SeedAnswer(BaseModel):
    """A mailbox of ours at a provider, to see where our mail lands."""

    object: Literal["seed"] = "seed"
    id: UUID
    address: str = Field(description="Address that probes are sent to.")
    provider: str
    host: str = Field(description="IMAP server of the mailbox.")
    port: int = Field(description="Its port.")
    tls: str
    login: str
    sender: str = Field(description="Who probes are from.")
    stream: str
    every_minutes: int = Field(description="A probe is sent so often.")
    active: bool = Field(description="Whether it is probed.")
    created_at: datetime
    trouble: str | None = Field(description="Why its mailbox cannot be read; null when it can.")
    probed_at: datetime | None = Field(description="When the newest probe with a result was sent; null without one.")
    placement: str | None = Field(description="Where that one landed: inbox, spam, other or missing.")
    folder: str | None = Field(description="The folder it lies in.")


class SeedList(Listed[SeedAnswer]):
    """Seed accounts, by provider."""


class ProbeAnswer(BaseModel):
    """One mail to a seed account."""

    sent_at: datetime = Field(description="When it was accepted.")
    placement: str | None = Field(description="Where it landed; null while it is looked for.")
    folder: str | None = Field(description="The folder it lies in.")
    found_at: datetime | None = Field(description="When it was found; null when it was not.")
    email_id: UUID = Field(description="The email, whose timeline says the rest.")


class SeedDetail(SeedAnswer):
    """A seed account with its last probes."""

    placements: dict[str, int] = Field(description="How many of these probes landed where.")
    probes: list[ProbeAnswer] = Field(description="The last ones, newest first.")


class CreateSeed(Strict):
    """A mailbox to send probes to."""

    address: Text = Field(description="Its address.")
    provider: Text = Field(description="Mailbox provider it is at.")
    host: Text = Field(description="Its IMAP server.")
    port: int | None = Field(None, ge=1, le=65535, description="993 with tls, else 143.")
    tls: Literal["tls", "starttls", "none"] | None = Field(None, description="tls, unless something else is said.")
    login: Text | None = Field(None, description="The name it lets us in by: the address, unless something is said.")
    password: str = Field(max_length=1000, description="Kept sealed, never shown.")
    sender: Text = Field(description="Who probes are from: an address of a verified domain.")
    stream: Literal["transactional", "marketing"] = Field("marketing", description="How they travel.")
    every_minutes: int = Field(360, ge=5, le=10_080, description="A probe is sent so often.")


class SeedDeleted(BaseModel):
    """The account is forgotten, with its probes."""

    object: Literal["seed"] = "seed"
    id: UUID
    deleted: Literal[True] = True
