"""Commands of the practice internet: which one they talk to."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from core import settings
from simulator.cli import app


def test_the_simulator_of_the_data_folder_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_DATA_DIR", str(tmp_path / "data"))
    settings.load.cache_clear()
    try:
        there = CliRunner().invoke(app, ["counts"]).output
        named = CliRunner().invoke(app, ["counts", "--state", str(tmp_path / "own.json")]).output
    finally:
        settings.load.cache_clear()
    assert str(tmp_path / "data" / "simulator.json") in there
    assert str(tmp_path / "own.json") in named
