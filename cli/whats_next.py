"""What stands in a message's way now, and the command that shows or changes it: the end of its story.

The events of a message say what happened. Whoever reads them at three in the morning asks for one thing more, which is
looked up here in what holds at this moment.
"""

from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from audience.choices import Person
from audience.predicate import LEFT, NOT_ASKED_FOR, PAUSED
from core.addresses import fold_address
from messages.repository import EmailDetail
from messages.search import MessageRow
from messages.states import State
from outcomes import recipients
from outcomes.obstacles import Obstacle
from outcomes.recipients import Recipient
from store.database import Connection

_CHOICES: Final[Mapping[str, str]] = {
    LEFT: "they left the topic “{topic}”",
    NOT_ASKED_FOR: "they never asked for the topic “{topic}”",
    PAUSED: "they paused marketing mail",
}


async def whats_next(
    connection: Connection, application_id: UUID, email: EmailDetail, rows: Sequence[MessageRow]
) -> dict[str, list[str]]:
    """Sentences by message; none for what speaks for itself."""
    return {
        row.message: [_forbidden(await _person(connection, application_id, row), email)]
        for row in rows
        if row.state == State.SUPPRESSED and not row.captured
    }


async def _person(connection: Connection, application_id: UUID, row: MessageRow) -> Recipient:
    return await recipients.of_application(connection, Person(application_id, fold_address(row.recipient)))


def _forbidden(person: Recipient, email: EmailDetail) -> str:
    """Why nothing like this mail may leave for them, since when, and where it is changed."""
    obstacle, topic = _obstacle(person, email)
    if obstacle is None:
        return f"nothing forbids such mail now: `postlane recipients show {person.address}`"
    said = _CHOICES.get(obstacle.reason, "the suppression list forbids it ({reason})")
    lasts = "".join(
        f", {word} {moment:%Y-%m-%d %H:%M:%S}"
        for word, moment in (("since", obstacle.since), ("until", obstacle.until))
        if moment is not None
    )
    where = "topics choices" if obstacle.reason in _CHOICES else "suppressions get"
    told = said.format(topic=topic, reason=obstacle.reason)
    return f"{told}{lasts}: `postlane {where} {person.address}` has it, `postlane recipients show` the whole picture"


def _obstacle(person: Recipient, email: EmailDetail) -> tuple[Obstacle | None, str]:
    """What is in the way of the email's topic or, where that is gone, of its stream; and the name of the topic."""
    for state in person.topics:
        if state.preference.topic.id == email.topic_id:
            return state.obstacle, state.preference.topic.name
    stream = next(one for one in person.streams if one.lane == email.summary.lane)
    return stream.obstacle, stream.topic
