"""Rehearsals in processes of their own: one at a time, so many at most, and nothing breaks with one that breaks off."""

import asyncio
import sys
from datetime import UTC, datetime

import pytest

from console.rehearsing import WAITING, Rehearsal, Rehearsals, Wanted
from console.warmup import outcome
from core.refusal import Refused

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
WANTED = Wanted({"name": "careful"}, 1000, {}, 1)


def program(text: str) -> tuple[str, ...]:
    """What runs in place of the simulator."""
    return (sys.executable, "-c", f"import sys\nsys.stdin.read()\n{text}")


async def over(one: Rehearsal) -> Rehearsal:
    async with asyncio.timeout(20):
        while not one.over:
            await asyncio.sleep(0.01)
    return one


async def test_one_that_breaks_off_says_so_and_the_next_one_runs() -> None:
    rehearsals = Rehearsals(program("sys.exit('no such module')"))
    broken, also = rehearsals.begin(WANTED, NOW), rehearsals.begin(WANTED, NOW)
    assert "broke off" in (await over(broken)).trouble
    assert "broke off" in (await over(also)).trouble
    assert rehearsals.get(broken.id) is broken
    assert rehearsals.get("none") is None
    nowhere = Rehearsals(("/nowhere/python",))
    assert "could not be started" in (await over(nowhere.begin(WANTED, NOW))).trouble


async def test_more_than_may_wait_are_refused_and_none_outlives_the_console() -> None:
    rehearsals = Rehearsals(program("import time; time.sleep(60)"))
    made = [rehearsals.begin(WANTED, NOW) for _ in range(WAITING)]
    with pytest.raises(Refused, match="are being rehearsed"):
        rehearsals.begin(WANTED, NOW)
    async with asyncio.timeout(20):
        while not made[0].begun:
            await asyncio.sleep(0.01)
        await rehearsals.stop()
    assert [one.begun for one in made] == [True, False, False], "one at a time"


def test_what_came_of_it_is_told_with_its_figures() -> None:
    tally = {"arrived": 1000, "delivered": 990, "same_day": 980, "by_new": 200, "throttled": 1, "blocked": 0,
             "bounced": 2, "expired": 1}  # fmt: skip
    day = {"day": 1, "tally": tally, "waiting": 7, "stage": 2, "moves": ["198.51.100.1 gmail: step_back, deferred"]}
    plan = {"way": "plan", "days": [day], "total": tally, "full_rate_day": 24}
    blast = {"way": "blast", "days": [day], "total": tally | {"delivered": 500, "throttled": 9000}}
    assert outcome.told([], 300_000) == "300 k mails a day: no way is through yet."
    assert outcome.told([plan, blast], 300_000) == (
        "In 1 day with 300 k mails a day 99.0 % arrive by this plan, 98.0 % within 24 hours; the new IP carries its"
        " share from day 24 on, and is refused once. A blast of the same mail: 50.0 %, refused 9,000 times."
    )
    (found,) = outcome.days([plan, blast])
    assert (found.stage, found.mails, found.cells[0].refused, found.cells[1].refused) == (2, 1000, 1, 1)
    assert (found.cells[0].lost, found.cells[0].waiting, found.moves) == (3, 7, day["moves"])
