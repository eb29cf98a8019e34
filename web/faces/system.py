"""How the installation stands as JSON. Pure; fields as in `api/schemas/system`."""

from collections.abc import Sequence
from datetime import datetime

from alarms.doors import RouteStanding, Standing
from alarms.system import Queue, Server, System
from core.in_force import InForce
from store.heartbeats import Process


def system_face(found: System, settings: Sequence[InForce], flags_as_of: datetime | None) -> dict[str, object]:
    """All of it. `flags_as_of`: when the process that answers read its flags last."""
    return {
        "object": "system",
        "processes": [process_face(one) for one in found.processes],
        "queues": [queue_face(one) for one in found.queues],
        "servers": [server_face(one) for one in found.servers],
        "routes": [route_face(one) for one in found.doors.routes],
        "objectives": [objective_face(one) for one in found.doors.classes],
        "schema": {"revision": found.revision, "newest": found.newest_revision},
        "flags_as_of": flags_as_of,
        "settings": [setting_face(one) for one in settings],
    }


def process_face(one: Process) -> dict[str, object]:
    """One process."""
    return {
        "name": one.name,
        "host": one.host,
        "pid": one.pid,
        "version": one.version,
        "started_at": one.started_at,
        "seen_at": one.seen_at,
        "silent": one.silent,
        "trouble": one.trouble or None,
    }


def queue_face(one: Queue) -> dict[str, object]:
    """One lane's queue."""
    return {"stream": one.lane, "waiting": one.waiting, "more": one.more, "oldest_due_seconds": one.oldest_due}


def server_face(one: Server) -> dict[str, object]:
    """One server."""
    return {"name": one.name, "version": one.version or None, "trouble": one.trouble or None}


def route_face(one: RouteStanding) -> dict[str, object]:
    """One route, over the last 24 hours."""
    told = one.answered
    return {
        "face": told.route.face,
        "method": told.route.method,
        "path": told.route.route,
        "class": told.route.kind,
        "objective_seconds": one.objective.seconds,
        "answers": told.answers,
        "failed": told.failed,
        "missed": told.missed,
        "p50": told.p50,
        "p95": told.p95,
        "p99": told.p99,
        "holds": one.holds,
    }


def objective_face(one: Standing) -> dict[str, object]:
    """One class of routes, over the days of its budget."""
    return {
        "class": one.objective.name,
        "sentence": one.objective.sentence,
        "seconds": one.objective.seconds,
        "share": one.objective.share,
        "answers": one.answers,
        "missed": one.missed,
        "budget_left": round(one.left, 4),
    }


def setting_face(one: InForce) -> dict[str, object]:
    """One setting."""
    return {"name": one.name, "value": one.value, "given": one.given}
