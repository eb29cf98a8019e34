"""`postlane init`: strong secrets, private file, nothing overwritten."""

import json
from pathlib import Path

import pytest

from cli.commands.init import init, write_env
from cli.output import CliError

SECRET = "ab" * 32


def _values(path: Path) -> dict[str, str]:
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def test_writes_a_private_file_with_the_secret_and_different_passwords(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    assert write_env(path, SECRET) is None
    values = _values(path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert set(values) == {"POSTLANE_SECRET", "POSTGRES_PASSWORD", "REDIS_PASSWORD"}
    assert values["POSTLANE_SECRET"] == SECRET
    assert len(set(values.values())) == 3
    assert all(len(bytes.fromhex(value)) >= 24 for value in values.values())


def test_never_overwrites_without_force(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("KEEP=1\n")
    with pytest.raises(CliError) as refused:
        write_env(path, SECRET)
    assert refused.value.code == "already_exists"
    assert path.read_text() == "KEEP=1\n"


def test_force_keeps_the_old_file_and_never_loses_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text("KEEP=1\n")
    kept = write_env(path, SECRET, force=True)
    assert kept is not None
    assert kept.read_text() == "KEEP=1\n"
    assert _values(path)["POSTLANE_SECRET"] == SECRET
    with pytest.raises(CliError):
        write_env(path, SECRET, force=True)
    assert kept.read_text() == "KEEP=1\n"


def test_a_folder_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CliError) as refused:
        write_env(tmp_path / "missing" / ".env", SECRET)
    assert refused.value.code == "not_writable"


def test_takes_over_the_secret_of_the_data_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".postlane").mkdir()
    (tmp_path / ".postlane" / "secret").write_text(SECRET + "\n")
    init()
    printed = capsys.readouterr().out
    assert _values(tmp_path / ".env")["POSTLANE_SECRET"] == SECRET
    assert SECRET not in printed
    assert json.loads(printed) == {"path": ".env", "kept": None}
