"""Changes by a command leave a line in the audit log: which command, and whose account of the machine it was.

`cli/sessions` gives every command a database that notes what its transactions changed (`accounts/audited`): commands
say nothing about it. What is left out stands in `UNAUDITED`, with the reason. Commands of `READING` change nothing:
noted, each would hold a transaction open for as long as somebody reads what it writes.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from accounts.audit import Actor
from accounts.audited import Act, AuditedDatabase
from cli.called import CALLED
from cli.operating import actor
from store.database import Connection, Database

_OWN: Final = "mail has its own timeline"
_PEOPLE: Final = "contacts and imports keep their own history"

UNAUDITED: Final[Mapping[str, str]] = {
    "campaigns test": _OWN,
    "messages again": _OWN,
    "messages cancel": _OWN,
    "seeds probe": _OWN,
    "contacts add": _PEOPLE,
    "contacts import": _PEOPLE,
    "contacts join": _PEOPLE,
    "contacts leave": _PEOPLE,
    "contacts stop-import": _PEOPLE,
    "contacts update": _PEOPLE,
    "recipients activity": _PEOPLE,
    "topics choose": _PEOPLE,
    "events send": "news of an application for its automations, no setting",
    "suppressions import": "imports keep who brought which list in, and each entry says so",
    "webhooks listen": "a listener is gone when its command ends",
}
"""Command → why it leaves no line. A test holds it against the commands there are."""

READING: Final[Mapping[str, Sequence[str]]] = {
    "addresses": ["check"],
    "alarms": ["list", "show", "rules list", "breakers list", "mail show"],
    "applications": ["list"],
    "automations": ["list", "show", "runs"],
    "campaigns": ["list", "show", "check", "report", "recipients", "preview"],
    "contact-properties": ["list"],
    "contacts": ["list", "show", "history", "export", "imports", "show-import"],
    "domains": ["list", "get", "advice"],
    "events": ["list"],
    "forms": ["list", "show"],
    "images": ["list"],
    "inbound": ["list", "show"],
    "ips": ["list", "show", "why", "reputation"],
    "keys": ["list"],
    "logs": ["list", "show"],
    "messages": ["list", "show", "why"],
    "pools": ["list", "show", "assignments", "advice"],
    "queue": ["list"],
    "recipients": ["show"],
    "reports": [""],
    "sandbox": ["list", "show", "rules list"],
    "seeds": ["list", "show"],
    "segments": ["list", "show", "count", "people"],
    "standing": ["list"],
    "status": [""],
    "suppressions": ["get", "history", "list", "imports", "export"],
    "templates": ["list", "show", "preview", "versions"],
    "throttles": ["list"],
    "topics": ["list", "choices"],
    "users": ["list"],
    "warmup": ["list", "show", "history", "simulate", "rehearse", "plans list", "plans show"],
    "webhooks": ["list", "show", "events"],
}
"""Noun → what of it only reads. Tests run them where nothing can be written."""

_ACTIONS: Final[Mapping[str, str]] = {
    "alarms ack": "alarm.acknowledge",
    "alarms breakers end": "breaker.end",
    "alarms breakers stop": "breaker.stop",
    "alarms mail off": "alarm.delete_mail",
    "alarms mail set": "alarm.set_mail",
    "alarms rules set": "alarm.change_rule",
    "campaigns again": "campaign.create",
    "campaigns duplicate": "campaign.create",
    "contacts remove": "contact.delete",
    "events define": "event.create",
    "ips add": "ip.create",
    "ips remove": "ip.delete",
    "sandbox rules add": "rule.add",
    "sandbox rules remove": "rule.delete",
    "warmup plans create": "plan.create",
    "warmup plans delete": "plan.delete",
    "warmup plans update": "plan.update",
}
"""Actions that are not the noun and the verb of their command; API and console have the same ones."""
_NOUNS: Final = {"contact-properties": "property"}


def action_of(words: tuple[str, ...]) -> str:
    """The action of a command: `pools create` → `pool.create`."""
    noun, verbs = _NOUNS.get(words[0], words[0].removesuffix("s")), words[1:] or ("run",)
    return _ACTIONS.get(" ".join(words), f"{noun}.{'_'.join(verbs).replace('-', '_')}")


def audited(database: Database) -> Database:
    """The database that the command which runs works with."""
    called = CALLED.get()
    if called is None or " ".join(called.words) in UNAUDITED or reads(called.words):
        return database
    return AuditedDatabase(database, Act(action_of(called.words), _who, called.named))


def reads(words: tuple[str, ...]) -> bool:
    """Whether the command only reads."""
    return " ".join(words[1:]) in READING.get(words[0], ())


async def _who(_connection: Connection) -> Actor:
    return actor()
