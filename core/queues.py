"""Names of lanes, Celery queues and tasks: the only place where they are spelled.

A *lane* is one of the two ways mail travels (`transactional`, `marketing`); each has its own Celery queue, worker
processes, IP pools and connections. The third queue, `background`, carries work that is not sending.
"""

from enum import StrEnum


class Lane(StrEnum):
    """The way a message travels. The API calls it `stream`, as the field does."""

    TRANSACTIONAL = "transactional"
    MARKETING = "marketing"


BACKGROUND = "background"

QUEUES: tuple[str, ...] = (Lane.TRANSACTIONAL, Lane.MARKETING, BACKGROUND)
"""Every Celery queue. A test proves that docker-compose.yml has a consumer for each."""

TASK_DELIVER = "postlane.deliver"
"""Hint: there is work for (lane, destinations). Arguments: lane, list of destination domains."""

LEAVING = "leaving"
"""Header of such a task: those of its destinations of whose mail some is known to leave, where they are few."""

TASK_BOUNCE = "postlane.bounce"
"""Hint: mail came back and waits. Argument: the id of the first of it."""
