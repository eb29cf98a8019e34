"""The answer of `/system`, by type and shape."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field


class ProcessAnswer(BaseModel):
    """A process of Postlane, as it was last heard of."""

    name: str = Field(description="What it is: api, worker-transactional-0, scheduler.")
    host: str = Field(description="Name of the machine it runs on.")
    pid: int = Field(description="Its process id there.")
    version: str = Field(description="Of Postlane, as that process runs it.")
    started_at: datetime = Field(description="When it began.")
    seen_at: datetime = Field(description="Its last sign of life; one comes every 5 seconds.")
    silent: bool = Field(description="Nothing was heard for 20 seconds: killed, hanging, or cut off.")
    trouble: str | None = Field(description="What it says is wrong with it.")


class QueueAnswer(BaseModel):
    """Mail of a stream that is on its way, scheduled or put off."""

    stream: str = Field(description="`transactional` or `marketing`.")
    waiting: int = Field(description="Mails, counted up to 10,000.")
    more: bool = Field(description="There are more than were counted.")
    oldest_due_seconds: float = Field(description="For how long the oldest mail that is due waits; 0 for none.")


class ServerAnswer(BaseModel):
    """A server that Postlane needs."""

    name: str = Field(description="`PostgreSQL` or `Valkey`.")
    version: str | None = Field(description="null when it does not answer.")
    trouble: str | None = Field(description="Why it does not answer; null for none.")


class SchemaAnswer(BaseModel):
    """The tables: what the database is at, and what this version knows."""

    revision: str = Field(description="The last migration that was made.")
    newest: str = Field(description="The last migration that this version knows.")


class SettingAnswer(BaseModel):
    """A setting of the process that answers."""

    name: str = Field(description="The variable of the environment that sets it.")
    value: str = Field(description="As text; secrets and passwords are hidden.")
    given: bool = Field(description="Somebody set it; else it is the default.")


class SystemAnswer(BaseModel):
    """How the installation stands."""

    object: Literal["system"] = "system"
    processes: list[ProcessAnswer] = Field(description="Those that were heard of lately, by name.")
    queues: list[QueueAnswer] = Field(description="One for each stream.")
    servers: list[ServerAnswer] = Field(description="What Postlane stores in and sends its hints through.")
    schema_: SchemaAnswer = Field(alias="schema", description="The tables.")
    flags_as_of: datetime | None = Field(
        description="When the process that answers read its flags last; null for never: they are as declared."
    )
    settings: list[SettingAnswer] = Field(description="Those in force, by name.")
