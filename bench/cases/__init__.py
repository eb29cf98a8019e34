"""How each figure is measured: one module a group, one function `measure` in each, in the order of `ALL`.

A case raises BenchError rather than report a figure that is wrong: every mail is counted at the sink and in the
database, and a process that ended by itself spoils the run.
"""

from collections.abc import Awaitable, Callable, Mapping

from bench.cases import (
    answers,
    api,
    backlog,
    beside,
    campaign,
    clicks,
    contacts,
    cost,
    latency,
    limits,
    pages,
    reports,
    reroute,
    round_trips,
    suppression,
    telling,
    throughput,
    webhooks,
)
from bench.session import Session

ALL: Mapping[str, tuple[tuple[str, ...], Callable[[Session], Awaitable[None]]]] = {
    "throughput": (throughput.KEYS, throughput.measure),
    "cost": (cost.KEYS, cost.measure),
    "limits": (limits.KEYS, limits.measure),
    "reroute": (reroute.KEYS, reroute.measure),
    "round trips": (round_trips.KEYS, round_trips.measure),
    "api": (api.KEYS, api.measure),
    "clicks": (clicks.KEYS, clicks.measure),
    "webhooks": (webhooks.KEYS, webhooks.measure),
    "telling": (telling.KEYS, telling.measure),
    "campaign": (campaign.KEYS, campaign.measure),
    "contacts": (contacts.KEYS, contacts.measure),
    "answers": (answers.KEYS, answers.measure),
    "pages": (pages.KEYS, pages.measure),
    "latency": (latency.IDLE_KEYS, latency.measure_idle),
    "reports": (reports.KEYS, reports.measure),
    "reports beside sending": (beside.KEYS, beside.measure),
    "backlog": (backlog.KEYS, backlog.measure),
    "latency under load": (latency.LOADED_KEYS, latency.measure_loaded),
    "suppression": (suppression.KEYS, suppression.measure),
}
"""Name for people → keys of its figures, function. The loaded latency comes after the backlog and uses its queue."""
