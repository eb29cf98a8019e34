"""The ledger is never above its cap: any interleaving of reserve, return, crash, new hours and days, clocks that jump.

Hypothesis drives the real statements on PostgreSQL. The model beside it only adds up what was answered.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from core.queues import Lane
from core.refusal import Refused
from store.database import Database
from tests.integration.warmup.conftest import START
from tests.integration.warmup.world import IP, OTHER_IP, add_ips, own_clock, plan_of, run, set_clock, unforgetting
from warmup import repository
from warmup.ledger import Reserved, Returned, Wanted
from warmup.plan import Transactional

PLAN = plan_of((24, 60, 121), zone="Europe/Berlin")
Key = tuple[str, str, date]

wishes = st.lists(
    st.builds(
        Wanted,
        st.sampled_from([IP, OTHER_IP]),
        st.sampled_from(["gmail", "yahoo", "orange"]),
        st.integers(1, 40),
        st.sampled_from(list(Lane)),
    ),
    min_size=1,
    max_size=5,
)


class Interleaving(RuleBasedStateMachine):
    """Three workers, an operator, and a clock that nobody can trust."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.database = Database(self.url, size=4, name="postlane-test")
        self.loop.run_until_complete(self.database.open())
        self.workers = [unforgetting(self.database) for _ in range(3)]
        self.held: list[list[Reserved]] = [[], [], []]
        self.counted: Counter[Key] = Counter()
        self.now = START

    def teardown(self) -> None:
        self.loop.run_until_complete(self.database.close())
        self.loop.close()

    @initialize(transactional=st.sampled_from(list(Transactional)))
    def begin(self, transactional: Transactional) -> None:
        self.loop.run_until_complete(self._begin(transactional))

    async def _begin(self, transactional: Transactional) -> None:
        await run(self.database, "TRUNCATE warmups, warmup_tracks, warmup_days, warmup_changes")
        await set_clock(self.database, self.now)
        async with self.database.transaction() as connection:
            for ip in (IP, OTHER_IP):
                await repository.start(connection, ip, PLAN, transactional=transactional)

    @rule(worker=st.integers(0, 2), wanted=wishes)
    def reserve(self, worker: int, wanted: list[Wanted]) -> None:
        self._take(worker, self.loop.run_until_complete(self.workers[worker].reserve(wanted)), wanted)

    @rule(wanted=st.tuples(wishes, wishes, wishes))
    def all_at_once(self, wanted: tuple[list[Wanted], ...]) -> None:
        async def together() -> list[list[Reserved]]:
            return await asyncio.gather(*(self.workers[n].reserve(wishes) for n, wishes in enumerate(wanted)))

        for worker, answers in enumerate(self.loop.run_until_complete(together())):
            self._take(worker, answers, wanted[worker])

    def _take(self, worker: int, answers: Sequence[Reserved], wanted: Sequence[Wanted]) -> None:
        for answer, wish in zip(answers, wanted, strict=True):
            assert 0 <= answer.granted <= wish.n
            assert (answer.ip, answer.provider) == (wish.ip, wish.provider)
            assert (answer.reason == "") == (answer.granted == wish.n)
            if answer.until is not None:
                assert answer.until > self.now
            if answer.granted:
                assert answer.day is not None
                self.counted[answer.ip, answer.track, answer.day] += answer.granted
                self.held[worker].append(answer)

    @precondition(lambda self: any(self.held))
    @rule(part=st.floats(0, 1))
    def give_back(self, part: float) -> None:
        worker = next(n for n, held in enumerate(self.held) if held)
        one = self.held[worker].pop()
        n = round(one.granted * part)
        assert one.day is not None
        self.counted[one.ip, one.track, one.day] -= n
        self.loop.run_until_complete(self.workers[worker].give_back([Returned(one.ip, one.track, one.day, n)]))

    @rule(worker=st.integers(0, 2))
    def crash(self, worker: int) -> None:
        """What it held is lost to it, and stays used up."""
        self.held[worker] = []
        self.workers[worker] = unforgetting(self.database)

    @rule(minutes=st.one_of(st.integers(1, 90), st.integers(300, 2000), st.integers(-2000, -1)))
    def clock(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        self.loop.run_until_complete(set_clock(self.database, self.now))

    @rule(ip=st.sampled_from([IP, OTHER_IP]), back=st.booleans())
    def operator(self, ip: str, back: bool) -> None:
        async def change() -> None:
            async with self.database.transaction() as connection:
                await (repository.step_back if back else repository.skip)(connection, ip)

        with contextlib.suppress(Refused):  # on its first or last stage already
            self.loop.run_until_complete(change())

    @invariant()
    def never_above_the_cap(self) -> None:
        rows = self.loop.run_until_complete(
            run(self.database, "SELECT ip, track, day, cap, granted, hour_base FROM warmup_days")
        )
        largest = PLAN.cap(PLAN.last_stage, "gmail")
        for ip, track, day, cap, granted, base in rows:
            assert granted == self.counted[ip, track, day]
            assert 0 <= base <= granted <= cap <= largest
        assert {key for key, n in self.counted.items() if n} <= {(ip, track, day) for ip, track, day, *_ in rows}


def test_no_interleaving_exceeds_a_cap(database_url: str) -> None:
    own_clock(database_url, START)

    async def prepare() -> None:
        database = Database(database_url, size=1)
        await database.open()
        async with database.transaction() as connection:
            await add_ips(connection, IP, OTHER_IP)
        await database.close()

    asyncio.run(prepare())
    machine = type("OnThisDatabase", (Interleaving,), {"url": database_url})
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large]
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=15, stateful_step_count=40, deadline=None, suppress_health_check=checks),
    )
    assert issubclass(machine, Interleaving)
