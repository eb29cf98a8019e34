"""The store of facts about mail servers."""

from mta.memory import Memory


def test_a_fact_has_an_end_and_the_contrary_ends_it_sooner() -> None:
    now = 0.0
    memory: Memory[str, int] = Memory(10, lambda: now)
    assert not memory
    memory.note("a", 1, 10)
    memory.note("b", 2, 20)
    memory.forget("b")
    memory.forget("never known")
    assert (memory.get("a"), memory.get("b"), len(memory)) == (1, None, 1)
    now = 5.0
    memory.amend("a", 3)
    memory.amend("never known", 3)
    assert (memory.get("a"), len(memory)) == (3, 1)
    now = 10.0
    assert memory.get("a") is None
    assert not memory


def test_the_oldest_goes_first() -> None:
    memory: Memory[int, int] = Memory(3)
    for number in (1, 2, 3, 1, 4):
        memory.note(number, number, 60)
    assert [number for number in range(5) if memory.get(number)] == [1, 3, 4]
