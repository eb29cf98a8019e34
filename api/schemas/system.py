"""The answer of `/system`, by type and shape."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class ProcessAnswer(BaseModel):
    """A process of Postlane, as it was last heard of."""

    name: str = Field(description="What it is: api, worker-transactional-0, scheduler.")
    host: str
    pid: int
    version: str
    started_at: datetime
    seen_at: datetime = Field(description="Its last sign of life; one comes every 5 seconds.")
    silent: bool = Field(description="Nothing was heard for 20 seconds: killed, hanging, or cut off.")
    trouble: str | None = Field(description="What it says is wrong with it.")


class QueueAnswer(BaseModel):
    """Mail of a stream that is on its way, scheduled or put off."""

    stream: str
    waiting: int = Field(description="Mails, counted up to 10,000.")
    more: bool = Field(description="There are more than were counted.")
    oldest_due_seconds: float = Field(description="For how long the oldest mail that is due waits; 0 for none.")


class ServerAnswer(BaseModel):
    """A server that Postlane needs."""

    name: str
    version: str | None = Field(description="null when it does not answer.")
    trouble: str | None


class SchemaAnswer(BaseModel):
    """The tables: what the database is at, and what this version knows."""

    revision: str
    newest: str


class SettingAnswer(BaseModel):
    """A setting of the process that answers."""

    name: str
    value: str = Field(description="As text; secrets and passwords are hidden.")
    given: bool = Field(description="Somebody set it; else it is the default.")


class SystemAnswer(BaseModel):
    """How the installation stands."""

    object: Literal["system"] = "system"
    processes: list[ProcessAnswer]
    queues: list[QueueAnswer]
    servers: list[ServerAnswer]
    schema_: SchemaAnswer = Field(alias="schema")
    settings: list[SettingAnswer]
