"""Applications, their API keys and their sender domains in PostgreSQL.

Every function works on the caller's connection and never commits. All but the operator's own (`applications`,
`application`, `domain_by_id`) take the application and see nothing of another one. Never asks DNS and never decides who
may do what.

Keys with the permission `operator` belong to the installation. They hang on an application of their own, `OPERATORS`,
which sends nothing, is not listed among the applications, and is there as soon as the first such key is made.

An API key is shown once, by `create_key`; the table holds its SHA-256 (a key is random, so nothing slower is needed)
and its first characters as a hint. DKIM private keys are stored sealed, each bound to its domain and selector.
"""

import asyncio
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow
from psycopg.types.json import Jsonb

from accounts.directory import OPERATOR, token_hash
from accounts.domain import Domain, DomainTracking, RecordCheck
from accounts.quotas import Quota
from accounts.records import PublicKey, RecordKind
from accounts.senders import key_context
from accounts.telling import tell_domain
from core.ids import uuid7
from core.paging import Page, Window, cut
from core.secrets import InstanceSecret
from mta.sign import generate_ed25519, generate_rsa
from store.database import Connection
from webhooks.kinds import EventType

TOKEN_PREFIX: Final = "pl_"  # the visible beginning of every key, no secret
TEST_PREFIX: Final = "pl_test_"
OPERATORS: Final = "(operators)"
"""Name of the application that operators' keys hang on."""
_TOKEN_BYTES: Final = 32
"""Random bytes of a key: 43 characters behind the prefix."""
_HINT: Final = 5
"""Of its random characters so many are kept, to tell it from others."""

_APPLICATION = "id, name, created_at, messages_per_day, messages_per_second"
_KEY_COLUMNS = "id, application_id, name, hint, permission, domain_id, created_at, last_used_at, test"
_OF_APPLICATIONS: Final = "t.permission <> 'operator'"
_DOMAIN_COLUMNS = (
    "id, application_id, name, return_path_domain, status, record_status, created_at, checked_at, open_tracking,"
    " click_tracking, tracking_subdomain"
)

_SET_TRACKING = """
UPDATE domains SET open_tracking = %(opens)s, click_tracking = %(clicks)s, tracking_subdomain = %(label)s,
       record_status = CASE WHEN tracking_subdomain IS DISTINCT FROM %(label)s THEN record_status - %(kind)s::text
                       ELSE record_status END
 WHERE id = %(domain)s
"""
_STORE_CHECKS = """
UPDATE domains d SET status = %(status)s, record_status = %(checks)s, checked_at = now()
  FROM (SELECT id, status, record_status FROM domains WHERE id = %(domain)s FOR UPDATE) old
 WHERE d.id = old.id
RETURNING d.checked_at, old.status <> d.status OR old.record_status IS DISTINCT FROM d.record_status
"""


@dataclass(frozen=True, slots=True)
class Application:
    """A tenant: owns keys, domains and mail."""

    id: UUID
    name: str
    created_at: datetime
    quota: Quota = field(default_factory=Quota)


@dataclass(frozen=True, slots=True)
class Tenant:
    """An application with what it owns."""

    application: Application
    domains: tuple[str, ...]
    """Their names, newest first."""
    keys: int
    messages_today: int | None = None
    """That it brought in since midnight UTC; None without a quota: nobody counts then."""


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """An API key to make. `permission` is `full_access` or `sending_access`; `operator` only with `operators()`."""

    application_id: UUID
    name: str
    permission: str = "full_access"
    domain_id: UUID | None = None
    """The only domain it may send from. The caller has made sure that it is the application's."""
    test: bool = False
    """Nothing that it sends leaves."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A stored key, without its token."""

    id: UUID
    application_id: UUID
    name: str
    hint: str
    permission: str
    domain_id: UUID | None
    created_at: datetime
    last_used_at: datetime | None
    test: bool


@dataclass(frozen=True, slots=True)
class FreshKey:
    """A DKIM key that was just made, its private half still open."""

    selector: str
    algorithm: str
    private_der: bytes
    public_key: str


