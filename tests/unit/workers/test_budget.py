"""The memory of large mails: never more than the limit, and nobody waits for ever."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from workers.budget import ByteBudget


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 150), max_size=20), st.integers(1, 100))
def test_all_get_in_and_never_too_many_at_once(sizes: list[int], limit: int) -> None:
    async def run() -> list[int]:
        budget = ByteBudget(limit)
        seen: list[int] = []

        async def work(size: int) -> None:
            async with budget.take(size):
                seen.append(budget.used())
                assert budget.used() <= max(limit, size)
                await asyncio.sleep(0)

        async with asyncio.timeout(5):
            await asyncio.gather(*(work(size) for size in sizes))
        assert budget.used() == 0
        return seen

    assert len(asyncio.run(run())) == len(sizes)


async def test_one_that_gives_up_waiting_leaves_room_for_the_next() -> None:
    budget = ByteBudget(10)
    async with budget.take(10):
        waiting = asyncio.create_task(_enter(budget))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(1), budget.take(10):
        assert budget.used() == 10


async def test_a_failure_inside_frees_its_room() -> None:
    budget = ByteBudget(10)
    failed = asyncio.create_task(_enter(budget, fail=True))
    await asyncio.gather(failed, return_exceptions=True)

    assert isinstance(failed.exception(), ValueError)
    assert budget.used() == 0


async def _enter(budget: ByteBudget, *, fail: bool = False) -> None:
    async with budget.take(5):
        if fail:
            raise ValueError("broken")
