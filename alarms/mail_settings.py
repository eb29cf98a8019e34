"""Who is told of alarms by mail, and through which server: the one row of `alarm_mail`, its password sealed.

Without a server the mail leaves through our own transactional lane, from an address of a verified domain. Works on the
caller's connection and never commits.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from core.addresses import AddressError, parse_mailbox
from core.refusal import Refused, invalid
from core.secrets import InstanceSecret
from store.database import Connection

TLS: Final = ("starttls", "tls", "none")
PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}
_CONTEXT: Final = "alarm mail"


@dataclass(frozen=True, slots=True)
class Smarthost:
    """Somebody's mail server, which lets us in."""

    host: str
    port: int
    tls: str
    login: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class AlarmMail:
    """How alarms are told by mail."""

    recipients: tuple[str, ...]
    sender: str
    host: str
    """"" for our own transactional lane."""
    port: int
    tls: str
    login: str
    has_password: bool
    last_at: datetime | None = None
    last_email_id: UUID | None = None
    """The last mail through our own lane."""
    trouble: str = ""
    """Why the last one could not be sent; "" when it was."""
    next_try_at: datetime | None = None
    tries: int = 0


async def alarm_mail(connection: Connection) -> AlarmMail | None:
    """How alarms are told by mail; None when they are not."""
    cursor = await connection.execute(
        "SELECT recipients, sender, host, port, tls, login, sealed_password IS NOT NULL, last_at, last_email_id,"
        " trouble, next_try_at, tries FROM alarm_mail"
    )
    row = await cursor.fetchone()
    return AlarmMail(tuple(row[0]), *row[1:]) if row else None


async def set_alarm_mail(
    connection: Connection, recipients: Sequence[str], sender: str, server: Smarthost | None, secret: InstanceSecret
) -> AlarmMail:
    """Tell these people from now on. Raises Refused naming what cannot be."""
    _check(recipients, sender, server)
    through = server or Smarthost("", 587, "starttls")
    sealed = secret.seal(through.password.encode(), _CONTEXT) if through.password else None
    await connection.execute(
        "INSERT INTO alarm_mail (here, recipients, sender, host, port, tls, login, sealed_password)"
        " VALUES (true, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (here) DO UPDATE SET recipients = excluded.recipients,"
        " sender = excluded.sender, host = excluded.host, port = excluded.port, tls = excluded.tls,"
        " login = excluded.login, sealed_password = excluded.sealed_password, trouble = '', next_try_at = NULL,"
        " tries = 0, last_email_id = NULL",
        [list(recipients), sender, through.host, through.port, through.tls, through.login, sealed],
    )
    found = await alarm_mail(connection)
    assert found is not None
    return found


def _check(recipients: Sequence[str], sender: str, server: Smarthost | None) -> None:
    if not 1 <= len(recipients) <= 20:
        raise invalid("recipients", "it must name 1 to 20 addresses")
    for field, address in (*(("recipients", one) for one in recipients), ("sender", sender)):
        try:
            parse_mailbox(address)
        except AddressError as error:
            raise invalid(field, f"{address[:100]}: {error.reason}") from None
    if server is not None:
        _check_server(server)


def _check_server(server: Smarthost) -> None:
    if server.tls not in TLS:
        raise invalid("tls", f"it must be one of {', '.join(TLS)}")
    if not (server.host.isprintable() and " " not in server.host and 1 <= len(server.host) <= 255):
        raise invalid("host", "it must be a host name or an address")
    if not 1 <= server.port <= 65535:
        raise invalid("port", "it must be from 1 to 65535")
    if server.password and server.tls == "none":
        raise invalid("tls", "a password does not go over an open connection")


async def forget_alarm_mail(connection: Connection) -> None:
    """Tell nobody by mail. Raises Refused."""
    if (await connection.execute("DELETE FROM alarm_mail")).rowcount == 0:
        raise Refused("not_found", "nobody is told by mail", hint="`postlane alarms mail set` changes that.")


async def smarthost(connection: Connection, secret: InstanceSecret) -> Smarthost | None:
    """The server with its password; None for our own lane. Raises ConfigurationError for another secret."""
    cursor = await connection.execute("SELECT host, port, tls, login, sealed_password FROM alarm_mail WHERE host <> ''")
    row = await cursor.fetchone()
    if row is None:
        return None
    host, port, tls, login, sealed = row
    return Smarthost(host, port, tls, login, secret.open(bytes(sealed), _CONTEXT).decode() if sealed else "")


async def sent(connection: Connection, email_id: UUID | None = None) -> None:
    """A mail about alarms left."""
    await connection.execute(
        "UPDATE alarm_mail SET last_at = now(), last_email_id = %s, trouble = '', next_try_at = NULL, tries = 0",
        [email_id],
    )


async def works(connection: Connection) -> None:
    """It would leave, as a try has shown: what waits may go."""
    await connection.execute("UPDATE alarm_mail SET trouble = '', next_try_at = NULL, tries = 0 WHERE trouble <> ''")


async def failed(connection: Connection, trouble: str) -> None:
    """It did not: the next try is 1, 2, 4 … minutes later, an hour at most."""
    await connection.execute(
        "UPDATE alarm_mail SET trouble = %s, tries = least(tries + 1, 20),"
        " next_try_at = now() + make_interval(mins => least(60, (2 ^ least(tries, 6))::int))",
        [trouble.replace("\x00", "")[:500]],
    )