@dataclass(frozen=True, slots=True)
class DomainRequest:
    """A domain to register: names folded (`core.addresses.fold_domain`), keys from `make_keys`."""

    application_id: UUID
    name: str
    return_path_domain: str
    keys: tuple[FreshKey, ...]
    tracking: DomainTracking = field(default_factory=DomainTracking)


ALL: Final[Window[UUID]] = Window()


# Applications


async def create_application(connection: Connection, name: str) -> Application | None:
    """A new application; None when the name is taken."""
    cursor = await connection.execute(
        f"INSERT INTO applications (id, name) VALUES (%s, %s) ON CONFLICT (name) DO NOTHING RETURNING {_APPLICATION}",
        [uuid7(), name],
    )
    row = await cursor.fetchone()
    return _application(row) if row else None


async def rename_application(connection: Connection, application_id: UUID, name: str) -> bool:
    """False when the name is taken, or there is no such application. Its id, keys and mail stay what they are."""
    cursor = await connection.execute(
        "UPDATE applications SET name = %(name)s WHERE id = %(id)s AND name <> %(operators)s"
        " AND NOT EXISTS (SELECT FROM applications WHERE name = %(name)s AND id <> %(id)s)",
        {"name": name, "id": application_id, "operators": OPERATORS},
    )
    return cursor.rowcount == 1


async def application(connection: Connection, name: str) -> Application | None:
    """The application of that name."""
    cursor = await connection.execute(f"SELECT {_APPLICATION} FROM applications WHERE name = %s", [name])
    row = await cursor.fetchone()
    return _application(row) if row else None


async def application_by_id(connection: Connection, identifier: UUID) -> Application | None:
    """The application with this id; not the operators' own."""
    cursor = await connection.execute(
        f"SELECT {_APPLICATION} FROM applications WHERE id = %s AND name <> %s", [identifier, OPERATORS]
    )
    row = await cursor.fetchone()
    return _application(row) if row else None


async def delete_keys(connection: Connection, application_id: UUID) -> int:
    """Every key of an application stops: here at once, in other processes when they ask again. How many there were."""
    cursor = await connection.execute("DELETE FROM api_keys WHERE application_id = %s", [application_id])
    return cursor.rowcount


async def applications(connection: Connection) -> list[Application]:
    """Every application, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_APPLICATION} FROM applications WHERE name <> %s ORDER BY id", [OPERATORS]
    )
    return [_application(row) for row in await cursor.fetchall()]


async def tenants(connection: Connection) -> list[Tenant]:
    """Every application with what it owns, oldest first."""
    cursor = await connection.execute(
        f"SELECT {_APPLICATION}, ARRAY(SELECT d.name FROM domains d WHERE d.application_id = a.id ORDER BY d.id DESC),"
        " (SELECT count(*) FROM api_keys k WHERE k.application_id = a.id),"
        " CASE WHEN num_nonnulls(messages_per_day, messages_per_second) > 0 THEN coalesce((SELECT accepted"
        " FROM application_use u WHERE u.application_id = a.id AND day = (now() AT TIME ZONE 'UTC')::date), 0) END"
        " FROM applications a WHERE a.name <> %s ORDER BY a.id",
        [OPERATORS],
    )
    return [Tenant(_application(row[:5]), tuple(row[5]), *row[6:]) for row in await cursor.fetchall()]


async def delete_application(connection: Connection, application_id: UUID) -> bool:
    """Delete an application with its keys and domains; what it has sent stays. False when there is none. Whether mail
    of it is under way is for `campaigns.withdrawal` to ask."""
    cursor = await connection.execute(
        "DELETE FROM applications WHERE id = %s AND name <> %s", [application_id, OPERATORS]
    )
    return cursor.rowcount == 1


async def operators(connection: Connection) -> Application:
    """What operators' keys hang on, made when it is not there."""
    await create_application(connection, OPERATORS)
    found = await application(connection, OPERATORS)
    if found is None:
        raise AssertionError("the application of the operators is gone while it was asked for")
    return found


