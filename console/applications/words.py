"""What pages say of applications. Pure."""

from collections.abc import Sequence

from accounts.quotas import Quota
from accounts.repository import Tenant
from console.shown import plural


def who_sends(tenants: Sequence[Tenant], accepted: int) -> str:
    """The answer of the list."""
    if not tenants:
        return "Nobody yet: an application owns the domains and keys of whoever sends."
    limited = sum(bool(one.application.quota) for one in tenants)
    told = "None has a quota." if not limited else f"{limited} {'has' if limited == 1 else 'have'} a quota."
    return f"{plural(len(tenants), 'application')} brought in {accepted:,} messages in the last 24 hours. {told}"


def limit(quota: Quota) -> str:
    """A quota in few words."""
    parts = [f"{n:,} a {unit}" for n, unit in ((quota.per_day, "day"), (quota.per_second, "second")) if n]
    return ", ".join(parts) or "none"


def used(one: Tenant) -> str:
    """How much of its quota is used."""
    quota = one.application.quota
    today = one.messages_today or 0
    if not quota:
        return "It brings in as much as it likes."
    if quota.per_day is None:
        return f"{plural(today, 'message')} brought in today (UTC)."
    left = max(0, quota.per_day - today)
    return f"{today:,} of {plural(quota.per_day, 'message')} brought in today (UTC); {left:,} are left."
