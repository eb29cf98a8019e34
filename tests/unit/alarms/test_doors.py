"""Objectives kept and missed, in words."""

import pytest

from alarms.doors import Doors, RouteStanding, Standing, seconds_shown
from core.objectives import READ, SEND
from store.route_times import Answered, Route


def test_what_is_left_of_a_budget() -> None:
    assert Standing(SEND, 0, 0).left == 1
    assert Standing(SEND, 10_000, 0).left == 1
    assert Standing(SEND, 10_000, 5).left == pytest.approx(0.5)
    assert Standing(SEND, 10_000, 20).left == pytest.approx(-1)


def test_a_route_holds_when_enough_of_its_answers_are_good() -> None:
    route = Route("api", "POST", "/emails", "send")
    assert RouteStanding(Answered(route, 1000, 0, 1, 0, 0, 0), SEND).holds
    assert not RouteStanding(Answered(route, 1000, 0, 2, 0, 0, 0), SEND).holds


def test_the_worst_is_said_first() -> None:
    assert Doors().sentence == "Nothing was asked yet."
    fine, half = Standing(READ, 1000, 0), Standing(SEND, 10_000, 5)
    assert Doors((), (half, fine)).sentence == (
        "Every class keeps its objective; 50% of the error budget of send is left."
    )
    assert Doors((), (Standing(SEND, 100, 50), fine)).sentence == (
        "The error budget of send is spent: see which routes miss their objective."
    )


def test_of_few_answers_no_budget_is_said_to_be_spent() -> None:
    fine, few = Standing(READ, 1000, 0), Standing(SEND, 99, 99)
    assert few.left < 0
    assert Doors((), (few, fine)).sentence == (
        "Every class keeps its objective; 100% of the error budget of read is left."
    )
    assert Doors((), (few,)).sentence == (
        "Fewer than 100 answers of each class: too few to say whether the objectives are kept."
    )


def test_times_are_told_as_people_read_them() -> None:
    assert [seconds_shown(one) for one in (0.0004, 0.25, 2.5, 10)] == ["0.4 ms", "250 ms", "2.5 s", "10 s"]
