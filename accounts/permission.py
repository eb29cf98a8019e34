"""Who may send what: the sender domains and pools that a key may use, for every door that takes mail.

One answer for the API and for SMTP submission. Raises `core.refusal.Refused`, with the codes below; asks the
`Directory` and changes nothing.
"""

from typing import Final
from uuid import UUID

from accounts.directory import Caller, Directory, SenderDomain
from core.queues import Lane
from core.refusal import Refused, invalid

NOT_ALLOWED: Final = "invalid_from_address"
"""Code: the domain of From is none that this key may send from."""

_LONGEST_NAME: Final = 200


async def sender_domain(directory: Directory, caller: Caller, name: str) -> SenderDomain:
    """The (folded) domain of From, if the key may send from it: one of its application's and verified, and the key's
    own if it has one.

    A test key's need not be verified: to try things is what comes first, and nothing leaves. It has to be there, so
    that a misspelt sender is found by tests, and so that there are keys to sign with.
    """
    found = await directory.sender_domain(caller.application_id, name)
    return allowed(found, name, test=caller.test, only=caller.domain_id)


def allowed(domain: SenderDomain | None, name: str, *, test: bool, only: UUID | None) -> SenderDomain:
    """The application's domain of that name if mail may leave from it, test mail, or mail of a key that has `only`
    one."""
    if domain is None:
        raise _not_allowed(f"the domain {name} is not one of yours", _TO_ADD if test else _TO_VERIFY)
    if only is not None and only != domain.id:
        raise _not_allowed(f"this API key may not send from {domain.name}", _TO_CHANGE)
    if domain.status != "verified" and not test:
        raise _not_allowed(f"the domain {domain.name} is not verified: its status is {domain.status}", _TO_PUBLISH)
    return domain


async def pool(directory: Directory, name: str, lane: Lane) -> UUID:
    """The pool of that name, if it serves the lane."""
    # A NUL cannot be part of a name, and PostgreSQL would not take it as a question.
    found = await directory.pool_id(name) if name and "\0" not in name and len(name) <= _LONGEST_NAME else None
    if found is None:
        raise invalid("pool", f"there is no pool {name[:_LONGEST_NAME]!r}")
    pool_id, pool_lane = found
    if pool_lane is not lane:
        raise invalid("pool", f"{name!r} belongs to the {pool_lane.value} stream, not to {lane.value}")
    return pool_id


def _not_allowed(reason: str, hint: str = "") -> Refused:
    return Refused("invalid", reason, hint=hint, code=NOT_ALLOWED)


_TO_VERIFY: Final = (
    "Add it in the console, by POST /domains or by `postlane domains create`; publish its records, and verify it."
)
_TO_PUBLISH: Final = "`postlane domains verify`, or its page in the console, says which records are missing."
_TO_CHANGE: Final = "Send from the domain that it was made for, or with another key: API keys, `postlane keys create`."
_TO_ADD: Final = (
    "Add it in the console, by POST /domains or by `postlane domains create`; for test mail it need not be verified."
)
