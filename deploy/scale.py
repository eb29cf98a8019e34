"""The arithmetic of `docs/scale.md`: what a rate of mail wants, reckoned from what one mail costs.

`python -m deploy.scale` prints the table; a test holds the page against it. The costs are those of the page's first
tables: counted by `bench/cases/cost`, processor time from the run "half way" of docs/benchmarks.md. Nothing at run time
imports this module.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

DAY: Final = 86_400
PEAK: Final = 4
"""Most mail leaves within six hours of a day."""
BUSY: Final = 0.7
"""Of a core's time: what is above waits for its turn."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one plain mail of 5 KB to one recipient, sent in a batch."""

    worker_ms: float = 0.636
    postgres_ms: float = 0.137
    api_ms: float = 0.058
    wal_bytes: float = 7_045
    commits: float = 0.029
    content_bytes: float = 8_243
    kept_bytes: float = 1_183
    valkey_commands: float = 2.57
    network_bytes: float = 11_717


@dataclass(frozen=True, slots=True)
class Rate:
    """So many mails a day."""

    a_day: float

    @property
    def mean(self) -> float:
        """A second, spread evenly."""
        return self.a_day / DAY

    @property
    def peak(self) -> float:
        """A second, when it is busy."""
        return self.mean * PEAK

    def cores(self, milliseconds: float) -> float:
        """That have `milliseconds` to do for each mail."""
        return self.peak * milliseconds / 1000 / BUSY

    def disk(self, cost: Cost, content_days: int, event_days: int) -> float:
        """Bytes that lie there when the oldest are dropped."""
        return self.a_day * (cost.content_bytes * content_days + cost.kept_bytes * event_days)


RATES: Final = tuple(Rate(a_day) for a_day in (1e6, 1e7, 1e8, 1e9))
COST: Final = Cost()

ROWS: Final[Mapping[str, Callable[[Rate], float]]] = {
    "mails a second, mean": lambda rate: rate.mean,
    "mails a second, peak": lambda rate: rate.peak,
    "cores of lane workers": lambda rate: rate.cores(COST.worker_ms),
    "cores of PostgreSQL": lambda rate: rate.cores(COST.postgres_ms),
    "cores of the API": lambda rate: rate.cores(COST.api_ms),
    "WAL a day, GB": lambda rate: rate.a_day * COST.wal_bytes / 1e9,
    "WAL at the peak, MB/s": lambda rate: rate.peak * COST.wal_bytes / 1e6,
    "commits a second, peak": lambda rate: rate.peak * COST.commits,
    "disk, 7 days of content and 90 of events, GB": lambda rate: rate.disk(COST, 7, 90) / 1e9,
    "disk, 2 and 30 days, GB": lambda rate: rate.disk(COST, 2, 30) / 1e9,
    "commands of Valkey a second, peak": lambda rate: rate.peak * COST.valkey_commands,
    "network at the peak, Mbit/s": lambda rate: rate.peak * COST.network_bytes * 8 / 1e6,
}


def number(value: float) -> str:
    """Two digits that count, or whole."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def table() -> Iterator[str]:
    """The rows, as the page has them."""
    for name, reckon in ROWS.items():
        yield f"| {name} | " + " | ".join(number(reckon(rate)) for rate in RATES) + " |"


def addresses(a_second: float, connections: int, seconds: float) -> float:
    """IPs that a provider's share of the mail wants, when each may have so many connections, and a mail takes so long
    on one of them."""
    return a_second * seconds / connections


if __name__ == "__main__":
    print("\n".join(table()))
