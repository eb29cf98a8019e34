"""`postlane` on the test database."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core import settings
from tests.integration.cli.commands import Postlane, runner


@pytest.fixture
def postlane(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Postlane]:
    """Runs a command with the test's servers and an empty data folder."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, value in (
        ("DATABASE_URL", database_url),
        ("REDIS_URL", redis_url),
        ("DATA_DIR", str(tmp_path / "data")),
        ("SECRET", "5e" * 32),
        ("SIMULATOR", "true"),
    ):
        monkeypatch.setenv(f"POSTLANE_{name}", value)
    settings.load.cache_clear()
    yield runner(capsys)
    settings.load.cache_clear()
