"""Local parts ask for behaviours; arguments are numbers or nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.behaviour import ACCEPT, plan_for, seconds, times
from simulator.model import Behaviour, Plan, Stage


@pytest.mark.parametrize(
    ("local_part", "behaviour", "argument"),
    [
        ("unknown", Behaviour.UNKNOWN, ""),
        ("unknown-17", Behaviour.UNKNOWN, ""),
        ("UnknownPerson", Behaviour.UNKNOWN, ""),
        ("full+552", Behaviour.FULL, "552"),
        ("slow.joe+4", Behaviour.SLOW, "4"),
        ("drop", Behaviour.DROP, ""),
        ("drop-kept+1", Behaviour.DROP_KEPT, "1"),
        ("greylist+0.5", Behaviour.GREYLIST, "0.5"),
        ("block+", Behaviour.BLOCK, ""),
    ],
)
def test_a_local_part_asks_by_its_beginning(local_part: str, behaviour: Behaviour, argument: str) -> None:
    plan = plan_for(local_part)
    assert (plan.behaviour, plan.argument) == (behaviour, argument)


@pytest.mark.parametrize("local_part", ["joe", "", "notunknown", "joe+full", "+spam", "äunknown"])
def test_everyone_else_is_accepted(local_part: str) -> None:
    assert plan_for(local_part) is ACCEPT


def test_content_is_refused_after_the_dot_and_a_throttle_when_the_provider_does_it() -> None:
    assert plan_for("spam").stage is Stage.DOT
    assert plan_for("throttle", Stage.DOT).stage is Stage.DOT
    assert plan_for("throttle", Stage.BANNER) == Plan(Behaviour.THROTTLE, Stage.RCPT)


@given(st.text())
def test_no_argument_breaks_the_numbers(argument: str) -> None:
    assert 0 <= seconds(argument, 3.0) <= 900
    count = times(argument)
    assert count is None or count >= 0
    assert plan_for(argument) is ACCEPT or plan_for(argument).behaviour in Behaviour


def test_arguments_as_numbers() -> None:
    assert seconds("2.5", 1.0) == 2.5
    assert seconds("-1", 1.0) == 1.0
    assert seconds("nan", 1.0) == 1.0
    assert seconds("1e9", 1.0) == 900
    assert times("3") == 3
    assert times("٣") is None
