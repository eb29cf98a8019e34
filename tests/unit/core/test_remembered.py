"""One cache for what is asked elsewhere: one question at a time, an age, failures, old answers, and who goes away."""

import asyncio

import pytest

from core.errors import UnavailableError
from core.remembered import Remembered


class Source:
    """Answers with the number of the question, as slowly and as badly as it is told."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked = 0
        self.error: Exception | None = None
        self.none = False
        self.answers = asyncio.Event()
        self.answers.set()

    def monotonic(self) -> float:
        return self.now

    async def load(self, key: str) -> str | None:
        self.asked += 1
        n = self.asked
        await self.answers.wait()
        if self.error is not None:
            raise self.error
        return None if self.none else f"{key} {n}"


def remembered(
    source: Source, *, stale: float = 0.0, pause: float = 0.0, most: int = 10
) -> Remembered[str, str | None]:
    return Remembered(source.load, 5.0, stale=stale, pause=pause, most=most, monotonic=source.monotonic)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_an_answer_is_believed_for_its_time() -> None:
    source = Source()
    cache = remembered(source)

    assert await cache.get("a") == "a 1"
    source.now += 4.9
    assert await cache.get("a") == "a 1"
    source.now += 0.1
    assert await cache.get("a") == "a 2"


async def test_the_age_counts_from_before_the_question() -> None:
    source = Source()
    cache = remembered(source)
    source.answers.clear()
    asking = asyncio.create_task(cache.get("a"))
    await settle()
    source.now += 5.0
    source.answers.set()

    assert await asking == "a 1"
    assert await cache.get("a") == "a 2"


async def test_many_who_ask_at_once_are_one_question() -> None:
    source = Source()
    cache = remembered(source)

    assert await asyncio.gather(*(cache.get("a") for _ in range(50))) == ["a 1"] * 50


async def test_who_asked_first_may_go_away() -> None:
    source = Source()
    cache = remembered(source)
    source.answers.clear()
    first, second = (asyncio.create_task(cache.get("a")) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    source.answers.set()

    assert await second == "a 1"
    assert first.cancelled()
    assert await cache.get("a") == "a 1"


async def test_that_there_is_none_is_remembered_apart() -> None:
    source = Source()
    cache = remembered(source, most=3)
    await cache.get("right")
    source.none = True
    for number in range(20):
        assert await cache.get(f"wrong {number}") is None

    asked = source.asked
    assert await cache.get("wrong 19") is None
    assert await cache.get("right") == "right 1"
    assert source.asked == asked


async def test_the_oldest_of_too_many_goes() -> None:
    source = Source()
    cache = remembered(source, most=2)
    for key in ("a", "b", "c"):
        await cache.get(key)

    assert await cache.get("c") == "c 3"
    assert await cache.get("a") == "a 4"


async def test_a_failure_is_heard_by_all_who_wait_and_not_kept() -> None:
    source = Source()
    source.error = UnavailableError("away")
    cache = remembered(source)

    found = await asyncio.gather(*(cache.get("a") for _ in range(3)), return_exceptions=True)
    assert [str(one) for one in found] == ["away"] * 3
    assert source.asked == 1
    source.error = None
    assert await cache.get("a") == "a 2"


async def test_a_failure_is_kept_no_longer_than_said() -> None:
    source = Source()
    source.error = UnavailableError("away")
    cache = remembered(source, pause=1.0)
    for _ in range(3):
        with pytest.raises(UnavailableError):
            await cache.get("a")
    assert source.asked == 1

    source.now += 1.0
    source.error = None
    assert await cache.get("a") == "a 2"


async def test_a_failure_that_is_kept_does_not_grow_with_those_who_hear_of_it() -> None:
    source = Source()
    source.error = UnavailableError("away")
    cache = remembered(source, pause=1.0)
    with pytest.raises(UnavailableError):
        await cache.get("a")
    depths = set()
    for _ in range(5):
        with pytest.raises(UnavailableError) as heard:
            await cache.get("a")
        depths.add(len(heard.traceback))
    assert len(depths) == 1


async def test_a_bug_is_not_kept_at_all() -> None:
    source = Source()
    source.error = KeyError("bug")
    cache = remembered(source, pause=60.0)
    with pytest.raises(KeyError):
        await cache.get("a")

    source.error = None
    assert await cache.get("a") == "a 2"


async def test_an_old_answer_is_given_while_a_new_one_is_asked_for() -> None:
    source = Source()
    cache = remembered(source, stale=10.0)
    await cache.get("a")
    source.now += 6.0
    source.answers.clear()

    assert [await cache.get("a") for _ in range(3)] == ["a 1"] * 3
    source.answers.set()
    await settle()
    assert await cache.get("a") == "a 2"
    assert source.asked == 2


async def test_an_old_answer_stands_in_while_the_other_side_is_away_and_no_longer() -> None:
    source = Source()
    cache = remembered(source, stale=10.0, pause=1.0)
    await cache.get("a")
    source.error = UnavailableError("away")
    for _ in range(9):
        source.now += 1.6
        assert await cache.get("a") == "a 1"
        await settle()

    source.now += 1.0
    with pytest.raises(UnavailableError):
        await cache.get("a")
    source.now += 1.0
    source.error = None
    assert await cache.get("a") == f"a {source.asked}"


async def test_what_was_forgotten_is_not_brought_back_by_an_answer_under_way() -> None:
    source = Source()
    cache = remembered(source)
    source.answers.clear()
    before = asyncio.create_task(cache.get("a"))
    await settle()
    cache.clear()
    after = asyncio.create_task(cache.get("a"))
    await settle()
    source.answers.set()

    assert (await before, await after) == ("a 1", "a 2")
    assert await cache.get("a") == "a 2"
