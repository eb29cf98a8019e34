"""Changes through the API leave a line in the audit log: which request does, under which name, and who it was.

`api/deps` gives every request of a key that may change something a database that notes what its transactions changed
(`accounts/audited`): routes say nothing about it. What is left out stands in `UNAUDITED`, with the reason.
"""

from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from starlette.types import Scope

from accounts.audit import Actor
from accounts.audited import Act, AuditedDatabase
from accounts.directory import OPERATOR, Caller
from store.database import Connection, Database

CALLER: Final = "postlane.caller"
"""Key in the ASGI scope: whose key it is, put there by the guard that looked it up."""

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_OWN: Final = "mail has its own timeline"
_PEOPLE: Final = "applications do so all day, and contacts and imports keep their own history"
_LOOKS: Final = "it only looks"
_FIGURES: Final = "what others say of us, kept with its source and its day"
_AGAIN: Final = "what was told is told again"

UNAUDITED: Final[Mapping[str, str]] = {
    "addresses.check_addresses": _LOOKS,
    "broadcasts.check_broadcast": _LOOKS,
    "broadcasts.preview_broadcast": _LOOKS,
    "providers.explain": _LOOKS,
    "segments.preview_segment": _LOOKS,
    "templates.preview_template": _LOOKS,
    "warmup.simulate_plan": _LOOKS,
    "broadcasts.try_broadcast": _OWN,
    "templates.try_template": _OWN,
    "emails.cancel_email": _OWN,
    "emails.move_email": _OWN,
    "emails.send_again": _OWN,
    "emails.send_batch": _OWN,
    "emails.send_email": _OWN,
    "seeds.probe_seed": _OWN,
    "sandbox.clear_mails": "captured mail is no setting",
    "sandbox.delete_mail": "captured mail is no setting",
    "contact_imports.create_import": _PEOPLE,
    "contact_imports.stop_import": _PEOPLE,
    "contacts.add_to_segment": _PEOPLE,
    "contacts.create_contact": _PEOPLE,
    "contacts.remove_from_segment": _PEOPLE,
    "contacts.update_contact": _PEOPLE,
    "contacts.update_contact_topics": _PEOPLE,
    "recipients.report_activity": _PEOPLE,
    "segment_contacts.create_audience_contact": _PEOPLE,
    "segment_contacts.update_audience_contact": _PEOPLE,
    "automations.cancel_run": "runs keep what became of them",
    "events.send_event": "news of an application for its automations, no setting",
    "ips.post_reputation": _FIGURES,
    "standing.import_standing": _FIGURES,
    "webhooks.replay_event": _AGAIN,
    "webhooks.replay_events": _AGAIN,
}
"""Module and endpoint → why its requests leave no line. A test holds it against the table of routes."""

_ACTIONS: Final[Mapping[str, str]] = {
    "alarms.end_breaker": "breaker.end",
    "alarms.stop_stream": "breaker.stop",
    "api_keys.rename_key": "key.update",
    "broadcasts.choose_winner": "campaign.winner",
    "broadcasts.duplicate_broadcast": "campaign.create",
    "broadcasts.put_on_web": "campaign.archive",
    "broadcasts.repeat_broadcast": "campaign.create",
    "broadcasts.send_broadcast": "campaign.start",
    "people.erase_person": "contact.erase",
    "pools.attach_ip": "pool.attach",
    "pools.detach_ip": "pool.detach",
    "pools.set_weight": "pool.weight",
    "sandbox.add_rule": "rule.add",
    "sandbox.delete_rule": "rule.delete",
    "suppressions.add_batch": "suppression.add",
    "suppressions.add_many": "suppression.add",
    "suppressions.remove_many": "suppression.remove",
    "topics.put_policy": "topic.policy",
    "warmup.create_plan": "plan.create",
    "warmup.delete_plan": "plan.delete",
    "warmup.update_plan": "plan.update",
    "warmup.shift_traffic": "warmup.shift",
    "warmup.skip_stage": "warmup.skip",
    "webhooks.rotate_secret": "webhook.rotate",
}
"""Actions that are not the noun and the first word of their endpoint; the console has the same ones."""
_NOUNS: Final[Mapping[str, str]] = {
    "api_keys": "key",
    "audiences": "segment",
    "broadcasts": "campaign",
    "contact_properties": "property",
    "segment_contacts": "contact",
}
"""Nouns of the log that are no singular of their module."""

_WHO: Final = """
SELECT k.name, k.hint, a.name FROM api_keys k JOIN applications a ON a.id = k.application_id WHERE k.id = %s
"""


def endpoint_name(endpoint: Any) -> str:
    """Of a route's function, as `UNAUDITED` has it: `pools.create_pool`."""
    return f"{endpoint.__module__.rpartition('.')[2]}.{endpoint.__name__}"


def action_of(name: str) -> str:
    """The action of an endpoint: `pools.create_pool` → `pool.create`, `api_keys.create_key` → `key.create`."""
    module, _, function = name.partition(".")
    noun, word = _NOUNS.get(module, module.removesuffix("s")), module.removesuffix("s")
    return _ACTIONS.get(name, f"{noun}.{function.removesuffix(f'_{noun}').removesuffix(f'_{word}')}")


def audited(database: Database, scope: Scope) -> Database:
    """The database that the request of this scope works with."""
    who: Caller | None = scope.get(CALLER)
    endpoint = getattr(scope.get("route"), "endpoint", None)
    if who is None or endpoint is None or scope["method"] in _READING:
        return database
    name = endpoint_name(endpoint)
    return database if name in UNAUDITED else AuditedDatabase(database, _act(name, who, scope))


def _act(name: str, who: Caller, scope: Scope) -> Act:
    async def actor(connection: Connection) -> Actor:
        return Actor(await _called(connection, who.key_id), "api", who.key_id)

    owner = None if who.permission == OPERATOR else who.application_id
    return Act(action_of(name), actor, [str(one) for one in scope["path_params"].values()], owner)


async def _called(connection: Connection, key_id: UUID) -> str:
    """A key as people know it. One that has just deleted itself is known by its id only."""
    row = await (await connection.execute(_WHO, [key_id])).fetchone()
    return f"key {row[0]} ({row[1]}) of {row[2]}" if row else f"key {key_id}"
