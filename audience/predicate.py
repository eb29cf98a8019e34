"""Which choice of a recipient forbids a message: the only answer, as SQL for the statements that ask.

Choices rule marketing mail and no other. A message may not leave while its recipient has paused all of it, when they
left its topic, or when its topic wants to be asked for and nobody did. A message without a topic, as a version before
wrote them, is ruled by the pause alone.
"""

from typing import Final
from uuid import UUID

ALL: Final = UUID(int=0)
"""In `choices.topic_id`: all marketing mail of the application."""

LEFT: Final = "topic_opt_out"
NOT_ASKED_FOR: Final = "topic_not_opted_in"
PAUSED: Final = "paused"


def refusing(row: str) -> str:
    """An expression: `LEFT`, `NOT_ASKED_FOR` or `PAUSED`, or NULL when no choice forbids the message in `row`, the name
    of a row with the columns `address` (folded), `lane`, `application_id` and `topic_id`.

    The aggregate makes it one row whether there are choices or none; mail of the other lane asks nothing.
    """
    return f"""CASE WHEN {row}.lane = 'marketing' THEN (
    SELECT CASE WHEN max(ch.paused_until) > now() THEN '{PAUSED}' WHEN max(ch.subscription) = 'opt_out' THEN '{LEFT}'
                WHEN max(ch.subscription) IS NULL AND (SELECT t.default_subscription FROM topics t
                                                        WHERE t.id = {row}.topic_id) = 'opt_out' THEN '{NOT_ASKED_FOR}'
           END
      FROM choices ch WHERE ch.address = {row}.address AND ch.application_id = {row}.application_id
       AND ch.topic_id IN ({row}.topic_id, '{ALL}')) END"""
