"""Who gets a place, who gives way, and whom an address belongs to."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from web.connections import ConnectionLimits, Connections, client_of


@dataclass(eq=False)
class Twin:
    """A connection as `Connections` sees it."""

    idle_since: float | None = None
    late: bool = False
    ended: bool = False

    def overdue(self, now: float) -> bool:
        return self.late

    def end(self) -> None:
        self.ended = True


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


class TestPlaces:
    def test_one_client_does_not_take_all_of_them(self, loop: asyncio.AbstractEventLoop) -> None:
        open_ = Connections(ConnectionLimits(total=10, per_client=2), loop)
        taken = [open_.admit(Twin(), "192.0.2.1") for _ in range(3)]

        assert taken == [True, True, False]
        assert open_.admit(Twin(), "192.0.2.2")

    def test_a_place_that_was_left_is_free(self, loop: asyncio.AbstractEventLoop) -> None:
        open_ = Connections(ConnectionLimits(total=10, per_client=1), loop)
        first = Twin()
        assert open_.admit(first, "192.0.2.1")
        open_.leave(first)
        open_.leave(first)

        assert open_.admit(Twin(), "192.0.2.1")
        assert len(open_) == 1

    def test_who_waits_longest_gives_way(self, loop: asyncio.AbstractEventLoop) -> None:
        """300 half-open heads kept everybody else out for ever."""
        open_ = Connections(ConnectionLimits(total=3, per_client=3), loop)
        work, old, new = Twin(None), Twin(1.0), Twin(2.0)
        for one in (work, new, old):
            open_.admit(one, "192.0.2.1")

        assert open_.admit(Twin(None), "192.0.2.9")
        assert [one.ended for one in (work, old, new)] == [False, True, False]

    def test_work_never_gives_way(self, loop: asyncio.AbstractEventLoop) -> None:
        open_ = Connections(ConnectionLimits(total=1, per_client=1), loop)
        work = Twin(None)
        open_.admit(work, "192.0.2.1")

        assert not open_.admit(Twin(), "192.0.2.2")
        assert not work.ended

    def test_the_sweep_ends_what_is_overdue_and_nothing_else(self, loop: asyncio.AbstractEventLoop) -> None:
        open_ = Connections(ConnectionLimits(total=9, per_client=9), loop)
        late, early = Twin(late=True), Twin()
        open_.admit(late, "192.0.2.1")
        open_.admit(early, "192.0.2.1")
        loop.run_until_complete(asyncio.sleep(0.7))

        assert (late.ended, early.ended) == (True, False)


@pytest.mark.parametrize(
    ("address", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", ""),
    ],
)
def test_whom_an_address_belongs_to(address: str, client: str) -> None:
    assert client_of(address) == client
