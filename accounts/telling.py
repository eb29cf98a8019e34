"""Applications are told of their sender domains, in the transaction that changes one.

The shape is Resend's. Names and values of the records depend on this server's own name and are in `GET /domains/{id}`;
an event says how each of them stands.
"""

from typing import Final
from uuid import UUID

from psycopg.rows import TupleRow

from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType
from webhooks.outbox import OutboxEvent

_RECORDS: Final = {"dkim_rsa": "DKIM", "dkim_ed25519": "DKIM", "return_path_mx": "SPF", "spf": "SPF", "dmarc": "DMARC"}
_REGION: Final = "us-east-1"


GONE: Final = "application_id, name, status, record_status, created_at, clock_timestamp()"
"""What is to be returned of a domain that is deleted."""


_READ: Final = f"SELECT {GONE} FROM domains WHERE id = %s AND {outbox.LISTENED}"


async def tell_domain(connection: Connection, kind: EventType, domain_id: UUID) -> None:
    """Tell of a domain that was made or changed, as it stands in the table."""
    row = await (await connection.execute(_READ, [domain_id])).fetchone()
    if row is not None:
        await outbox.append_known(connection, [_event(kind, domain_id, row)])


async def tell_deleted(connection: Connection, domain_id: UUID, row: TupleRow) -> None:
    """Tell of a domain that is gone; `row` holds what `GONE` names."""
    await outbox.append(connection, [_event(EventType.DOMAIN_DELETED, domain_id, row)])


def _event(kind: EventType, domain_id: UUID, row: TupleRow) -> OutboxEvent:
    application_id, name, status, checks, created_at, now = row
    records = [
        {"record": _RECORDS.get(which, which.capitalize()), "kind": which, **check} for which, check in checks.items()
    ]
    data = {
        "id": domain_id,
        "name": name,
        "status": "failed" if status == "temporary_failure" else status,
        "region": _REGION,
        "created_at": created_at,
        "records": records,
    }
    return OutboxEvent(kind, application_id, now, data, str(domain_id))
