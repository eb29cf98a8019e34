"""Duties go on beside each other: what fails is done again, and only a database that is away ends them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.database import DatabaseConflictError, DatabaseUnavailableError
from workers import duties
from workers.duties import TICK_SECONDS, TOGETHER_SECONDS, Duty, do_all, to_tick


async def test_a_conflict_of_transactions_is_done_again_and_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "REPEAT_SECONDS", 0.0)
    done: list[str] = []

    async def conflicting(_: None) -> None:
        done.append("conflicting")
        if done.count("conflicting") < 3:
            raise DatabaseConflictError("deadlock detected")
        raise DatabaseUnavailableError("away")

    async def other(_: None) -> None:
        done.append("other")

    with pytest.raises(ExceptionGroup) as ended:
        async with asyncio.timeout(20):
            await do_all((Duty("conflicting", 3600.0, conflicting), Duty("other", 3600.0, other)), None)
    assert [str(one) for one in ended.value.exceptions] == ["away"]
    assert done.count("conflicting") == 3
    assert done.count("other") == 1


@given(st.floats(0, 1000), st.floats(0, 10))
def test_a_pause_ends_at_a_tick_or_a_moment_before_it_is_over(since: float, pause: float) -> None:
    shortened = to_tick(pause, since)
    ends = (since + shortened) / TICK_SECONDS
    assert pause - TICK_SECONDS <= shortened <= pause + TOGETHER_SECONDS
    assert shortened == 0.0 or abs(ends - round(ends)) < 1e-6
