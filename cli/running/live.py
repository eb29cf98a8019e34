"""The live terminal of `postlane up`: services, messages by lane and outcome, by provider, by IP.

Owns the drawing only. It is called from the supervisor's tick in the main thread; figures come from a reader that
looks at the counters twice a second and gives up quietly while the database is away.
"""

import contextlib
import sys
import termios
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cli.running.supervisor import ServiceState, Status
from core.visible import visible

REFRESH_SECONDS = 0.5
PLAIN_SECONDS = 5.0
"""Without a terminal a line of figures is printed this often."""

_FIXED_LINES = 9
"""Of the frame, besides services and rows of the two tables: border, blank lines, lanes, headings, one to spare."""

_BETWEEN = "   "
"""What parts two services of a line."""

_WIDE = 90
"""Columns of a terminal from which on every figure has its place."""

OUTCOMES = ("accepted", "delivered", "deferred", "bounced", "suppressed", "expired", "failed", "cancelled")

_COLOURS = {
    "accepted": "white",
    "delivered": "green",
    "deferred": "yellow",
    "bounced": "red",
    "suppressed": "magenta",
    "expired": "red",
    "failed": "red",
    "cancelled": "bright_black",
}

_CAME_BACK = {
    "late_bounced": ("bounced late", "red"),
    "complained": ("complained", "red"),
    "unsubscribed": ("unsubscribed", "yellow"),
    "opened": ("opened", "green"),
    "clicked": ("clicked", "green"),
}
"""What may follow a delivery, as it is shown."""

_STATUS = {
    Status.RUNNING: ("●", "green"),
    Status.STARTING: ("◐", "yellow"),
    Status.RESTARTING: ("↻", "red"),
    Status.STOPPING: ("◑", "yellow"),
    Status.STOPPED: ("○", "bright_black"),
    Status.WAITING: ("○", "bright_black"),
}

_TOLD = ("accepted", "delivered", "deferred", "bounced")
"""Outcomes where nobody looks at a table."""

_SELECT = """
SELECT lane, provider, ip, outcome, sum(n)::bigint FROM outcome_counts GROUP BY 1, 2, 3, 4
"""


@dataclass(slots=True)
class Figures:
    """Counters as last read, and the rate since the reading before."""

    rows: list[tuple[str, str, str, str, int]] = field(default_factory=list)
    at: float = 0.0
    rates: dict[str, float] = field(default_factory=dict)

    def by_lane(self) -> Counter[tuple[str, str]]:
        return self._sum(lambda lane, _p, _i: lane)

    def by_provider(self) -> Counter[tuple[str, str]]:
        return self._sum(lambda _l, provider, _i: provider)

    def by_ip(self) -> Counter[tuple[str, str]]:
        return self._sum(lambda _l, _p, ip: ip)

    def total(self, outcome: str) -> int:
        return sum(n for *_, name, n in self.rows if name == outcome)

    def _sum(self, key) -> Counter[tuple[str, str]]:  # type: ignore[no-untyped-def]  # a local lambda over three strings
        total: Counter[tuple[str, str]] = Counter()
        for lane, provider, ip, outcome, n in self.rows:
            total[key(lane, provider, ip), outcome] += n
        return total


class FigureReader:
    """Reads the counters over one synchronous connection of its own."""

    def __init__(self, database_url: str) -> None:
        self._url = database_url
        self._connection: psycopg.Connection | None = None
        self.figures = Figures()

    def read(self) -> None:
        """Update `figures`; keeps the old ones while PostgreSQL does not answer."""
        try:
            if self._connection is None or self._connection.closed:
                self._connection = psycopg.connect(
                    self._url, autocommit=True, connect_timeout=1, options="-c statement_timeout=1000"
                )
            rows = self._connection.execute(_SELECT).fetchall()
        except psycopg.Error:
            self._connection = None
            return
        before, now = self.figures, time.monotonic()
        new = Figures([tuple(row) for row in rows], now)
        if before.at:
            new.rates = _rates(before, new, now - before.at)
        self.figures = new

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _rates(before: Figures, new: Figures, seconds: float) -> dict[str, float]:
    """Deliveries a second by lane, smoothed a little so that the eye can follow."""
    old, current = before.by_lane(), new.by_lane()
    lanes = {lane for lane, _ in current}
    measured = {lane: (current[lane, "delivered"] - old[lane, "delivered"]) / seconds for lane in lanes}
    return {lane: 0.6 * before.rates.get(lane, rate) + 0.4 * rate for lane, rate in measured.items()}


