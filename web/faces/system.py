"""How the installation stands as JSON. Pure; fields as in `api/schemas/system`."""

from collections.abc import Sequence
from datetime import datetime

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


def setting_face(one: InForce) -> dict[str, object]:
    """One setting."""
    return {"name": one.name, "value": one.value, "given": one.given}
