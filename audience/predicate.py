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

    Shaped for the claim: one descent into the index for the few rows a person has in an application, in an aggregate
    that gives one row even where there are none; the topics that want to be asked for are read once a statement. Mail
    of the other lane asks nothing.
    """
    return f"""CASE WHEN {row}.lane = 'marketing' THEN (
    SELECT CASE WHEN max(ch.paused_until) > now() THEN '{PAUSED}'
                ELSE CASE max(ch.subscription) FILTER (WHERE ch.topic_id = {row}.topic_id)
                     WHEN 'opt_out' THEN '{LEFT}' WHEN 'opt_in' THEN NULL
                     ELSE CASE WHEN {row}.topic_id IN (SELECT id FROM topics WHERE default_subscription = 'opt_out')
                               THEN '{NOT_ASKED_FOR}' END END END
      FROM choices ch WHERE ch.address = {row}.address AND ch.application_id = {row}.application_id) END"""
