"""Charts drawn on the server: what was counted → places of shapes, in percent of the drawing. Pure.

Percent and no view box, so that a chart is as wide as its page and its text stays as large as it is; lines are drawn
in a nested box that is stretched. Volumes begin at zero, gaps stay gaps. The macros of `layout/charts.html` draw them,
each with its table behind it.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

TICKS: Final = 3
"""Lines behind the drawing, about."""
_LABELS: Final = 7
"""Labels on the axis of time, at most: so many fit on a phone."""
_GAP: Final = 0.25
"""Of a column's place, left empty."""


@dataclass(frozen=True, slots=True)
class Column:
    """One step of time: what it is called, and how much of each tone there was."""

    label: str
    counts: Mapping[str, int]
    title: str = ""
    """In full, for whoever points at it; the label where that says all."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A part of a column, in percent."""

    tone: str
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class Stack:
    """A drawn column."""

    x: float
    width: float
    bars: Sequence[Bar]
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A label with its place, in percent."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Stacked:
    """Columns of several tones on top of each other."""

    stacks: Sequence[Stack]
    ticks: Sequence[Tick]
    labels: Sequence[Tick]
    columns: Sequence[Column]
    tones: Sequence[tuple[str, str]]
    """(tone, what it is called), from the bottom."""
    totals: Mapping[str, int] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        """Nothing was counted."""
        return not any(self.totals.values())

    @property
    def shapes(self) -> Mapping[str, str]:
        """By tone: its bars as one path of a box of 100 by 100. As elements they would be half of a page."""
        found: dict[str, list[str]] = {}
        for stack in self.stacks:
            for bar in stack.bars:
                box = f"M{stack.x:g} {bar.y:g}h{stack.width:g}v{bar.height:g}h-{stack.width:g}z"
                found.setdefault(bar.tone, []).append(box)
        return {tone: "".join(boxes) for tone, boxes in found.items()}


def stacked(columns: Sequence[Column], tones: Sequence[tuple[str, str]]) -> Stacked:
    """Columns over time; `tones` from the bottom, each with its name."""
    names = [tone for tone, _ in tones]
    most = max((sum(column.counts.get(name, 0) for name in names) for column in columns), default=0)
    top, ticks = scale(most)
    place = 100 / max(1, len(columns))
    stacks = [_stack(column, names, top, (n * place, place)) for n, column in enumerate(columns)]
    totals = {name: sum(column.counts.get(name, 0) for column in columns) for name in names}
    return Stacked(stacks, ticks, _labels([column.label for column in columns]), columns, tones, totals)


@dataclass(frozen=True, slots=True)
class Line:
    """One series of a line chart, as points of a box of 100 by 100; gaps part it."""

    tone: str
    name: str
    points: Sequence[str]
    """For `<polyline points=...>`, one a piece."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Series over time, with lines that are not to be crossed."""

    lines: Sequence[Line]
    ticks: Sequence[Tick]
    labels: Sequence[Tick]
    limits: Sequence[tuple[float, str]]
    """(y in percent, what it says)."""
    rows: Sequence[tuple[str, Sequence[str]]] = ()
    """The table behind it: each label with the values of all series, "—" where nothing is known."""

    @property
    def empty(self) -> bool:
        """Nothing is known of any series."""
        return not any(line.points for line in self.lines)


def lines(
    labels: Sequence[str],
    series: Sequence[tuple[str, str, Sequence[float | None]]],
    limits: Sequence[tuple[float, str]] = (),
    *,
    percent: bool = False,
) -> Lines:
    """Lines over time: (tone, name, values), None where nothing is known. `percent`: values are parts of 1."""
    known = [value for _, _, values in series for value in values if value is not None]
    top, ticks = scale(max([*known, *(value for value, _ in limits)], default=0), percent=percent)
    drawn = [Line(tone, name, list(_pieces(values, top))) for tone, name, values in series]
    rows = [(label, [_exact(values[n], percent) for _, _, values in series]) for n, label in enumerate(labels)]
    places = [(100 - value / top * 100, text) for value, text in limits]
    return Lines(drawn, ticks, _labels(labels), places, rows)


def share(part: float, whole: float) -> float:
    """Percent of a bar that is full: 0 to 100."""
    return 0.0 if whole <= 0 else round(min(100.0, max(0.0, part / whole * 100)), 2)


def scale(most: float, *, percent: bool = False) -> tuple[float, list[Tick]]:
    """The top of an axis that begins at zero, and its lines at round numbers."""
    if most <= 0:
        return 1.0, []
    rough = most / TICKS
    size = 10 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    if not percent:
        step = max(1.0, step)
    count = math.ceil(most / step - 1e-9)
    top = step * count
    return top, [Tick(round(100 - n * step / top * 100, 1), _figure(n * step, percent)) for n in range(1, count + 1)]


def _figure(value: float, percent: bool) -> str:
    if percent:
        return f"{value * 100:.3f}".rstrip("0").rstrip(".") + " %"
    if value >= 1e6:
        return f"{value / 1e6:g} M"
    return f"{value / 1e3:g} k" if value >= 1e4 else f"{value:,.0f}"


def _exact(value: float | None, percent: bool) -> str:
    if value is None:
        return "\N{EM DASH}"
    return f"{value * 100:.3f}".rstrip("0").rstrip(".") + " %" if percent else f"{value:,.1f}"


def _stack(column: Column, names: Sequence[str], top: float, place: tuple[float, float]) -> Stack:
    x, width = place
    bars, below = [], 0.0
    for name in names:
        height = column.counts.get(name, 0) / top * 100
        if height:
            bars.append(Bar(name, round(100 - below - height, 1), round(height, 1)))
        below += height
    return Stack(round(x + width * _GAP / 2, 2), round(width * (1 - _GAP), 2), bars, column.title or column.label)


def _labels(texts: Sequence[str]) -> list[Tick]:
    every = max(1, math.ceil(len(texts) / _LABELS))
    place = 100 / max(1, len(texts))
    return [Tick(round((n + 0.5) * place, 3), text) for n, text in enumerate(texts) if n % every == every // 2]


def _pieces(values: Sequence[float | None], top: float) -> list[str]:
    place = 100 / max(1, len(values))
    pieces: list[list[tuple[float, float]]] = [[]]
    for n, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append(((n + 0.5) * place, 100 - value / top * 100))
    return [" ".join(f"{x:.2f},{y:.2f}" for x, y in _seen(piece, place)) for piece in pieces if piece]


def _seen(piece: Sequence[tuple[float, float]], place: float) -> Sequence[tuple[float, float]]:
    """A line of one point would not be drawn: it becomes as long as half its place."""
    if len(piece) > 1:
        return piece
    x, y = piece[0]
    return [(x - place / 4, y), (x + place / 4, y)]
