"""Figures and what is asked of them: several runs become a median with its spread, and a budget says what is enough.

Pure. The budgets are those of the design; keys are those of `build/bench.json`.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Better(StrEnum):
    """Which way a figure is good."""

    HIGHER = "higher"
    LOWER = "lower"


class Standing(StrEnum):
    """How a figure stands against its budget."""

    AIM = "aim"
    ENOUGH = "at least"
    BELOW = "below"
    UNBOUND = ""
    """No budget."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What the design asks for. `least` is a must, `aim` a wish; some figures have no wish beyond the must."""

    least: float
    aim: float | None
    better: Better = Better.HIGHER


@dataclass(frozen=True, slots=True)
class Kind:
    """One figure: its unit, its meaning in a few words, its budget."""

    unit: str
    meaning: str
    digits: int = 0
    budget: Budget | None = None


KINDS: Mapping[str, Kind] = {
    "delivered_per_s": Kind("msg/s", "first POST /emails/batch to last 250, all steps"),
    "postfix_opendkim_per_s": Kind("msg/s", "Postfix + OpenDKIM on a Unix socket (Debian), first MAIL to last 250"),
    "ratio": Kind("x", "the first against the second, run by run", 2, Budget(4.5, 6)),
    "postfix_opendkim_inet_per_s": Kind("msg/s", "the same pair, OpenDKIM on a TCP socket"),
    "ratio_inet": Kind("x", "the first against that, run by run", 2),
    "rsa_limit_share": Kind("", "share of the RSA-2048 signatures all cores can make", 3, Budget(0.28, 0.40)),
    "cpu_ms_per_mail": Kind(
        "ms", "processor time of a delivered mail, all processes", 3, Budget(0.85, 0.65, Better.LOWER)
    ),
    "steps_cpu_us": Kind("us", "the same by step, in the JSON; workers sampled in a run of their own"),
    "wal_bytes_per_message": Kind("bytes", "WAL of one mail of a batch, accepted to recorded"),
    "rows_per_message": Kind("rows", "inserted, updated and deleted for it", 1),
    "stored_bytes_per_message": Kind("bytes", "by which tables and indexes grow for it, content included"),
    "valkey_commands_per_message": Kind("commands", "asked of Valkey for it", 2),
    "loopback_bytes_per_message": Kind("bytes", "of HTTP, SMTP, DNS and Valkey for it"),
    "limits_ratio": Kind(
        "x", "throughput with provider limits and a warming IP in force, against without", 2, Budget(0.9, None)
    ),
    "reroute_ms_p50": Kind(
        "ms", "throttle reply to 250 through another IP, same mail", 1, Budget(20, 10, Better.LOWER)
    ),
    "reroute_ms_p99": Kind("ms", "the same, 99th percentile", 1, Budget(150, 60, Better.LOWER)),
    "data_50ms_per_s": Kind("msg/s", "one connection, 50 ms of round trip: by DATA with PIPELINING"),
    "bdat_50ms_per_s": Kind("msg/s", "the same by BDAT, one mail at a time", 1, Budget(18, None)),
    "bdat_window_50ms_per_s": Kind("msg/s", "the same by BDAT, up to four mails under way", 1, Budget(60, None)),
    "api_single_per_s": Kind("req/s", "POST /emails, one API process, 32 clients", 0, Budget(3000, 4000)),
    "api_batch_per_s": Kind("msg/s", "POST /emails/batch, one API process", 0, Budget(12_000, 20_000)),
    "click_redirect_ms": Kind(
        "ms", "pixel or link asked to answer, one process, 16 clients at once, median", 2, Budget(10, 5, Better.LOWER)
    ),
    "links_per_s": Kind("req/s", "pixels and links answered and noted, one process", 0, Budget(2000, 3000)),
    "webhook_events_per_s": Kind("event/s", "events from the outbox to one receiver, one background process"),
    "told_tracked_ratio": Kind(
        "x", "throughput with opens, clicks and every webhook, against throughput without", 2, Budget(0.85, 0.95)
    ),
    "untold_cost": Kind(
        "", "share of a message's time for webhooks and tracking that are off", 4, Budget(0.03, 0.01, Better.LOWER)
    ),
    "campaign_per_s": Kind("msg/s", "a campaign's start to its last 250, all steps, links and opens tracked"),
    "campaign_ratio": Kind("x", "the same against plain mail of the same size", 2, Budget(0.75, 1.0)),
    "campaign_first_mail_ms": Kind(
        "ms", "start of a campaign to a million to its first 250", 0, Budget(2000, 1000, Better.LOWER)
    ),
    "bytes_per_recipient": Kind(
        "bytes", "of the database for one person of a campaign", 0, Budget(600, 400, Better.LOWER)
    ),
    "campaign_memory_ratio": Kind(
        "x",
        "most memory of feed and workers by the end of a large campaign, against one to 10,000",
        2,
        Budget(1.25, 1.1, Better.LOWER),
    ),
    "segment_count_ms": Kind("ms", "people of a segment counted among a million", 0, Budget(1000, 300, Better.LOWER)),
    "import_rows_per_s": Kind("line/s", "people of a foreign list brought in, one process", 0, Budget(20_000, 40_000)),
    "report_ms": Kind(
        "ms",
        "a month of ten million messages as a report, the slowest way to break it down",
        0,
        Budget(100, 50, Better.LOWER),
    ),
    "page_ms": Kind(
        "ms", "the slowest page of the console, its median, with millions of messages", 1, Budget(50, 25, Better.LOWER)
    ),
    "tx_idle_p50_ms": Kind("ms", "API answer to remote 250, nothing else to do", 1, Budget(8, 5, Better.LOWER)),
    "tx_idle_p99_ms": Kind("ms", "the same, 99th percentile", 1, Budget(13, 10, Better.LOWER)),
    "tx_loaded_p50_ms": Kind("ms", "the same beside a marketing backlog at full speed", 1, Budget(14, 6, Better.LOWER)),
    "tx_loaded_p99_ms": Kind("ms", "the same, 99th percentile", 1, Budget(60, 40, Better.LOWER)),
    "backlog_ratio": Kind("x", "throughput with the deep queue against the shallow one", 2, Budget(0.9, 0.98)),
    "suppression_cost": Kind("", "share of a message's time for the long list", 4, Budget(0.04, 0.02, Better.LOWER)),
    "suppression_import_per_s": Kind(
        "line/s", "lines of a suppression list brought into the long list, one process", 0, Budget(20_000, 40_000)
    ),
    "dsn_per_s": Kind("msg/s", "bounce reports taken, understood and recorded", 0, Budget(200, 800)),
    "dsn_beside_sending": Kind(
        "msg/s", "the same beside full sending, of 200 a second that come in", 0, Budget(180, 195)
    ),
    "worker_memory_growth_mb": Kind("MB", "growth of the largest marketing worker after its first run", 1),
}
"""Every figure, in the order of the table."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured figure."""

    key: str
    runs: tuple[float, ...]
    """One value a run; the figure is their median."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """How it was measured, and what was seen besides."""

    @property
    def value(self) -> float:
        """The median of the runs."""
        return statistics.median(self.runs)

    @property
    def standing(self) -> Standing:
        """How it stands against its budget."""
        return standing(self.value, KINDS[self.key].budget)

    def as_json(self) -> dict[str, object]:
        """What JSON holds of it beside the plain value."""
        kind = KINDS[self.key]
        return {
            "value": self.value,
            "unit": kind.unit,
            "meaning": kind.meaning,
            "min": min(self.runs),
            "max": max(self.runs),
            "runs": list(self.runs),
            "at_least": kind.budget.least if kind.budget else None,
            "aim": kind.budget.aim if kind.budget else None,
            "settings": dict(self.settings),
        }


def standing(value: float, budget: Budget | None) -> Standing:
    """`value` against `budget`; a value right on the line is enough."""
    if budget is None or math.isnan(value):
        return Standing.UNBOUND
    sign = 1 if budget.better is Better.HIGHER else -1
    if budget.aim is not None and value * sign >= budget.aim * sign:
        return Standing.AIM
    return Standing.ENOUGH if value * sign >= budget.least * sign else Standing.BELOW


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of all values do not exceed: nearest rank, never a mean of two
    values, so that a percentile is something that was really seen. ValueError for no values."""
    if not values or not 0 <= share <= 1:
        raise ValueError("a percentile wants values, and a share from 0 to 1")
    rank = max(1, math.ceil(share * len(values)))
    return sorted(values)[rank - 1]
