"""The memory of large mails: never more than the limits, nobody waits for ever, and no site waits for a slow one."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from workers.budget import ByteBudget

LONG = 5.0
"""Longer than any wait here."""


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 150)), max_size=20),
    st.integers(1, 100),
    st.integers(1, 60),
    st.integers(0, 20),
)
def test_all_get_in_and_never_too_many_at_once(mails: list[tuple[str, int]], limit: int, each: int, small: int) -> None:
    async def run() -> int:
        budget = ByteBudget(limit, each, small)
        inside: list[tuple[str, int]] = []
        seen = 0

        async def work(site: str, size: int) -> None:
            nonlocal seen
            assert await budget.take(site, size, LONG)
            inside.append((site, size))
            mine = [other for place, other in inside if place == site and other]
            assert sum(mine) <= each or len(mine) == 1
            waiting_for_all = [other for _, other in inside if other > small]
            assert sum(waiting_for_all) <= max(limit, max(waiting_for_all, default=0))
            seen += 1
            await asyncio.sleep(0)
            inside.remove((site, size))
            budget.give_back(site, size)

        await asyncio.gather(*(work(site, size) for site, size in mails))
        assert budget.used() == 0
        return seen

    assert asyncio.run(run()) == len(mails)


async def test_a_slow_site_uses_up_its_own_share_only() -> None:
    budget = ByteBudget(100, 40, 5)
    assert await budget.take("slow", 40, LONG)
    stuck = asyncio.create_task(budget.take("slow", 40, LONG))
    await asyncio.sleep(0)

    assert await budget.take("fast", 40, LONG)
    assert not stuck.done()
    budget.give_back("slow", 40)
    assert await stuck


async def test_small_mail_waits_for_no_other_site() -> None:
    """Many slow sites together hold everything."""
    budget = ByteBudget(100, 100, 5)
    assert await budget.take("slow", 100, LONG)
    assert not await budget.take("fast", 6, 0.01)
    assert await budget.take("fast", 5, 0.01)


async def test_nobody_overtakes_a_mail_that_waits_for_room_in_all() -> None:
    budget = ByteBudget(100, 100, 5)
    assert await budget.take("a", 60, LONG)
    large = asyncio.create_task(budget.take("b", 90, LONG))
    await asyncio.sleep(0)
    later = asyncio.create_task(budget.take("c", 20, LONG))
    await asyncio.sleep(0)
    assert not later.done()
    budget.give_back("a", 60)
    assert await large
    budget.give_back("b", 90)
    assert await later


async def test_one_that_gives_up_waiting_leaves_its_place_to_the_next() -> None:
    budget = ByteBudget(10, 10, 0)
    assert await budget.take("a", 10, LONG)
    waiting = asyncio.create_task(budget.take("b", 10, LONG))
    late = asyncio.create_task(budget.take("c", 10, 0.01))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert not await late
    budget.give_back("a", 10)

    assert budget.used() == 0
    assert await budget.take("d", 10, 0.01)
