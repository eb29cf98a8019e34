"""The root command: lazy sub-commands, error lines, exit status."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import main as root
from cli.output import CliError
from core.errors import ConfigurationError, UnavailableError


def _exit_status(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        root.main(words)
    return int(ended.value.code or 0)


def test_help_names_every_command_and_shows_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_status("--help") == 0
    out = capsys.readouterr().out
    assert "postlane up --demo" in out
    assert all(re.search(rf"│ {entry.name} ", out) for entry in root.COMMANDS)


def test_help_imports_no_heavy_module() -> None:
    program = (
        "import sys; from cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'celery', 'fastapi', 'psycopg', 'redis', 'sqlalchemy', 'pydantic'} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.splitlines()[-1] == "[]"


def test_without_a_command_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_status() == 0
    assert "Usage" in capsys.readouterr().out


@pytest.mark.parametrize("entry", root.COMMANDS, ids=lambda entry: entry.name)
def test_every_command_can_be_loaded_and_explains_itself(entry: root.Entry) -> None:
    shown = CliRunner().invoke(root.app, [entry.name, "--help"], prog_name="postlane")
    assert shown.exit_code == 0, shown.output
    assert f"postlane {entry.name}" in shown.output


def test_version_is_the_projects(capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_status("--version") == 0
    declared = re.search(r'^version = "(.+)"', Path("pyproject.toml").read_text(), re.MULTILINE)
    assert declared is not None
    assert capsys.readouterr().out == f"postlane {declared[1]}\n"


@pytest.mark.parametrize("words", [("no-such-command",), ("--no-such-option",), ("init", "--no-such-option")])
def test_wrong_usage_is_2_and_says_where_help_is(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert _exit_status(*words) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert error["code"] == "usage"
    assert words[-1] in error["message"]
    assert "--help" in error["hint"]


def _raiser(error: BaseException) -> object:
    raise error


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (CliError("not_found", "no such message", "look"), "not_found", 1),
        (ConfigurationError("bad"), "configuration", 1),
        (UnavailableError("away"), "unavailable", 1),
        (typer.BadParameter("not a port"), "usage", 2),
        (typer.Abort(), "aborted", 1),
    ],
)
def test_errors_become_a_code_and_a_status(
    error: BaseException, code: str, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert root.run(lambda: _raiser(error)) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert json.loads(captured.err)["error"]["code"] == code


def test_bugs_keep_their_traceback() -> None:
    with pytest.raises(ZeroDivisionError):
        root.run(lambda: 1 // 0)


def test_a_returned_number_is_the_exit_status() -> None:
    assert root.run(lambda: 3) == 3
    assert root.run(lambda: None) == 0
