"""Batches of runs: whose turn it is, and how long one application may hold up the others."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from campaigns.automations import letters
from campaigns.automations.letters import Desk, in_turns, put_off, turns
from campaigns.automations.model import Run, RunState
from core.ids import uuid7

NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)
LARGE, SMALL = UUID(int=1), UUID(int=2)


def run(application: UUID, **changes: Any) -> Run:
    facts: dict[str, Any] = {
        "id": uuid7(), "automation_id": UUID(int=3), "application_id": application, "version_id": UUID(int=4),
        "contact_id": uuid7(), "event_id": None, "position": 0, "state": RunState.RUNNING, "reason": "",
        "due_at": NOW, "held_since": None, "created_at": NOW, "ended_at": None,
    }  # fmt: skip
    return Run(**{**facts, **changes})


@dataclass(slots=True)
class Stopwatch:
    """Each look takes so long."""

    step: float
    now: float = 0.0

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def empty() -> Desk:
    """A desk on which every automation is gone."""
    return Desk(NOW, "sandbox.example", {}, {}, {}, {}, {}, {}, {}, {}, {})


def settled(runs: list[Run], seconds: Callable[[], float]) -> list[UUID]:
    found, emails = turns(empty(), runs, seconds)
    assert emails == [] and {one.state for one in found} <= {RunState.CANCELLED}
    return [one.run.application_id for one in found]


def test_the_first_of_each_application_comes_before_the_second_of_any() -> None:
    runs = [run(LARGE), run(LARGE), run(LARGE), run(SMALL)]

    assert [one.application_id for one in in_turns(runs)] == [LARGE, SMALL, LARGE, LARGE]


def test_an_application_whose_mail_takes_long_holds_up_itself() -> None:
    slow = Stopwatch(letters.SHARE * 1.1)

    assert settled([run(LARGE) for _ in range(5)] + [run(SMALL)], slow) == [LARGE, SMALL]
    assert len(settled([run(UUID(int=n)) for n in range(20)], slow)) < 10
    assert len(settled([run(LARGE) for _ in range(50)], Stopwatch(0.0001))) == 50


def test_what_is_put_off_is_tried_for_three_days() -> None:
    ages = [timedelta(0), timedelta(hours=71), timedelta(hours=73)]
    found = [put_off(run(LARGE, held_since=NOW - age if age else None), "why", NOW) for age in ages]

    assert [one.state for one in found] == [RunState.RUNNING, RunState.RUNNING, RunState.FAILED]
    assert [one.held for one in found] == [True, True, False]
    assert {one.reason for one in found} == {"why"}
