"""New DKIM keys for a sender domain, and no mail in between that cannot be verified.

A key has one of three states. `coming`: made and shown, to be published beside the others; nothing is signed with it.
`active`: what is signed with. `retired`: signs no more, and its record stays published for `GRACE`, since receivers
verify late: mail waits in other queues for days (RFC 5321 section 4.5.4.1 asks for 4 to 5).

`begin` makes the coming pair. Every check of the domain (`accounts/verify`), asked for or not, looks at its records and
switches as soon as nothing is lost by it: the RSA key is found and verifies, and so is Ed25519 unless the one before
was not published either. After the grace the old record may go; when DNS has it no more, the key is forgotten.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from accounts import audit
from accounts.audit import Actor, Entry
from accounts.domain import Domain, RecordCheck
from accounts.records import COMING, PublicKey, RecordKind
from accounts.repository import FreshKey, add_keys, domain_by_id, forget_checks
from core.refusal import conflict, not_found
from core.secrets import InstanceSecret
from store.database import Connection

GRACE: Final = timedelta(days=7)
ADVISED: Final = timedelta(days=180)
"""Age after which other keys are advised: M3AAWG's best practices for DKIM key rotation say twice a year at least."""

# Not FOR UPDATE: mail that is accepted meanwhile refers to the domain.
_LOCK: Final = "SELECT FROM domains WHERE id = %s FOR NO KEY UPDATE"
_RETIRE: Final = "UPDATE dkim_keys SET state = 'retired', retired_at = now() WHERE domain_id = %s AND state = 'active'"
_ACTIVATE: Final = """
UPDATE dkim_keys SET state = 'active' WHERE domain_id = %s AND state = 'coming' AND selector = ANY(%s)
"""
_GIVE_UP: Final = "DELETE FROM dkim_keys WHERE domain_id = %s AND state = 'coming' RETURNING selector"
_FORGET: Final = "DELETE FROM dkim_keys WHERE domain_id = %s AND state = 'retired' AND selector = ANY(%s)"


@dataclass(frozen=True, slots=True)
class Settled:
    """What a check comes to for the keys of a domain."""

    checks: Mapping[str, RecordCheck]
    switched: bool = False


async def begin(connection: Connection, secret: InstanceSecret, found: Domain, keys: Sequence[FreshKey]) -> Domain:
    """The domain with its coming keys. Raises Refused while others are coming."""
    if await (await connection.execute(_LOCK, [found.id])).fetchone() is None:
        raise _gone(found)
    now = await _again(connection, found)
    if now.coming:
        raise conflict(
            f"new keys of {found.name} are coming already: {', '.join(key.selector for key in now.coming)}",
            "Publish their records and check the domain, or give them up first.",
        )
    await add_keys(connection, secret, found.id, keys, "coming")
    return await _again(connection, found)


async def give_up(connection: Connection, found: Domain) -> Domain:
    """The domain without the coming keys; what signs is not touched. Raises Refused when none are coming."""
    await connection.execute(_LOCK, [found.id])
    gone = await (await connection.execute(_GIVE_UP, [found.id])).fetchall()
    if not gone:
        raise conflict(f"no new keys of {found.name} are coming", "`postlane domains rotate DOMAIN` makes them.")
    await forget_checks(connection, found.id, COMING.values())
    return await _again(connection, found)


_NOT_THERE: Final = frozenset({"pending", "failed"})
"""What a check says of a record that is known to be missing or wrong; a name server that is silent says neither."""


def ready(found: Domain, checks: Mapping[str, RecordCheck]) -> bool:
    """Whether the coming keys can sign, and no receiver that verifies today is left without. Pure."""
    if not found.coming:
        return False
    rsa = _good(checks, COMING[RecordKind.DKIM_RSA])
    old = checks.get(RecordKind.DKIM_ED25519)
    missing = old is None or old.status in _NOT_THERE
    return rsa and (_good(checks, COMING[RecordKind.DKIM_ED25519]) or missing)


async def settle(
    connection: Connection, found: Domain, checks: Mapping[str, RecordCheck], by: Actor | None, gone: Sequence[str]
) -> Settled:
    """Switch if that can be, and forget retired keys whose records are `gone`. What the checks say of the new keys is
    said of those that sign then. `found`: `held`, with the keys that were looked at. `by`: as in `accounts/verify`."""
    if gone:
        await connection.execute(_FORGET, [found.id, list(gone)])
    if not ready(found, checks):
        return Settled(checks)
    await connection.execute(_RETIRE, [found.id])
    await connection.execute(_ACTIVATE, [found.id, _selectors(found.coming)])
    before, after = _selectors(found.keys), _selectors(found.coming)
    if by is not None:
        entry = Entry("domain.switch", found.name, {"signs": before}, {"signs": after}, found.application_id)
        await audit.write(connection, by, entry)
    return Settled(moved(checks), switched=True)


def moved(checks: Mapping[str, RecordCheck]) -> dict[str, RecordCheck]:
    """The checks after the switch: the coming keys are the active ones. Pure."""
    kept = {kind: check for kind, check in checks.items() if kind not in COMING.values()}
    return kept | {kind.value: checks[coming] for kind, coming in COMING.items() if coming in checks}


def removable(found: Domain, now: datetime) -> list[PublicKey]:
    """Retired keys whose records may go. Pure."""
    return [key for key in found.retired if now >= keep_until(key)]


async def held(connection: Connection, domain_id: UUID) -> Domain | None:
    """The domain as it is now, whose keys nobody else changes before the transaction ends; None when it is gone."""
    await connection.execute(_LOCK, [domain_id])
    return await domain_by_id(connection, domain_id)


async def _again(connection: Connection, found: Domain) -> Domain:
    now = await domain_by_id(connection, found.id)
    if now is None:
        raise _gone(found)
    return now


def _gone(found: Domain) -> Exception:
    return not_found(f"there is no domain {found.name} any more")


def _selectors(keys: Sequence[PublicKey]) -> list[str]:
    return [key.selector for key in keys]


def _good(checks: Mapping[str, RecordCheck], kind: str) -> bool:
    return kind in checks and checks[kind].status == "verified"


def rotation_face(found: Domain) -> dict[str, object] | None:
    """The coming and going keys as JSON; None when there are none. Pure."""
    if not found.coming and not found.retired:
        return None
    return {
        "coming": _selectors(found.coming),
        "retired": [
            {"selector": key.selector, "name": f"{key.selector}._domainkey.{found.name}", "keep_until": keep_until(key)}
            for key in found.retired
        ],
    }


def keep_until(key: PublicKey) -> datetime:
    """Until when the record of a retired key has to stay. Pure."""
    assert key.retired_at is not None, "a key that signs has no such time"
    return key.retired_at + GRACE
