"""`postlane bounces parse`: JSON of what would be understood, without any server."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.commands.bounces import app
from cli.output import CliError
from tests.unit.mta.bounce_corpus import CORPUS


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_SECRET", "5e" * 32)
    monkeypatch.setenv("POSTLANE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/none")


def test_what_would_be_understood(tmp_path: Path) -> None:
    bounce, person = tmp_path / "bounce.eml", tmp_path / "person.eml"
    bounce.write_bytes(CORPUS["postfix, unknown user"].data)
    person.write_bytes(CORPUS["a person"].data)
    done = CliRunner().invoke(app, ["parse", str(bounce), str(person)], prog_name="bounces")
    assert done.exit_code == 0, done.output
    first, second = json.loads(done.output)
    assert (first["file"], second["report"]) == (str(bounce), None)
    assert (first["report"]["kind"], first["report"]["reader"]) == ("failed", "delivery-status")
    (recipient,) = first["report"]["recipients"]
    assert (recipient["recipient"], recipient["code"], recipient["class"], recipient["suppress"]) == (
        "jana@firma.example", 550, "invalid_recipient", True,
    )  # fmt: skip


def test_standard_input() -> None:
    done = CliRunner().invoke(app, ["parse", "-"], input=CORPUS["complaint"].data)
    assert json.loads(done.output)[0]["report"]["kind"] == "complaint"


def test_a_file_that_is_not_there() -> None:
    done = CliRunner().invoke(app, ["parse", "/no/such/file"])
    assert isinstance(done.exception, CliError)
    assert "/no/such/file" in str(done.exception)
