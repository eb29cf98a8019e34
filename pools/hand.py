"""What an operator does to throttles and alarms by hand, checked: end a rest, rest something, close an alarm.

Called by `api/routes` and the command line inside their transactions. Adds to `pools/throttle_repository` and
`pools/alarms` what a person can get wrong: a subject that is not ours, a time that is over, no reason. It raises
`Refused` then.
"""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from core.addresses import AddressError, fold_domain
from pools import alarms, throttle_repository
from pools.addresses import ip_row, plain_reason
from pools.alarms import Alarm, AlarmKind
from pools.refusal import Refused, conflict, invalid
from pools.story import place
from pools.throttle_repository import Key, Kind, ThrottleRow
from store.database import Connection

LONGEST_REST: Final = timedelta(days=365)
"""What should rest for longer is paused, or removed."""


async def override(connection: Connection, kind: Kind, subject: str, site: str, reason: str, by: str) -> ThrottleRow:
    """End a rest: it probes from now on. Raises Refused when nothing rests there."""
    why = plain_reason(reason)
    subject = _subject(kind, subject)
    condition = await throttle_repository.override(connection, kind, subject, site, why, by)
    if condition is None:
        raise conflict(f"{subject} does not rest {place(site)}", "`postlane throttles list` shows what rests.")
    return ThrottleRow(Key(kind, subject, site), condition)


async def rest(connection: Connection, key: Key, until: datetime, reason: str, by: str, now: datetime) -> ThrottleRow:
    """Rest an IP or sending domain at a site until a time. Raises Refused."""
    why = plain_reason(reason)
    kind, site = key.kind, key.site
    subject = _subject(kind, key.subject)
    if until.tzinfo is None:
        raise invalid("until", "it needs a time zone, such as a `Z` at its end")
    if not now < until <= now + LONGEST_REST:
        raise invalid("until", "it must lie in the future, a year at most")
    if kind == "ip":
        subject = (await ip_row(connection, subject)).address
    condition = await throttle_repository.rest_now(connection, kind, subject, site, until=until, reason=why, by=by)
    return ThrottleRow(Key(kind, subject, site), condition)


async def clear_alarm(connection: Connection, alarm_id: UUID) -> Alarm:
    """Close an open alarm. Raises Refused."""
    for alarm in await alarms.open_alarms(connection):
        if alarm.id == alarm_id:
            await alarms.clear(connection, (AlarmKind(alarm.kind),), alarm.subject)
            return alarm
    raise Refused("not_found", f"there is no open alarm {alarm_id}", hint="`postlane alarms list` shows the open ones.")


def _subject(kind: Kind, text: str) -> str:
    """The subject in the form it is stored in. Raises Refused."""
    text = text.strip()
    if kind == "domain":
        try:
            return fold_domain(text)
        except AddressError as error:
            raise invalid("subject", error.reason) from None
    if not text or not text.isascii() or not text.isprintable() or " " in text:
        raise invalid("subject", f"{text[:60]!r} is no address of an IP")
    return text
