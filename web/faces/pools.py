"""Pools and their assignments as JSON. Pure."""

from collections.abc import Mapping
from uuid import UUID

from core.queues import Lane
from pools.administration import PoolRow
from pools.assignments import Assignment, SubjectKind
from pools.ip_status import IpStatus
from web.faces.throttles import throttle_face


def pool_face(row: PoolRow, standing: Mapping[str, IpStatus]) -> dict[str, object]:
    """A pool as `PoolAnswer`."""
    return {
        "object": "pool",
        "id": row.id,
        "name": row.name,
        "lane": row.lane,
        "default": row.default,
        "reserved": row.reserved,
        "overflow": row.overflow,
        "assigned": row.assigned,
        "members": [
            {
                "ip": member.address,
                "weight": member.weight,
                "state": ip.state,
                "stage": ip.warming.stage if ip.warming else None,
                "rests": [throttle_face(rest) for rest in ip.rests],
            }
            for member in row.members
            if (ip := standing.get(member.address)) is not None
        ],
    }


def assignment_id(one: Assignment) -> str:
    """What an assignment is called in a list."""
    return assignment_path(one.kind, one.subject_id, one.lane)


def assignment_path(kind: SubjectKind, subject_id: UUID, lane: Lane) -> str:
    """The same where only this much is known: what it was that is gone."""
    return f"{kind}/{subject_id}/{lane}"


def assignment_face(one: Assignment) -> dict[str, object]:
    """An assignment as `AssignmentAnswer`."""
    return {
        "object": "pool_assignment",
        "id": assignment_id(one),
        "kind": one.kind,
        "subject_id": one.subject_id,
        "subject": one.subject,
        "application": one.application,
        "lane": one.lane,
        "pool_id": one.pool_id,
        "pool": one.pool,
    }
