"""The alarms' part of background work: judging, webhooks, mail.

Mail leaves through the operator's smarthost, or, without one, through our own transactional lane, in the transaction
that marks the news as told. When it cannot leave, that is an alarm of its own kind, which no mail tells of; the news
waits, and is tried again ever more slowly. That alarm stands as long as the trouble in `alarm_mail` does, whatever ends
it: news that left, a try without news, another server, or that nobody is told any more. Through our own lane there is
one such mail under way at a time: a lane that stands still is not made longer by news about it.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from alarms import duty, mail_settings, smarthost, telling
from alarms.duty import Certificates
from alarms.mail_settings import AlarmMail, Smarthost
from alarms.model import AlarmKind, Change
from alarms.repository import clear_alarms, raise_alarm, wake_snoozed
from alarms.telling import Letter, News
from core.errors import ConfigurationError
from core.logs import get_logger
from core.secrets import InstanceSecret
from core.settings import Settings
from messages import own_mail
from messages.own_mail import NoSenderError, OwnMail
from messages.states import TERMINAL
from mta.from_settings import own_servers
from store.database import Connection, Database
from web.faces.alarms import news_face
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_log = get_logger(__name__)

_AUTOMATIC = (("Auto-Submitted", "auto-generated"),)
MAILBOX = "alarm mail"
"""Subject of the alarm about this mail."""


async def judge(database: Database, certificates: Certificates) -> None:
    """Judge every rule, wake what was snoozed."""
    await duty.judge_all(database, certificates)
    async with database.transaction() as connection:
        await wake_snoozed(connection)


async def announce(database: Database) -> None:
    """Tell webhooks what changed."""
    async with database.transaction() as connection:
        news = [one for one in await telling.to_announce(connection) if one.change in _EVENTS]
        await outbox.append(connection, [_event(one) for one in news])


def _event(news: News) -> OutboxEvent:
    return OutboxEvent(_EVENTS[news.change], None, news.at, news_face(news), str(news.alarm_id))


_EVENTS: Final[Mapping[str, EventType]] = {
    Change.RAISED.value: EventType.ALARM_RAISED,
    Change.WORSE.value: EventType.ALARM_RAISED,
    Change.CLEARED.value: EventType.ALARM_CLEARED,
}


async def mail(database: Database, settings: Settings, secret: InstanceSecret) -> None:
    """Tell what is new by mail, if anybody is told and it is time."""
    async with database.transaction() as connection:
        how = await mail_settings.alarm_mail(connection)
        if how is None or not how.trouble:
            await clear_alarms(connection, [AlarmKind.ALARM_MAIL], MAILBOX)
        if how is None:
            await telling.nobody_told(connection)
            return
        now = await _now(connection)
        if (how.next_try_at is not None and how.next_try_at > now) or await _under_way(connection, how):
            return
        news = await telling.take(connection, now, how.last_at)
        if news and not how.host:
            await _through_own_lane(connection, how, news, settings.hostname, now)
            return
    if news:
        await _through_smarthost(database, how, news, settings, secret)
    elif how.trouble:
        await _try(database, how, settings, secret)


async def _try(database: Database, how: AlarmMail, settings: Settings, secret: InstanceSecret) -> None:
    """There is nothing to tell that would show whether the trouble is over."""
    trouble = ""
    try:
        async with database.connection() as connection:
            server = await mail_settings.smarthost(connection, secret)
            if server is None:
                await own_mail.check_sender(connection, how.sender)
        if server is not None:
            await smarthost.check(server, how.sender, how.recipients, own_servers(settings))
    except (smarthost.NotSentError, ConfigurationError, NoSenderError) as error:
        trouble = str(error)
    async with database.transaction() as connection:
        await (_failed(connection, [], trouble) if trouble else mail_settings.works(connection))


async def send_test(database: Database, settings: Settings, secret: InstanceSecret) -> AlarmMail | None:
    """A mail that says it is a test, now. Raises what keeps it from being sent; None when nobody is told by mail."""
    test = Letter(f"[{settings.hostname}] test of alarm mail", "This is a test: news of alarms will look like this.\n")
    async with database.transaction() as connection:
        how = await mail_settings.alarm_mail(connection)
        if how is None:
            return None
        server = await mail_settings.smarthost(connection, secret)
        now = await _now(connection)
        if server is None:
            await own_mail.write(connection, _own(how, test), now)
    if server is not None:
        await _send(server, how, test, now, settings)
    async with database.connection() as connection:
        await mail_settings.works(connection)
    return how


async def _through_own_lane(
    connection: Connection, how: AlarmMail, news: list[News], hostname: str, now: datetime
) -> None:
    try:
        email = await own_mail.write(connection, _own(how, telling.letter(news, hostname)), now)
    except NoSenderError as error:
        await _failed(connection, news, str(error))
        return
    await _sent(connection, news)
    await mail_settings.sent(connection, email.id)


def _own(how: AlarmMail, letter: Letter) -> OwnMail:
    return OwnMail(how.sender, how.recipients, letter.subject, letter.text, headers=_AUTOMATIC)


async def _through_smarthost(
    database: Database, how: AlarmMail, news: list[News], settings: Settings, secret: InstanceSecret
) -> None:
    """No transaction is open while the server is spoken to: the news is taken, and taken again when we die now."""
    trouble = ""
    try:
        async with database.connection() as connection:
            server, now = await mail_settings.smarthost(connection, secret), await _now(connection)
        letter = telling.letter(news, settings.hostname)
        assert server is not None
        await _send(server, how, letter, now, settings)
    except (smarthost.NotSentError, ConfigurationError) as error:
        trouble = str(error)
    async with database.transaction() as connection:
        if trouble:
            await _failed(connection, news, trouble)
            return
        await _sent(connection, news)
        await mail_settings.sent(connection)


async def _send(server: Smarthost, how: AlarmMail, letter: Letter, now: datetime, settings: Settings) -> None:
    mail = smarthost.message(letter, how.sender, how.recipients, now, settings.hostname)
    await smarthost.send(server, mail, own_servers(settings))


async def _sent(connection: Connection, news: list[News]) -> None:
    await telling.told(connection, news)
    _log.info("alarms_told", changes=len(news))


async def _failed(connection: Connection, news: list[News], trouble: str) -> None:
    await telling.given_back(connection, news)
    await mail_settings.failed(connection, trouble)
    await raise_alarm(connection, AlarmKind.ALARM_MAIL, MAILBOX, trouble)
    _log.warning("alarms_not_told", changes=len(news), error=trouble)


async def _under_way(connection: Connection, how: AlarmMail) -> bool:
    """Whether the last mail through our own lane has not ended yet."""
    if how.last_email_id is None:
        return False
    cursor = await connection.execute(
        "SELECT EXISTS (SELECT FROM messages WHERE email_id = %s AND NOT state = ANY(%s))",
        [how.last_email_id, [state.value for state in TERMINAL]],
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def _now(connection: Connection) -> datetime:
    row = await (await connection.execute("SELECT now()")).fetchone()
    assert row is not None
    now: datetime = row[0]
    return now
