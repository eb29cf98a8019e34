"""What an operator does with throttles, checked: find them, end a rest, rest something.

Works inside the caller's transaction. Adds to `pools/throttle_repository` what a person can get wrong: a subject that
is not ours, a time that is over, no reason. It raises `Refused` then.
"""

from datetime import datetime, timedelta
from typing import Final

from core.addresses import AddressError, fold_domain
from core.refusal import conflict, invalid
from mta.providers import OTHER
from pools import throttle_repository
from pools.ip_history import place
from pools.ips import ip_row, plain_reason
from pools.throttle_repository import Key, Kind, ThrottleRow
from store.database import Connection

LONGEST_REST: Final = timedelta(days=365)
"""What should rest for longer is paused, or removed."""


async def found(connection: Connection, kind: Kind | None, ip: str, site: str) -> list[ThrottleRow]:
    """What is not healthy: of this kind, this IP, at this site (`other`: all without a name). Empty: of any."""
    return [
        row
        for row in await throttle_repository.current(connection)
        if (kind is None or row.key.kind == kind)
        and (not ip or (row.key.kind, row.key.subject) == ("ip", ip))
        and (not site or row.key.site == site or (site == OTHER and row.key.site.startswith("mx:")))
    ]


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
