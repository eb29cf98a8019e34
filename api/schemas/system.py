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


class RouteAnswer(BaseModel):
    """How a route answered in the last 24 hours, over all processes."""

    face: str = Field(description="Who serves it: `api` or `public`.")
    method: str = Field(description="GET, POST and so on.")
    path: str = Field(description="As it is documented, with its parameters in braces.")
    class_: str = Field(alias="class", description="Class of its objective.")
    objective_seconds: float = Field(description="Within how many seconds an answer is a good one.")
    answers: int = Field(description="How many there were.")
    failed: int = Field(description="Of these, how many were 500 and above.")
    missed: int = Field(description="How many failed or took longer than the objective.")
    p50: float = Field(description="Seconds within which half of them came.")
    p95: float = Field(description="Seconds within which 95 of 100 came.")
    p99: float = Field(description="Seconds within which 99 of 100 came; at most 10.")
    holds: bool = Field(description="As many were good as its class wants.")


class ObjectiveAnswer(BaseModel):
    """What a class of routes promises, and what is left of its error budget after 30 days."""

    class_: str = Field(alias="class", description="`send`, `read`, `change`, `report` or `page`.")
    sentence: str = Field(description="What such a route does.")
    seconds: float = Field(description="Within how many seconds an answer is a good one.")
    share: float = Field(description="Part of the answers that has to be good.")
    answers: int = Field(description="How many there were in 30 days.")
    missed: int = Field(description="How many failed or took longer.")
    budget_left: float = Field(description="1 is untouched, 0 spent, below 0 overspent.")


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
    routes: list[RouteAnswer] = Field(description="How each answered in the last 24 hours, the busiest first.")
    objectives: list[ObjectiveAnswer] = Field(description="Each class of routes, with its error budget.")
    schema_: SchemaAnswer = Field(alias="schema", description="The tables.")
    flags_as_of: datetime | None = Field(
        description="When the process that answers read its flags last; null for never: they are as declared."
    )
    settings: list[SettingAnswer] = Field(description="Those in force, by name.")