def _application(row: TupleRow) -> Application:
    identifier, name, created_at, per_day, per_second = row
    return Application(identifier, name, created_at, Quota(per_day, per_second))


# API keys


async def create_key(connection: Connection, wanted: KeyRequest) -> tuple[ApiKey, str]:
    """A new key and its token. The token cannot be had again.

    ValueError, a bug of the caller, for an operator's key on an application's name, or one for tests.
    """
    owner = await operators(connection) if wanted.permission == OPERATOR else None
    if owner is not None and owner.id != wanted.application_id:
        raise ValueError("a key with the permission operator belongs to no application")
    if owner is not None and wanted.test:
        raise ValueError("a key with the permission operator sends nothing, not even tests")
    prefix = TEST_PREFIX if wanted.test else TOKEN_PREFIX
    token = prefix + secrets.token_urlsafe(_TOKEN_BYTES)
    cursor = await connection.execute(
        "INSERT INTO api_keys (id, application_id, name, token_hash, hint, permission, domain_id, test)"
        f" VALUES (%s, %s, %s, %s, %s, %s, %s, %s) RETURNING {_KEY_COLUMNS}",
        [
            uuid7(),
            wanted.application_id,
            wanted.name,
            token_hash(token),
            token[: len(prefix) + _HINT],
            wanted.permission,
            wanted.domain_id,
            wanted.test,
        ],
    )
    row = await cursor.fetchone()
    if row is None:
        raise AssertionError("INSERT RETURNING gave no row")
    return ApiKey(*row), token


async def keys(connection: Connection, application_id: UUID, window: Window[UUID] = ALL) -> Page[ApiKey]:
    """Keys of an application, newest first."""
    found = await _window(connection, f"SELECT {_KEY_COLUMNS} FROM api_keys t", [application_id], window)
    return found.map(lambda row: ApiKey(*row))


async def keys_of(
    connection: Connection, applications: Sequence[UUID] = (), window: Window[UUID] = ALL
) -> Page[ApiKey]:
    """Keys of these applications, () for all, newest first; none of operators."""
    found = await _window(connection, f"SELECT {_KEY_COLUMNS} FROM api_keys t", applications, window, _OF_APPLICATIONS)
    return found.map(lambda row: ApiKey(*row))


async def key(connection: Connection, key_id: UUID) -> ApiKey | None:
    """One key of whatever application; none of operators."""
    cursor = await connection.execute(
        f"SELECT {_KEY_COLUMNS} FROM api_keys t WHERE id = %s AND {_OF_APPLICATIONS}", [key_id]
    )
    row = await cursor.fetchone()
    return ApiKey(*row) if row else None


async def rename_key(connection: Connection, application_id: UUID, key_id: UUID, name: str) -> bool:
    """False when the application has no such key."""
    cursor = await connection.execute(
        "UPDATE api_keys SET name = %s WHERE id = %s AND application_id = %s", [name, key_id, application_id]
    )
    return cursor.rowcount == 1


async def delete_key(connection: Connection, application_id: UUID, key_id: UUID) -> bool:
    """False when the application has no such key."""
    cursor = await connection.execute(
        "DELETE FROM api_keys WHERE id = %s AND application_id = %s", [key_id, application_id]
    )
    return cursor.rowcount == 1


# Domains


async def make_keys() -> tuple[FreshKey, FreshKey]:
    """An RSA-2048 and an Ed25519 key with selectors of their own. Takes a tenth of a second or more, in a thread.

    Selectors are random: two installations, or a domain that was deleted and came back, never share a DNS name whose
    old answer is still in caches, and a published record proves who asked for it.
    """
    return await asyncio.to_thread(_make_keys)


def _make_keys() -> tuple[FreshKey, FreshKey]:
    stem = "pl" + secrets.token_hex(4)
    return FreshKey(f"{stem}r", "rsa", *generate_rsa()), FreshKey(f"{stem}e", "ed25519", *generate_ed25519())


