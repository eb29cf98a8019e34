"""Variables that nobody reads."""

import pytest

from core.misnamed import Misnamed, misnamed
from core.settings import Settings


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("POSTLANE_HOSTNAM", "POSTLANE_HOSTNAME"),
        ("POSTLANE_REDISURL", "POSTLANE_REDIS_URL"),
        ("POSTLANE_DATABSE_URL", "POSTLANE_DATABASE_URL"),
        ("POSTLANE_WORKERNAME", "POSTLANE_WORKER_NAME"),
        ("POSTLANE_WEATHER", ""),
    ],
)
def test_a_misspelt_name_is_told_with_the_one_that_is_meant(given: str, meant: str) -> None:
    (found,) = misnamed([given])
    assert found == Misnamed(given, meant)
    assert found.told == (f"{given} is no setting: {meant} is meant?" if meant else f"{given} is no setting")


def test_what_is_read_is_not_named() -> None:
    known = [f"POSTLANE_{name.upper()}" for name in Settings.model_fields]
    assert misnamed([*known, "POSTLANE_API_KEY", "POSTLANE_API_URL", "POSTLANE_WORKER_NAME"]) == []
    assert misnamed(["POSTLANE_TEST_REDIS_URL", "POSTLANE_CHAOS_KILLS"]) == []
