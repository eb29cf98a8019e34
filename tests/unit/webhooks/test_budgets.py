"""An owner of many endpoints takes its own part of the requests, and leaves the turns of others alone."""

import asyncio
from uuid import UUID

from webhooks.budgets import Budget

GREEDY, MODEST = UUID(int=1), UUID(int=2)


async def test_an_owner_has_a_part_only() -> None:
    budget, let_go = Budget(3, 2), asyncio.Event()
    begun: list[UUID] = []

    async def request(owner: UUID) -> None:
        async with budget.turn(owner):
            begun.append(owner)
            await let_go.wait()

    async with asyncio.TaskGroup() as group:
        for owner in (GREEDY,) * 5 + (MODEST,) * 2:
            group.create_task(request(owner))
        for _ in range(20):
            await asyncio.sleep(0)
        assert begun == [GREEDY, GREEDY, MODEST]
        let_go.set()
    assert len(begun) == 7


async def test_who_goes_on_is_told_when_others_wait() -> None:
    budget = Budget(1, 1)
    turn, begun = budget.turn(GREEDY), list[UUID]()

    async def other() -> None:
        async with budget.turn(MODEST):
            begun.append(MODEST)

    async with turn:
        assert not turn.wanted
        waiting = [asyncio.create_task(other()) for _ in range(2)]
        await asyncio.sleep(0)
        assert turn.wanted
        waiting[0].cancel()
        await asyncio.wait(waiting, timeout=0.01)
        assert turn.wanted
    async with turn:
        assert begun == [MODEST]
        assert not turn.wanted


async def test_owners_are_forgotten_when_nothing_of_theirs_is_under_way() -> None:
    budget = Budget(3, 2)
    async with budget.turn(GREEDY):
        assert len(budget._owners) == 1
    assert len(budget._owners) == 0
