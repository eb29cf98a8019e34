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
from messages.repository import EmailDetail, EventView
from messages.search import MessageRow
from messages.states import State
from outcomes import recipients
from outcomes.obstacles import Obstacle
from outcomes.recipients import Recipient
from pools.pool_rest import pool_rest
from store.database import Connection

_CHOICES: Final[Mapping[str, str]] = {
    LEFT: "they left the topic “{topic}”",
    NOT_ASKED_FOR: "they never asked for the topic “{topic}”",
    PAUSED: "they paused marketing mail",
}


async def whats_next(
    connection: Connection,
    application_id: UUID,
    email: EmailDetail,
    rows: Sequence[MessageRow],
    events: Sequence[EventView],
) -> dict[str, list[str]]:
    """Sentences by message; none for what speaks for itself."""
    found = {}
    for row in rows:
        if row.state == State.SUPPRESSED and not row.captured:
            found[row.message] = [_forbidden(await _person(connection, application_id, row), email)]
        elif row.state == State.DEFERRED and not row.captured:
            found[row.message] = await _rests(
                connection, email, [one for one in events if one.recipient == row.recipient]
            )
    return found


async def _rests(connection: Connection, email: EmailDetail, events: Sequence[EventView]) -> list[str]:
    """Whether IPs of its pool rest where it was tried last."""
    tried = next((one for one in reversed(events) if one.provider), None)
    if tried is None or tried.provider is None:
        return []
    stands = await pool_rest(connection, email.summary.id, [tried.provider, f"mx:{tried.mx}"])
    if stands is None or stands.back_at is None:
        return []
    who = f"all {stands.ips}" if stands.resting == stands.ips else f"{stands.resting} of {stands.ips}"
    return [
        f"{who} IPs of the pool {stands.pool} rest at {tried.provider}, the first is back at"
        f" {stands.back_at:%Y-%m-%d %H:%M:%S} UTC: `postlane throttles list` has the replies behind it,"
        " `postlane throttles override` ends a rest"
    ]


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
