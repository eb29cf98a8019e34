"""What a process has loaded is looked through by no collection."""

import gc

from core.memory import collect_rarely


def test_what_is_there_stays_and_young_objects_are_collected_rarely() -> None:
    before, loaded = gc.get_threshold(), [[n] for n in range(1000)]
    try:
        collect_rarely()

        assert not any(one is two for one in gc.get_objects() for two in (loaded, loaded[0]))
        assert gc.get_threshold()[0] > 10_000
    finally:
        gc.set_threshold(*before)