class LiveTerminal:
    """Draws while it is entered. `tick` may be called as often as one likes."""

    def __init__(self, console: Console, reader: FigureReader, title: str) -> None:
        self._console = console
        self._reader = reader
        self._title = title
        self._next = 0.0
        self._live = (
            Live(console=console, auto_refresh=False, screen=False, vertical_overflow="crop")
            if console.is_terminal
            else None
        )
        self._last_lines: dict[str, str] = {}
        self._quiet = _no_echo()

    def __enter__(self) -> "LiveTerminal":
        if self._live:
            self._quiet.__enter__()
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()
            self._quiet.__exit__(None, None, None)
        self._reader.close()

    def say(self, *lines: RenderableType) -> None:
        """Print lines once, above the figures and without a frame: a long command stays one line when copied."""
        for line in lines:
            self._console.print(line, soft_wrap=True, highlight=False)

    def tick(self, states: Sequence[ServiceState]) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + (REFRESH_SECONDS if self._live else PLAIN_SECONDS)
        self._reader.read()
        if self._live:
            self._live.update(self._draw(states), refresh=True)
        else:
            self._print_line(states)

    def _print_line(self, states: Sequence[ServiceState]) -> None:
        lines = _plain(self._reader.figures.by_lane())
        broken = [state.name for state in states if state.status is Status.RESTARTING]
        lines |= {"restarting": f"restarting: {', '.join(broken)}"} if broken else {}
        for name, line in lines.items():
            if line != self._last_lines.get(name):
                self._console.print(f"{datetime.now(UTC):%H:%M:%S} {line}", soft_wrap=True)
        self._last_lines = lines

    def _draw(self, states: Sequence[ServiceState]) -> RenderableType:
        figures = self._reader.figures
        inner = max(1, self._console.width - 4)
        services = _services(states, inner)
        came_back = _came_back(figures)
        taken = _FIXED_LINES + len(services.wrap(self._console, inner)) + len(came_back)
        rows = max(1, self._console.height - taken)
        wide = self._console.width >= _WIDE
        outcomes = ("delivered", "deferred", "bounced") if wide else ("delivered", "deferred")
        tables = Table.grid(expand=True, padding=(0, 2))
        tables.add_column(ratio=1)
        tables.add_column(ratio=1)
        tables.add_row(
            _table("Provider", figures.by_provider(), outcomes, rows),
            _table("IP", figures.by_ip(), outcomes, rows),
        )
        body = Group(services, Text(), _lanes(figures, wide), *came_back, Text(), tables)
        return Panel(body, title=f"[bold]Postlane[/] · {self._title}", border_style="bright_black", padding=(0, 1))


def _plain(lanes: Counter[tuple[str, str]]) -> dict[str, str]:
    """A line for each lane, of 80 columns below a million: what became of its mail so far."""
    found = {}
    for lane in sorted({lane for lane, _ in lanes}):
        parts = [f"{lanes[lane, outcome]:,} {outcome}" for outcome in _TOLD if lanes[lane, outcome]]
        found[lane] = f"{lane}: {', '.join(parts) or 'nothing yet'}"
    return found


def _services(states: Iterable[ServiceState], width: int) -> Text:
    """Side by side, in as many lines as it takes: a mark never stands at the end of a line without its name."""
    lines: list[Text] = []
    for one in map(_service, states):
        if lines and lines[-1].cell_len + len(_BETWEEN) + one.cell_len <= width:
            lines[-1].append(_BETWEEN).append_text(one)
        else:
            lines.append(one)
    return Text("\n").join(lines)


def _service(state: ServiceState) -> Text:
    mark, colour = _STATUS[state.status]
    text = Text.assemble((f"{mark} ", colour), state.name)
    if state.restarts:
        text.append(f" ↻{state.restarts}", style="yellow")
    return text


def _lanes(figures: Figures, wide: bool) -> Table:
    counts = figures.by_lane()
    table = Table(box=None, pad_edge=False, expand=True, header_style="bright_black")
    table.add_column("Lane")
    always = ("accepted", "delivered", "deferred", "bounced")
    shown = [o for o in OUTCOMES if o in always or (wide and _any(counts, o))]
    for outcome in shown:
        table.add_column(outcome, justify="right")
    for heading in ("on its way", "per second") if wide else ("under way", "a second"):
        table.add_column(heading, justify="right")
    for lane in ("transactional", "marketing"):
        ended = sum(counts[lane, o] for o in OUTCOMES if o not in ("accepted", "deferred"))
        table.add_row(
            Text(lane, style="bold"),
            *(_number(counts[lane, outcome], outcome) for outcome in shown),
            f"{max(0, counts[lane, 'accepted'] - ended):,}",
            f"{figures.rates.get(lane, 0):,.0f}",
        )
    return table


def _came_back(figures: Figures) -> list[Text]:
    """One line once there is something to tell: what followed the deliveries. Never two, whatever the width."""
    found = [(figures.total(outcome), *shown) for outcome, shown in _CAME_BACK.items()]
    parts = [Text(f"{n:,} {words}", style=colour) for n, words, colour in found if n]
    return [Text(" · ", style="bright_black", no_wrap=True, overflow="ellipsis").join(parts)] if parts else []


def _any(counts: Counter[tuple[str, str]], outcome: str) -> bool:
    return any(n for (_, name), n in counts.items() if name == outcome)


def _number(n: int, outcome: str) -> Text:
    return Text(f"{n:,}", style=_COLOURS[outcome] if n else "bright_black")


def _table(head: str, counts: Counter[tuple[str, str]], outcomes: Sequence[str], rows: int) -> Table:
    """The busiest of them: a frame higher than the terminal cannot be drawn over, and would be left there twice."""
    table = Table(box=None, pad_edge=False, expand=True, header_style="bright_black")
    table.add_column(head)
    for outcome in outcomes:
        table.add_column(outcome, justify="right")
    names = {key for key, outcome in counts if key and outcome in outcomes}
    busiest = sorted(names, key=lambda name: -sum(counts[name, outcome] for outcome in outcomes))
    shown = busiest if len(busiest) <= rows else busiest[: rows - 1]
    for name in sorted(shown):
        table.add_row(Text(visible(name)), *(_number(counts[name, outcome], outcome) for outcome in outcomes))
    if len(busiest) > len(shown):
        table.add_row(Text(f"and {len(busiest) - len(shown)} more", style="bright_black"))
    return table


@contextlib.contextmanager
def _no_echo() -> Iterator[None]:
    """What is typed is not shown: the `^C` of Ctrl-C would move the frame, and the next one would be drawn below it."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    quiet = [*before[:3], before[3] & ~termios.ECHO, *before[4:]]
    termios.tcsetattr(sys.stdin, termios.TCSANOW, quiet)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
