"""Settings of one command: the environment first, then what a running `up` has written down."""

import json
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import context
from cli.running.embedded_place import FolderLock
from core import settings as core_settings
from core.errors import ConfigurationError
from core.settings import Settings


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The data folder; nothing is set but that."""
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"POSTLANE_{name.upper()}", raising=False)
    monkeypatch.setenv("POSTLANE_DATA_DIR", str(tmp_path))
    core_settings.load.cache_clear()
    yield tmp_path
    core_settings.load.cache_clear()


def test_without_a_server_the_command_says_how_to_get_one() -> None:
    with pytest.raises(ConfigurationError, match="postlane up"):
        context.settings()


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("POSTLANE_API_PORT", "many", "POSTLANE_API_PORT: "),
        ("POSTLANE_SECRET", "short", "POSTLANE_SECRET: .*32 bytes"),
        ("POSTLANE_DNS_SERVERS", "127.0.0.1", "dns_servers.*JSON"),
        ("POSTLANE_DATABASE_URL", "here", "POSTLANE_DATABASE_URL: .*postgresql://"),
    ],
)
def test_wrong_value_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, told: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=told):
        context.read()


def test_what_up_wrote_down_fills_in_what_is_not_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context.write_running(
        folder / context.RUNNING_FILE,
        {
            "POSTLANE_SIMULATOR": "true",
            "POSTLANE_HOSTNAME": "mail.postlane.sim",
            "POSTLANE_DNS_SERVERS": '["127.0.0.1:5353"]',
            "POSTLANE_SMTP_PORT": "2526",
        },
    )
    monkeypatch.setenv("POSTLANE_HOSTNAME", "mine.example")
    found = context.complete(context.read())

    assert (found.simulator, found.smtp_port, found.dns_servers) == (True, 2526, ("127.0.0.1:5353",))
    assert found.hostname == "mine.example"


@pytest.mark.parametrize("text", ["", "{", "[]", '"x"', '{"POSTLANE_FROM_ANOTHER_VERSION": "1"}'])
def test_file_that_says_nothing_useful_is_passed_over(folder: Path, text: str) -> None:
    (folder / context.RUNNING_FILE).write_text(text)

    assert context.complete(context.read()).simulator is False


def test_secret_of_the_data_folder_is_used_unless_one_is_set(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = context.kept_secret(folder)
    assert context.complete(context.read()).secret.get_secret_value() == kept
    monkeypatch.setenv("POSTLANE_SECRET", "ab" * 32)
    core_settings.load.cache_clear()

    assert context.complete(context.read()).secret.get_secret_value() == "ab" * 32


def test_secret_is_made_once_and_readable_by_its_owner_only(folder: Path) -> None:
    first = context.kept_secret(folder)

    assert context.kept_secret(folder) == first
    assert len(bytes.fromhex(first)) == 32
    assert stat.S_IMODE((folder / context.SECRET_FILE).stat().st_mode) == 0o600


def test_running_file_is_replaced_in_one_step(folder: Path) -> None:
    file = folder / context.RUNNING_FILE
    context.write_running(file, {"A": "1"})
    context.write_running(file, {"B": "2"})

    assert json.loads(file.read_text()) == {"B": "2"}
    assert [one.name for one in folder.iterdir()] == [context.RUNNING_FILE]


_SECRET = "not-a-secret-of-32-bytes!"


@pytest.mark.parametrize("text", [_SECRET, "ab" * 31, "", "\x00"])
def test_a_kept_secret_that_is_none_is_named_and_never_quoted(folder: Path, text: str) -> None:
    (folder / context.SECRET_FILE).write_text(text)
    with pytest.raises(ConfigurationError, match=r"secret: .*backup") as refused:
        context.complete(context.read())

    assert not text or text not in str(refused.value)


def test_a_wrong_secret_of_the_environment_is_never_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_SECRET", _SECRET)
    with pytest.raises(ConfigurationError, match="POSTLANE_SECRET: must be") as refused:
        context.read()

    assert _SECRET not in str(refused.value)


def test_what_can_be_a_secret_is_one_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings asked for 64 letters where the keys are made of 32 bytes, hex or base64."""
    monkeypatch.setenv("POSTLANE_SECRET", "5e5e5e5e" * 5 + "AAA=")
    assert context.read().secret.get_secret_value()


@pytest.mark.parametrize("name", [".env", context.SECRET_FILE])
def test_files_that_are_no_text_are_named(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=f"{name} cannot be read"):
        context.complete(context.read())


def test_the_api_is_where_the_running_up_has_put_it(folder: Path) -> None:
    context.write_running(folder / context.RUNNING_FILE, {"POSTLANE_API_PORT": "41234"})
    assert context.running_api_url(context.read()) == ""  # of an `up` that was killed
    lock = FolderLock(folder / context.UP_LOCK, "Postlane")
    try:
        assert context.running_api_url(context.read()) == "http://127.0.0.1:41234"
    finally:
        lock.release()
