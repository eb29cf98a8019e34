"""`postlane` on the test database."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.running import embedded_postgres
from tests.integration.cli.clusters import copying
from tests.integration.cli.commands import Postlane, configured, runner


@pytest.fixture
def postlane(
    database_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Postlane]:
    """Runs a command with the test's servers and an empty data folder."""
    with configured(monkeypatch, tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url, SECRET="5e" * 32):
        yield runner(capsys)


@pytest.fixture
def genuine() -> None:
    """For a test about what initdb makes, or about what has to survive a power cut."""


@pytest.fixture
def copied_clusters(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """PostgreSQL's data is copied instead of made, where a test does not ask for `genuine` data."""
    if "genuine" not in request.fixturenames:
        kept = Path(os.environ["POSTLANE_TEST_RUN_FOLDER"])
        monkeypatch.setattr(embedded_postgres, "_initdb", copying(embedded_postgres._initdb, kept))
