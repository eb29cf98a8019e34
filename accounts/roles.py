"""What a person may do in the console: one table of rights by role. Pure.

A right is a pair of an area and an act. Who is limited to some applications has no right to what belongs to the
installation: its IPs, its users, its settings.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Role(StrEnum):
    """What somebody is here for. The values are stored."""

    ADMIN = "admin"
    OPERATOR = "operator"
    MARKETER = "marketer"
    DEVELOPER = "developer"
    VIEWER = "viewer"


class Right(StrEnum):
    """One thing that may be allowed."""

    MAIL_SEE = "mail.see"
    """That a mail was sent to whom, and what became of it."""
    MAIL_CONTENT = "mail.content"
    """What stands in it."""
    MAIL_CHANGE = "mail.change"
    """Cancel, send again."""
    SUPPRESSIONS_SEE = "suppressions.see"
    SUPPRESSIONS_CHANGE = "suppressions.change"
    SENDING_SEE = "sending.see"
    """Domains, keys, webhooks, sandbox, request log."""
    SENDING_CHANGE = "sending.change"
    APPLICATIONS_CHANGE = "applications.change"
    """Make, rename, limit and delete applications."""
    CAMPAIGNS_SEE = "campaigns.see"
    CAMPAIGNS_CHANGE = "campaigns.change"
    """Write and edit; templates too."""
    CAMPAIGNS_SEND = "campaigns.send"
    """Start, pause, resume, cancel: what reaches people."""
    PEOPLE_SEE = "people.see"
    """Contacts, segments, topics, forms."""
    PEOPLE_CHANGE = "people.change"
    REPORTS_SEE = "reports.see"
    MACHINE_SEE = "machine.see"
    """Pools, IPs, warm-up, providers, alarms, seeds."""
    MACHINE_CHANGE = "machine.change"
    SYSTEM_SEE = "system.see"
    """Processes, queues, settings in force."""
    USERS_CHANGE = "users.change"
    """Users and everybody's sessions."""
    AUDIT_SEE = "audit.see"


_R = Right

OF_THE_INSTALLATION: Final = frozenset(
    {_R.APPLICATIONS_CHANGE, _R.MACHINE_SEE, _R.MACHINE_CHANGE, _R.SYSTEM_SEE, _R.USERS_CHANGE, _R.AUDIT_SEE}
)
"""What nobody has who is limited to some applications."""

_MAIL: Final = {_R.MAIL_SEE, _R.MAIL_CONTENT, _R.MAIL_CHANGE, _R.SUPPRESSIONS_SEE, _R.SUPPRESSIONS_CHANGE}
_CAMPAIGNS: Final = {_R.CAMPAIGNS_SEE, _R.CAMPAIGNS_CHANGE, _R.CAMPAIGNS_SEND}
_PEOPLE: Final = {_R.PEOPLE_SEE, _R.PEOPLE_CHANGE}

RIGHTS: Final[Mapping[Role, frozenset[Right]]] = MappingProxyType(
    {
        Role.ADMIN: frozenset(Right),
        Role.OPERATOR: frozenset(
            {
                *_MAIL, _R.SENDING_SEE, _R.SENDING_CHANGE, _R.APPLICATIONS_CHANGE, _R.CAMPAIGNS_SEE, _R.REPORTS_SEE,
                _R.MACHINE_SEE, _R.MACHINE_CHANGE, _R.SYSTEM_SEE, _R.AUDIT_SEE,
            }
        ),
        Role.MARKETER: frozenset(
            {*_CAMPAIGNS, *_PEOPLE, _R.MAIL_SEE, _R.MAIL_CONTENT, _R.SUPPRESSIONS_SEE, _R.REPORTS_SEE}
        ),
        Role.DEVELOPER: frozenset({*_MAIL, _R.SENDING_SEE, _R.SENDING_CHANGE, _R.CAMPAIGNS_SEE, _R.REPORTS_SEE}),
        Role.VIEWER: frozenset(
            {
                _R.MAIL_SEE, _R.SUPPRESSIONS_SEE, _R.SENDING_SEE, _R.CAMPAIGNS_SEE, _R.PEOPLE_SEE, _R.REPORTS_SEE,
                _R.MACHINE_SEE,
            }
        ),
    }
)  # fmt: skip

MEANING: Final[Mapping[Role, str]] = {
    Role.ADMIN: "Everything, users included",
    Role.OPERATOR: "IPs, warm-up, alarms, mail, suppressions, applications, domains and keys",
    Role.MARKETER: "Campaigns, people, segments, templates; sees mail",
    Role.DEVELOPER: "Mail, domains, keys, webhooks, sandbox",
    Role.VIEWER: "Looks at everything but contents, System, Flags, users and the audit log",
}
"""Each role in a line, for whoever gives one."""

ALLOWS: Final[Mapping[Right, str]] = {
    _R.MAIL_SEE: "see mail and what became of it",
    _R.MAIL_CONTENT: "read what stands in mail",
    _R.MAIL_CHANGE: "cancel mail and send it again",
    _R.SUPPRESSIONS_SEE: "see suppressions",
    _R.SUPPRESSIONS_CHANGE: "change suppressions",
    _R.SENDING_SEE: "see domains, keys, webhooks and the request log",
    _R.SENDING_CHANGE: "change domains, keys and webhooks",
    _R.APPLICATIONS_CHANGE: "make and change applications",
    _R.CAMPAIGNS_SEE: "see campaigns and templates",
    _R.CAMPAIGNS_CHANGE: "write campaigns and templates",
    _R.CAMPAIGNS_SEND: "start, pause and stop campaigns",
    _R.PEOPLE_SEE: "see people, segments and forms",
    _R.PEOPLE_CHANGE: "change people, segments and forms",
    _R.REPORTS_SEE: "see reports",
    _R.MACHINE_SEE: "see IPs, pools, warm-up and alarms",
    _R.MACHINE_CHANGE: "change IPs, pools, warm-up and alarms",
    _R.SYSTEM_SEE: "see processes, queues and settings",
    _R.USERS_CHANGE: "manage users",
    _R.AUDIT_SEE: "see the audit log",
}
"""Each right as what somebody may do, for whoever lacks it: `X may not {}`."""


def roles_with(right: Right) -> list[Role]:
    """Roles that have it, the widest first."""
    return [role for role in Role if right in RIGHTS[role]]


def rights_of(role: Role, *, limited: bool) -> frozenset[Right]:
    """What the role allows; `limited` to some applications, without what belongs to the installation."""
    return RIGHTS[role] - OF_THE_INSTALLATION if limited else RIGHTS[role]
