"""One run of the benchmark: the world, what is wanted, what was found so far. Handed to every case."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from rich.table import Table

from bench import rows
from bench.databases import BenchDatabase
from bench.errors import BenchError
from bench.figures import Figure
from bench.options import Options
from bench.world import World


@dataclass(slots=True)
class Session:
    """Collects figures. `say` tells people what is going on now."""

    world: World
    wanted: frozenset[str]
    """Keys of the figures asked for."""
    say: Callable[[str], None]
    found: dict[str, Figure] = field(default_factory=dict)
    omitted: dict[str, str] = field(default_factory=dict)
    """Figures that could not be measured, each with the reason."""
    tables: list[Table] = field(default_factory=list)
    """What a case has to show besides, once it is done."""
    deep: BenchDatabase | None = None
    """The database with the long queue, once it is made."""

    @property
    def options(self) -> Options:
        return self.world.options

    def wants(self, *keys: str) -> bool:
        """Whether any of these figures was asked for."""
        return not self.wanted.isdisjoint(keys)

    def add(self, key: str, runs: list[float], **settings: object) -> None:
        """Keep a figure, if it was asked for."""
        if key in self.wanted:
            self.found[key] = Figure(key, tuple(runs), settings)

    def deep_database(self, depth: int) -> BenchDatabase:
        """The database with at least `depth` marketing mails due, made at the first call."""
        if self.deep is None:
            self.deep = self.world.databases.copy("bench_deep")
        have = 0
        with self.deep.connect() as connection:
            have = rows.queued(connection)
            for first, last in rows.chunks(depth - have):
                self.say(f"queueing {depth:,} marketing mails: {have + first - 1:,}")
                rows.add_mail(connection, self.deep.rows, (have + first, have + last), f"deep{have}", queued=True)
            rows.settle(connection)
        self.world.databases.checkpoint()
        return self.deep


def expect(condition: bool, what: str, details: Mapping[str, object] | None = None) -> None:
    """BenchError when a figure would be wrong."""
    if not condition:
        raise BenchError(f"{what} {dict(details) if details else ''}".strip())