async def create_domain(connection: Connection, secret: InstanceSecret, wanted: DomainRequest) -> Domain | None:
    """Register a domain with its keys, in one transaction of the caller; None when the application has it already."""
    domain_id = uuid7()
    cursor = await connection.execute(
        "INSERT INTO domains (id, application_id, name, return_path_domain, open_tracking, click_tracking,"
        " tracking_subdomain) VALUES (%s, %s, %s, %s, %s, %s, %s)"
        f" ON CONFLICT (application_id, name) DO NOTHING RETURNING {_DOMAIN_COLUMNS}",
        [
            domain_id,
            wanted.application_id,
            wanted.name,
            wanted.return_path_domain,
            wanted.tracking.opens,
            wanted.tracking.clicks,
            wanted.tracking.subdomain,
        ],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    await add_keys(connection, secret, domain_id, wanted.keys, "active")
    made = (await _with_keys(connection, [row]))[0]
    await tell_domain(connection, EventType.DOMAIN_CREATED, made)
    return made


async def add_keys(
    connection: Connection, secret: InstanceSecret, domain_id: UUID, keys: Sequence[FreshKey], state: str
) -> None:
    """Store keys of a domain, sealed. What the states mean says `accounts/rotation`."""
    for key in keys:
        sealed = secret.seal(key.private_der, key_context(domain_id, key.selector))
        await connection.execute(
            "INSERT INTO dkim_keys (id, domain_id, selector, algorithm, sealed_private_key, public_key, state)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s)",
            [uuid7(), domain_id, key.selector, key.algorithm, sealed, key.public_key, state],
        )


async def forget_checks(connection: Connection, domain_id: UUID, kinds: Iterable[RecordKind]) -> None:
    """How these records stood is not known any more."""
    names = [kind.value for kind in kinds]
    await connection.execute(
        "UPDATE domains SET record_status = record_status - %s::text[] WHERE id = %s", [names, domain_id]
    )


async def domain(connection: Connection, application_id: UUID, domain_id: UUID, *, lock: bool = False) -> Domain | None:
    """One domain of the application. `lock` keeps it from being deleted before the transaction ends."""
    found = await domain_by_id(connection, domain_id, lock=lock)
    return found if found is not None and found.application_id == application_id else None


async def domain_by_id(connection: Connection, domain_id: UUID, *, lock: bool = False) -> Domain | None:
    """A domain of whatever application: for work that was not asked for by a caller. `lock` as in `domain`."""
    how = " FOR KEY SHARE" if lock else ""
    cursor = await connection.execute(f"SELECT {_DOMAIN_COLUMNS} FROM domains WHERE id = %s{how}", [domain_id])
    row = await cursor.fetchone()
    return (await _with_keys(connection, [row]))[0] if row else None


async def domain_named(connection: Connection, application_id: UUID, name: str) -> Domain | None:
    """The application's domain of that (folded) name."""
    cursor = await connection.execute(
        f"SELECT {_DOMAIN_COLUMNS} FROM domains WHERE application_id = %s AND name = %s", [application_id, name]
    )
    row = await cursor.fetchone()
    return (await _with_keys(connection, [row]))[0] if row else None


async def domains(connection: Connection, application_id: UUID, window: Window[UUID] = ALL) -> Page[Domain]:
    """Domains of an application, newest first."""
    return await domains_of(connection, [application_id], window)


async def domains_of(
    connection: Connection, applications: Sequence[UUID] = (), window: Window[UUID] = ALL
) -> Page[Domain]:
    """Domains of these applications, () for all, newest first."""
    found = await _window(connection, f"SELECT {_DOMAIN_COLUMNS} FROM domains t", applications, window)
    return Page(await _with_keys(connection, found.entries), found.has_more)


async def store_checks(
    connection: Connection, domain_id: UUID, status: str, checks: Mapping[str, RecordCheck]
) -> datetime | None:
    """Keep the result of a check, and tell of it when it is another; the time it is stored under, None when the domain
    is gone."""
    stored = {kind: asdict(check) for kind, check in checks.items()}
    names = {"domain": domain_id, "status": status, "checks": Jsonb(stored)}
    async with connection.transaction():
        row = await (await connection.execute(_STORE_CHECKS, names)).fetchone()
        if row is not None and row[1]:
            await tell_domain(connection, EventType.DOMAIN_UPDATED, await domain_by_id(connection, domain_id))
    return row[0] if row else None


async def set_tracking(connection: Connection, domain_id: UUID, wanted: DomainTracking) -> bool:
    """Change what is tracked, and tell of it. Another tracking host was not looked at yet. False when the domain is
    gone."""
    names = {
        "opens": wanted.opens, "clicks": wanted.clicks, "label": wanted.subdomain, "kind": RecordKind.TRACKING.value,
        "domain": domain_id,
    }  # fmt: skip
    async with connection.transaction():
        cursor = await connection.execute(_SET_TRACKING, names)
        await tell_domain(connection, EventType.DOMAIN_UPDATED, await domain_by_id(connection, domain_id))
    return cursor.rowcount == 1


async def delete_domain(connection: Connection, application_id: UUID, domain_id: UUID) -> bool:
    """Delete a domain, its DKIM keys, and the API keys that were bound to it. False when there is none."""
    async with connection.transaction():
        found = await domain(connection, application_id, domain_id)
        cursor = await connection.execute(
            "DELETE FROM domains WHERE id = %s AND application_id = %s", [domain_id, application_id]
        )
        if cursor.rowcount:
            await tell_domain(connection, EventType.DOMAIN_DELETED, found)
    return cursor.rowcount == 1


async def sending_addresses(connection: Connection) -> list[str]:
    """Public addresses of every active IP: what SPF has to cover. A relay has none: its owner says what to include."""
    cursor = await connection.execute(
        "SELECT address FROM egress_ips WHERE active AND connections IS NULL ORDER BY address"
    )
    return [row[0] for row in await cursor.fetchall()]


async def _window(
    connection: Connection, select: str, applications: Sequence[UUID], window: Window[UUID], which: str = "true"
) -> Page[TupleRow]:
    """Rows of `select` (a table named t) newest first; one more is read to know whether there are more."""
    owned = "t.application_id = ANY(%(applications)s)" if applications else which
    back = window.before is not None
    cursor_id = window.before or window.after
    condition = "" if cursor_id is None else f" AND t.id {'>' if back else '<'} %(cursor)s"
    cursor = await connection.execute(
        f"{select} WHERE {owned}{condition} ORDER BY t.id {'' if back else 'DESC'} LIMIT %(limit)s",
        {"applications": list(applications), "cursor": cursor_id, "limit": window.limit and window.limit + 1},
    )
    return cut(await cursor.fetchall(), window)


async def _with_keys(connection: Connection, rows: Sequence[TupleRow]) -> list[Domain]:
    cursor = await connection.execute(
        "SELECT domain_id, state, selector, algorithm, public_key, created_at, retired_at FROM dkim_keys"
        " WHERE domain_id = ANY(%s) ORDER BY algorithm DESC, id",
        [[row[0] for row in rows]],
    )
    found: dict[tuple[UUID, str], list[PublicKey]] = {}
    for domain_id, state, *key in await cursor.fetchall():
        found.setdefault((domain_id, state), []).append(PublicKey(*key))
    return [
        _domain(row, *(tuple(found.get((row[0], state), ())) for state in ("active", "coming", "retired")))
        for row in rows
    ]


def _domain(
    row: TupleRow, active: tuple[PublicKey, ...], coming: tuple[PublicKey, ...], retired: tuple[PublicKey, ...]
) -> Domain:
    identifier, application_id, name, return_path_domain, status, checks, created_at, checked_at = row[:8]
    known = {kind: RecordCheck(**check) for kind, check in checks.items()}
    return Domain(
        identifier, application_id, name, return_path_domain, status, known, created_at, checked_at, active,
        DomainTracking(*row[8:]), coming, retired,
    )  # fmt: skip
