"""One message with all that its page shows, read for somebody who may see it."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from accounts import repository as accounts
from audience.choices import Person
from console.messages.story import Story, story
from console.visit import Visit
from core.addresses import fold_address
from core.refusal import Refused, not_found
from messages import again, repository, search
from messages.repository import EmailDetail
from messages.search import MessageRow
from messages.source import owner
from outcomes import recipients
from outcomes.obstacles import Obstacle
from store.database import Connection


@dataclass(frozen=True, slots=True)
class Found:
    """One message."""

    email: EmailDetail
    rows: Sequence[MessageRow]
    """Every message of the email."""
    position: int
    application_id: UUID
    application: str
    obstacle: Obstacle | None
    """Why the address gets no such mail now, if so."""
    story: Story
    against: Refused | None
    """Why it cannot be sent again, if so."""

    @property
    def row(self) -> MessageRow:
        """The one that is meant."""
        return self.rows[self.position]

    @property
    def path(self) -> str:
        """Of its page."""
        return f"/messages/{self.row.message}"


async def email_of(connection: Connection, visit: Visit, email_id: UUID) -> tuple[UUID, EmailDetail]:
    """An email with its application. Raises Refused, also when this person may not see it."""
    application_id = await owner(connection, email_id)
    if application_id is None:
        raise not_found(
            "there is no such message", "Messages are kept for a while only; `POSTLANE_EVENT_DAYS` says it."
        )
    visit.sees(application_id)
    email = await repository.find_email(connection, application_id, email_id)
    if email is None:
        raise not_found("there is no such message")
    return application_id, email


async def is_seen(connection: Connection, visit: Visit, email_id: UUID) -> bool:
    """Whether it is the id of an email that this person may see."""
    application_id = await owner(connection, email_id)
    return application_id is not None and (not visit.applications or application_id in visit.applications)


async def message(connection: Connection, visit: Visit, email_id: UUID, position: int) -> Found:
    """A message. Raises Refused."""
    application_id, email = await email_of(connection, visit, email_id)
    rows = await search.of_email(connection, email_id)
    places = [int(row.message.partition("/")[2]) for row in rows]
    if position not in places:
        raise not_found("this email has no such recipient")
    row = rows[places.index(position)]
    events, _ = await repository.read_events(connection, email_id)
    obstacle = await _obstacle(connection, application_id, email, row)
    application = await accounts.application_by_id(connection, application_id)
    return Found(
        email,
        rows,
        places.index(position),
        application_id,
        application.name if application else "deleted",
        obstacle,
        story(row, email, events, obstacle),
        again.against(email, places.index(position)),
    )


async def _obstacle(
    connection: Connection, application_id: UUID, email: EmailDetail, row: MessageRow
) -> Obstacle | None:
    """What is in the way of the email's topic or, where that is gone, of its stream."""
    person = await recipients.of_application(connection, Person(application_id, fold_address(row.recipient)))
    for state in person.topics:
        if state.preference.topic.id == email.topic_id:
            return state.obstacle
    return next(one.obstacle for one in person.streams if one.lane == row.lane)
