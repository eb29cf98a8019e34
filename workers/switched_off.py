"""Alarms about webhook endpoints that were switched off, kept in step with the table of endpoints; and a mail to those
who look after the application, once, in the transaction that raises the alarm.

Compared each time instead of raised and cleared where it happens: an endpoint is switched on again by the API or the
command line, changed, or deleted with its application, and each of these must end the alarm.
"""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from accounts import users
from alarms.model import AlarmKind
from alarms.repository import clear_alarms, open_alarms, raise_alarm
from core.logs import get_logger
from messages import own_mail
from messages.own_mail import NoSenderError, OwnMail
from store.database import Connection, Database
from webhooks import endpoints
from webhooks.endpoints import Endpoint

_log = get_logger(__name__)

_KIND = AlarmKind.WEBHOOK_DISABLED
_AUTOMATIC = (("Auto-Submitted", "auto-generated"),)


async def tell_switched_off(database: Database) -> None:
    """Raise what is missing, clear what is over."""
    async with database.transaction() as connection:
        off = {_subject(one): one for one in await endpoints.switched_off(connection)}
        known = {alarm.subject for alarm in await open_alarms(connection) if alarm.kind == _KIND}
        for subject in off.keys() - known:
            if await raise_alarm(connection, _KIND, subject, detail(off[subject])):
                await _tell_developers(connection, off[subject])
        for subject in known - off.keys():
            await clear_alarms(connection, [_KIND], subject)


async def _tell_developers(connection: Connection, endpoint: Endpoint) -> None:
    """Operators hear of it as of every alarm."""
    if endpoint.application_id is None:
        return
    people = [one.email for one in await users.developers_of(connection, endpoint.application_id)]
    sender = await own_mail.own_sender(connection, endpoint.application_id)
    if not people or sender is None:
        return
    host = urlsplit(endpoint.url).hostname
    subject = f"Your webhook to {host} was switched off"
    mail = OwnMail(
        sender, people, subject, letter(endpoint), headers=_AUTOMATIC, application_id=endpoint.application_id
    )
    try:
        await own_mail.write(connection, mail, datetime.now(UTC))
    except NoSenderError as error:  # an alarm is worth more than the mail about it
        _log.warning("developers_not_told", webhook=str(endpoint.id), error=str(error))


def letter(endpoint: Endpoint) -> str:
    """The mail to developers."""
    return (
        f"{endpoint.url}\nwas switched off: {endpoint.disabled_reason}.\n\n"
        "It is told of nothing until it is switched on again, and what happens meanwhile is not recorded\n"
        "for it. Events that failed before can be replayed. When the address answers again:\n\n"
        f"  postlane webhooks update {endpoint.id} --enable --application {endpoint.application_id}\n\n"
        "or enable it in the console, under Webhooks.\n"
    )


def _subject(endpoint: Endpoint) -> str:
    return f"{urlsplit(endpoint.url).hostname} {endpoint.id}"


def detail(endpoint: Endpoint) -> str:
    """What the alarm says, with the command that ends it: it names the owner, whose endpoints alone it finds."""
    owner = "--operators" if endpoint.application_id is None else f"--application {endpoint.application_id}"
    return (
        f"The webhook {endpoint.id} was switched off: {endpoint.disabled_reason}. It is told of nothing until somebody"
        f" runs `postlane webhooks update {endpoint.id} --enable {owner}`."
    )
