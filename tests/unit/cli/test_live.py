"""The live terminal: what is drawn from counters and services."""

import io
from typing import Any

import pytest
from rich.console import Console

from cli.running import live
from cli.running.live import FigureReader, Figures, LiveTerminal
from cli.running.supervisor import ServiceState, Status

ROWS = [
    ("marketing", "", "", "accepted", 2000),
    ("marketing", "gmail", "127.0.1.11", "delivered", 900),
    ("marketing", "gmail", "127.0.1.12", "delivered", 300),
    ("marketing", "gmx", "127.0.1.12", "bounced", 20),
    ("marketing", "gmx", "127.0.1.12", "deferred", 7),
    ("marketing", "", "", "suppressed", 30),
    ("transactional", "", "", "accepted", 5),
    ("transactional", "gmail", "127.0.1.1", "delivered", 5),
]


def state(name: str, status: Status = Status.RUNNING, restarts: int = 0) -> ServiceState:
    fields = {"name": name, "status": status, "restarts": restarts}
    known: dict[str, Any] = {field: fields.get(field) for field in ServiceState.__dataclass_fields__}
    return ServiceState(**known)


def reader(rows: list[tuple[str, str, str, str, int]]) -> FigureReader:
    made = FigureReader("postgresql://nobody@127.0.0.1:1/nowhere")
    made.figures = Figures(rows)
    made.read = lambda: None  # type: ignore[method-assign]  # a twin
    return made


def drawn(rows: list[tuple[str, str, str, str, int]], *states: ServiceState, width: int = 120, height: int = 50) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=width, height=height, color_system=None)
    with LiveTerminal(console, reader(rows), "demo") as terminal:
        terminal.tick(states)
    text: str = console.file.getvalue()  # type: ignore[attr-defined]  # a file in memory
    return text


def row(text: str, name: str) -> list[str]:
    line = next(line for line in text.splitlines() if name in line)
    return line.replace("│", " ").split()


def test_lanes_with_every_outcome_and_what_is_on_its_way() -> None:
    shown = drawn(ROWS)

    assert row(shown, "Lane")[1:] == [
        "accepted", "delivered", "deferred", "bounced", "suppressed", "on", "its", "way", "per", "second",
    ]  # fmt: skip
    # 2,000 accepted, less 1,200 delivered, 20 bounced and 30 suppressed; a deferred one is still on its way.
    assert row(shown, "marketing") == ["marketing", "2,000", "1,200", "7", "20", "30", "750", "0"]
    assert row(shown, "transactional") == ["transactional", "5", "5", "0", "0", "0", "0", "0"]


@pytest.mark.parametrize("width", [40, 80, 120])
def test_what_followed_deliveries_takes_one_line_and_none_before(width: int) -> None:
    later = [("marketing", "gmail", "127.0.1.11", what, 2_000_000) for what in ("late_bounced", "complained", "opened")]
    plain, shown = drawn(ROWS, width=width), drawn([*ROWS, *later], width=width)

    assert "late" not in plain
    assert [line for line in shown.splitlines() if "2,000,000" in line and "bounced late" in line]
    assert shown[shown.rindex("╭") :].count("\n") == plain[plain.rindex("╭") :].count("\n") + 1


def test_providers_and_ips_side_by_side() -> None:
    shown = drawn(ROWS)

    assert row(shown, "gmail")[:4] == ["gmail", "1,205", "0", "0"]
    assert "127.0.1.12" in shown
    assert "demo" in shown


def test_outcomes_that_never_happened_take_no_column() -> None:
    shown = drawn(ROWS[:2])

    assert "suppressed" not in shown
    assert "failed" not in shown


def test_services_with_their_state_and_restarts() -> None:
    shown = drawn([], state("api"), state("worker-marketing", Status.RESTARTING, 3))

    assert "● api" in shown
    assert "↻ worker-marketing ↻3" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 110])
def test_the_mark_of_a_service_stands_before_its_name_in_every_width(width: int) -> None:
    names = ["postgres", "valkey", "simulator", "api", "scheduler", "worker-transactional", "worker-marketing"]
    services = live._services([state(name) for name in names], width - 4)
    lines = [line.plain for line in services.wrap(Console(width=width), width - 4)]

    assert all(sum(f"● {name}" in line for line in lines) == 1 for name in names)
    assert max(map(len, lines)) <= width - 4


def test_every_state_of_a_service_can_be_drawn() -> None:
    shown = drawn([], *(state(status.value, status) for status in Status))

    assert all(status.value in shown for status in Status)


def test_without_a_terminal_a_line_is_printed_when_figures_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "PLAIN_SECONDS", 0.0)
    console = Console(file=io.StringIO(), width=200)
    figures = reader(ROWS)
    with LiveTerminal(console, figures, "demo") as terminal:
        terminal.tick([state("api")])
        terminal.tick([state("api")])
        figures.figures = Figures([*ROWS, ("transactional", "", "", "accepted", 1)])
        terminal.tick([state("api", Status.RESTARTING)])
        terminal.say("a long line " * 30)
    *lines, said = console.file.getvalue().splitlines()  # type: ignore[attr-defined]  # a file in memory

    told = [line.partition(" ")[2] for line in lines]
    assert len([line for line in told if line.startswith("marketing: ")]) == 1, "it did not change"
    assert any("1,200 delivered" in line for line in told)
    assert any(line.startswith("transactional: 6 accepted") for line in told)
    assert told[-1] == "restarting: api"
    assert max(map(len, lines)) <= 80
    assert said.count("a long line") == 30


def test_rates_are_deliveries_a_second_smoothed() -> None:
    before = Figures([("marketing", "gmail", "i", "delivered", 100)], at=1.0, rates={"marketing": 50.0})
    new = Figures([("marketing", "gmail", "i", "delivered", 300)], at=3.0)

    assert live._rates(before, new, 2.0) == {"marketing": 0.6 * 50 + 0.4 * 100}
    assert live._rates(Figures([], at=1.0), new, 2.0) == {"marketing": 150.0}


def test_figures_stay_while_the_database_is_away() -> None:
    away = FigureReader("postgresql://nobody@127.0.0.1:1/nowhere")
    away.figures = Figures(ROWS, at=5.0)
    away.read()
    away.close()

    assert away.figures.rows == ROWS


def test_a_usual_terminal_is_enough_and_the_frame_is_never_higher_than_it() -> None:
    """A higher one cannot be drawn over: it would be left on the screen twice."""
    many = [("marketing", f"provider{n}", f"127.0.1.{n}", "delivered", 100 - n) for n in range(40)]
    names = (
        "postgres",
        "valkey",
        "simulator",
        "api",
        "scheduler",
        "worker-transactional",
        "worker-marketing",
        "inbound",
    )
    shown = drawn([*ROWS, *many], *map(state, names), width=80, height=24)
    frame = shown[shown.rindex("╭") :].splitlines()

    assert len([line for line in frame if line.startswith(("╭", "│", "╰"))]) < 24
    assert "…" not in shown
    assert "more" in shown
    assert "provider39" not in shown


def test_names_from_the_network_steer_nothing() -> None:
    shown = drawn([("marketing", "mx:[bold]\x1b[2J.example", "", "delivered", 1)])

    assert "\x1b[2J.example" not in shown
    assert "[bold]" in shown
