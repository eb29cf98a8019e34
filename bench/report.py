"""The table and the JSON of a run. Pure but for writing the file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.table import Table

from bench.figures import KINDS, Better, Budget, Figure, Standing
from bench.options import Options

_COLOURS = {Standing.AIM: "green", Standing.ENOUGH: "yellow", Standing.BELOW: "red", Standing.UNBOUND: ""}


def table(figures: Sequence[Figure], omitted: Mapping[str, str]) -> Table:
    """All figures in the order of `KINDS`, with what is asked of them; those left out with the reason."""
    shown = Table(title="Postlane's figures", caption="median (least - most) of the runs; details in the JSON")
    for heading in ("figure", "value", "spread", "at least", "aim", "", "meaning"):
        right = heading in ("value", "spread", "at least", "aim")
        shown.add_column(heading, justify="right" if right else "left", no_wrap=heading != "meaning")
    found = {figure.key: figure for figure in figures}
    for key, kind in KINDS.items():
        if key in found:
            figure = found[key]
            colour = _COLOURS[figure.standing]
            value = f"[{colour}]{number(figure.value, kind.digits)}[/]" if colour else number(figure.value, kind.digits)
            shown.add_row(
                key, f"{value} {kind.unit}".strip(), _spread(figure, kind.digits), *_asked(kind.budget, kind.digits),
                figure.standing.value, kind.meaning,
            )  # fmt: skip
        elif key in omitted:
            shown.add_row(key, "[dim]not measured[/]", "", *_asked(kind.budget, kind.digits), "", omitted[key])
    return shown


def number(value: float, digits: int) -> str:
    """A figure as people read it."""
    return f"{value:,.{digits}f}"


def as_json(
    figures: Sequence[Figure], omitted: Mapping[str, str], facts: Mapping[str, object], options: Options
) -> dict[str, object]:
    """What `build/bench.json` holds: the plain values at the top, by key, then how they came about."""
    settings = {name: str(value) if isinstance(value, Path) else value for name, value in asdict(options).items()}
    return {
        **{figure.key: round(figure.value, KINDS[figure.key].digits + 3) for figure in figures},
        **facts,
        "settings": settings,
        "omitted": dict(omitted),
        "details": {figure.key: figure.as_json() for figure in figures},
    }


def write(file: Path, content: Mapping[str, object]) -> None:
    """Write the JSON whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_name(f"{file.name}.fresh")
    fresh.write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    fresh.replace(file)


def _spread(figure: Figure, digits: int) -> str:
    if len(figure.runs) == 1:
        return "1 run"
    return f"{number(min(figure.runs), digits)} - {number(max(figure.runs), digits)}"


def _asked(budget: Budget | None, digits: int) -> tuple[str, str]:
    if budget is None:
        return "", ""
    sign = "≥" if budget.better is Better.HIGHER else "≤"
    places = min(digits, 2)
    least, aim = (
        f"{sign} {number(asked, places)}" if asked is not None else "" for asked in (budget.least, budget.aim)
    )
    return least, aim
