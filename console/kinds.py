"""What the search knows by its id or its name, kind by kind: where it is kept, who may see it, and its page. Pure.

An id is looked for by the key of each table; a name in tables that people fill by hand, never in those that mail fills.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from accounts.roles import Right

_R = Right


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of thing."""

    title: str
    right: Right
    path: str
    """Of its page, of `{id}`, `{name}`, `{owner}` (its application) and `{place}`."""
    table: str
    name: str = "''"
    """The column of its name; `''`: nobody looks for one by name."""
    where: str = "true"
    id: str = "id"
    """The column of its id; "" for what is named by its name alone."""
    owner: str = "application_id"
    """The column of its application; NULL: it is the installation's, or the operators'."""
    place: str = "''"
    """A column that its address needs besides."""

    also: str = ""
    """A condition on another id that leads to it, `row` (`webhooks/pairs`)."""

    @property
    def is_meant(self) -> str:
        """The condition that it is the one with an id."""
        return f"({self.id} = %(id)s OR {self.also})" if self.also else f"{self.id} = %(id)s"

    @property
    def is_named(self) -> bool:
        """Whether somebody may look for it by name."""
        return self.name != "''"


_NOBODYS: Final = "nullif('', '')::uuid"
_KEPT: Final = "num_nonnulls(deleted_at) = 0"
_HEARD: Final = "w.url <> ''"
_EVENTS: Final = "webhook_events e JOIN webhook_endpoints w ON w.id = e.endpoint_id"

KINDS: Final[Sequence[Kind]] = (
    Kind("Campaign", _R.CAMPAIGNS_SEE, "/campaigns/{id}", "campaigns", "name", _KEPT),
    Kind("Automation", _R.CAMPAIGNS_SEE, "/automations/{id}", "automations", "name"),
    Kind("Run", _R.CAMPAIGNS_SEE, "/automations/{place}?open={id}", "automation_runs", place="automation_id"),
    Kind("Template", _R.CAMPAIGNS_SEE, "/templates/{id}", "templates", "name", "num_nonnulls(campaign_id) = 0"),
    Kind("Segment", _R.PEOPLE_SEE, "/segments/{id}", "segments", "name", _KEPT),
    Kind("Topic", _R.PEOPLE_SEE, "/topics?application={owner}#topic-{id}", "topics", "name", _KEPT),
    Kind("Form", _R.PEOPLE_SEE, "/forms/{id}", "signup_forms", "name", _KEPT),
    Kind("Person", _R.PEOPLE_SEE, "/people/{id}", "contacts"),
    Kind("Import", _R.PEOPLE_SEE, "/people/imports?application={owner}&open={id}", "contact_imports", "name"),
    Kind("Domain", _R.SENDING_SEE, "/domains/{id}", "domains", "name"),
    Kind("API key", _R.SENDING_SEE, "/keys?open={id}", "api_keys", "name", "num_nonnulls(application_id) = 1"),
    Kind("Application", _R.SENDING_SEE, "/applications?open={id}", "applications", "name", owner="id"),
    Kind("Webhook", _R.SENDING_SEE, "/webhooks/{id}", "webhook_endpoints", "url", "url <> ''"),
    Kind(
        "Event",
        _R.SENDING_SEE,
        "/webhooks/{place}/events/{id}",
        _EVENTS,
        where=_HEARD,
        id="e.id",
        place="w.id",
        also="e.id = %(row)s AND e.ahead > 0",
    ),
    Kind("Captured mail", _R.SENDING_SEE, "/sandbox/{id}", "captured_mails"),
    Kind("Suppression", _R.SUPPRESSIONS_SEE, "/suppressions?open={id}&for={owner}", "suppressions", owner="owner_id"),
    Kind("Pool", _R.MACHINE_SEE, "/pools#pool-{id}", "pools", "name", owner=_NOBODYS),
    Kind("IP", _R.MACHINE_SEE, "/ips/{name}", "egress_ips", "address", owner=_NOBODYS),
    Kind("Plan", _R.MACHINE_SEE, "/warmup/plans/{name}", "warmup_plans", "name", id="", owner=_NOBODYS),
    Kind("Seed account", _R.MACHINE_SEE, "/seeds?open={id}", "seeds", "address", owner=_NOBODYS),
    Kind("Alarm", _R.MACHINE_SEE, "/alarms?open={id}", "alarms", owner=_NOBODYS),
    Kind("Bounce", _R.MACHINE_SEE, "/bounces?open={id}", "inbound_mail", owner=_NOBODYS),
    Kind("User", _R.USERS_CHANGE, "/users?open={id}", "console_users", "email", owner=_NOBODYS),
    Kind("Change", _R.AUDIT_SEE, "/audit?open={id}", "audit_log", owner=_NOBODYS),
)
