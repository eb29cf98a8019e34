"""Alarms about webhook endpoints that were switched off, kept in step with the table of endpoints.

Compared each time instead of raised and cleared where it happens: an endpoint is switched on again by the API or the
command line, changed, or deleted with its application, and each of these must end the alarm.
"""

from urllib.parse import urlsplit

from alarms.model import AlarmKind
from alarms.repository import clear_alarms, open_alarms, raise_alarm
from store.database import Database
from webhooks import endpoints
from webhooks.endpoints import Endpoint

_KIND = AlarmKind.WEBHOOK_DISABLED


async def tell_switched_off(database: Database) -> None:
    """Raise what is missing, clear what is over."""
    async with database.transaction() as connection:
        off = {_subject(one): one for one in await endpoints.switched_off(connection)}
        known = {alarm.subject for alarm in await open_alarms(connection) if alarm.kind == _KIND}
        for subject in off.keys() - known:
            await raise_alarm(connection, _KIND, subject, detail(off[subject]))
        for subject in known - off.keys():
            await clear_alarms(connection, [_KIND], subject)


def _subject(endpoint: Endpoint) -> str:
    return f"{urlsplit(endpoint.url).hostname} {endpoint.id}"


def detail(endpoint: Endpoint) -> str:
    """What the alarm says, with the command that ends it: it names the owner, whose endpoints alone it finds."""
    owner = "--operators" if endpoint.application_id is None else f"--application {endpoint.application_id}"
    return (
        f"The webhook {endpoint.id} was switched off: {endpoint.disabled_reason}. It is told of nothing until somebody"
        f" runs `postlane webhooks update {endpoint.id} --enable {owner}`."
    )
