"""What a worker needs to know of a sender domain: its DKIM keys, unsealed, and its return path domain.

Keys are loaded once and kept for a minute; parsing an RSA key costs more than signing with it.
"""

from dataclasses import dataclass
from uuid import UUID

from core.remembered import Remembered
from core.secrets import InstanceSecret
from mta.sign import DkimKey, load_key
from store.database import Connection, Database

_KEEP_SECONDS = 60.0
_USABLE = ("verified", "temporary_failure")
"""How the record of a tracking host may stand: a name server that was silent once is no reason to do without."""


@dataclass(frozen=True, slots=True)
class Sender:
    """A sender domain, ready to sign."""

    name: str
    return_path_domain: str
    keys: tuple[DkimKey, ...]
    opens: bool = False
    """Opens are tracked unless an email says otherwise. So too clicks."""
    clicks: bool = False
    tracking_host: str = ""
    """Where tracked links lead first, "" for our public pages: without its record a host of its own leads nowhere."""


class SenderBook:
    """Sender domains by id. One per process."""

    def __init__(self, database: Database, secret: InstanceSecret) -> None:
        self._database = database
        self._secret = secret
        self._known = Remembered(self._load, _KEEP_SECONDS)

    async def sender(self, domain_id: UUID) -> Sender | None:
        """The domain, or None when it was deleted."""
        return await self._known.get(domain_id)

    async def _load(self, domain_id: UUID) -> Sender | None:
        async with self._database.connection() as connection:
            return await load_sender(connection, self._secret, domain_id)


async def load_sender(connection: Connection, secret: InstanceSecret, domain_id: UUID) -> Sender | None:
    """The domain with its keys, None when there is none. ConfigurationError when the secret does not open a key."""
    cursor = await connection.execute(
        "SELECT d.name, d.return_path_domain, k.selector, k.sealed_private_key, d.open_tracking, d.click_tracking,"
        # A host of a domain that is not proven to be this application's is not for its links: others may own it.
        " CASE WHEN d.record_status->'tracking'->>'status' = ANY(%s) AND d.status IN ('verified', 'temporary_failure')"
        " THEN d.tracking_subdomain || '.' || d.name END"
        " FROM domains d"
        " LEFT JOIN dkim_keys k ON k.domain_id = d.id AND k.state = 'active'"
        " WHERE d.id = %s ORDER BY k.algorithm DESC",
        [list(_USABLE), domain_id],
    )
    rows = await cursor.fetchall()
    if not rows:
        return None
    name, return_path = rows[0][0], rows[0][1]
    keys = tuple(
        load_key(name, selector, secret.open(bytes(sealed), key_context(domain_id, selector)))
        for _, _, selector, sealed, *_ in rows
        if selector
    )
    opens, clicks, host = rows[0][4:]
    return Sender(name, return_path, keys, opens, clicks, host or "")


async def coming_keys(
    connection: Connection, secret: InstanceSecret, domain_id: UUID, name: str
) -> tuple[DkimKey, ...]:
    """Those that shall follow (`accounts/rotation`). ConfigurationError when the secret does not open one."""
    cursor = await connection.execute(
        "SELECT selector, sealed_private_key FROM dkim_keys WHERE domain_id = %s AND state = 'coming'", [domain_id]
    )
    return tuple(
        load_key(name, selector, secret.open(bytes(sealed), key_context(domain_id, selector)))
        for selector, sealed in await cursor.fetchall()
    )


async def verified_senders(connection: Connection, secret: InstanceSecret, most: int = 20) -> list[Sender]:
    """The newest sender domains that are verified. ConfigurationError when the secret does not open a key."""
    cursor = await connection.execute(
        "SELECT id FROM domains WHERE status = 'verified' ORDER BY id DESC LIMIT %s", [most]
    )
    found = [await load_sender(connection, secret, domain_id) for (domain_id,) in await cursor.fetchall()]
    return [sender for sender in found if sender is not None]


def key_context(domain_id: UUID, selector: str) -> str:
    """What a sealed private key is bound to: it cannot be moved to another domain's row."""
    return f"dkim:{domain_id}:{selector}"
