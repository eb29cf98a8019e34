"""Applications are told of their sender domains, in the transaction that changes one.

An event shows a domain as lists do, with how each record stands that was looked at. Names and values of the records
depend on this server's own name and are in `GET /domains/{id}`.
"""

from accounts.domain import Domain, domain_face, record_standing
from accounts.records import RecordKind
from store.database import Connection
from webhooks import outbox
from webhooks.kinds import EventType


async def tell_domain(connection: Connection, kind: EventType, domain: Domain | None) -> None:
    """Tell of a domain as it stands now, or stood when it was deleted; None for one that is gone already."""
    if domain is not None:
        await outbox.tell(connection, kind, domain.application_id, _face(domain), str(domain.id))


def _face(domain: Domain) -> dict[str, object]:
    records = [{"kind": kind, **record_standing(RecordKind(kind), domain)} for kind in domain.checks]
    return domain_face(domain) | {"records": records}
