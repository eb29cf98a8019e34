"""Duties go on beside each other: what fails is done again, and only a database that is away ends them."""

import asyncio

import pytest

from store.database import DatabaseConflictError, DatabaseUnavailableError
from workers import duties
from workers.duties import Duty, do_all


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
