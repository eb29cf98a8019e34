"""Settings: bounds, the environment, and messages that name what is wrong."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from core.settings import Settings, worker_name


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `.env` of the checkout."""
    monkeypatch.chdir(tmp_path)


def test_defaults_are_valid_and_listen_on_loopback_only() -> None:
    settings = Settings()

    assert (settings.api_host, settings.inbound_host, settings.metrics_host) == ("127.0.0.1",) * 3
    assert settings.simulator is False
    assert settings.lease_seconds < settings.batch_seconds + settings.lease_seconds


def test_environment_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("POSTLANE_HOSTNAME=file.example\nPOSTLANE_API_PORT=1234\nUNRELATED=1\n")
    monkeypatch.setenv("POSTLANE_HOSTNAME", "environment.example")
    settings = Settings()

    assert (settings.hostname, settings.api_port) == ("environment.example", 1234)


def test_list_is_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_DNS_SERVERS", '["127.0.0.1:53", "127.0.0.2"]')

    assert Settings().dns_servers == ("127.0.0.1:53", "127.0.0.2")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("claim_batch", 0),
        ("claim_batch", 1001),
        ("lease_seconds", 4),
        ("worker_concurrency", 0),
        ("smtp_port", 0),
        ("api_port", 65_536),
        ("content_days", 0),
        ("log_level", "loud"),
        ("secret", "a" * 30),
        ("connection_idle_seconds", 0),
        ("marketing_nice", 20),
        ("outcome_flush_ms", -1),
        ("max_message_bytes", 0),
        ("database_url", "host=localhost dbname=mail"),
        ("database_url", "mysql://localhost/mail"),
        ("redis_url", "localhost:6379"),
    ],
)
def test_value_out_of_bounds_is_refused_by_name(name: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        Settings(**{name: value})  # type: ignore[arg-type]

    assert error.value.errors()[0]["loc"] == (name,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://postlane@/postlane?host=%2Ftmp%2Frun&port=5432"),
        ("database_url", "postgres://u:p@h/d"),
        ("redis_url", "rediss://:p@h:6379/0"),
        ("redis_url", "unix:///tmp/valkey.sock"),
        ("secret", "0f" * 32),
    ],
)
def test_usual_values_are_taken(name: str, value: str) -> None:
    assert Settings(**{name: value})  # type: ignore[arg-type]


def test_secrets_do_not_show() -> None:
    assert "abab" not in repr(Settings(secret="ab" * 32))  # type: ignore[arg-type]


def test_nothing_can_be_changed_later() -> None:
    with pytest.raises(ValidationError):
        Settings().hostname = "else"  # type: ignore[misc]


def test_worker_name_is_the_hosts_unless_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POSTLANE_WORKER_NAME", raising=False)
    of_host = worker_name()
    monkeypatch.setenv("POSTLANE_WORKER_NAME", "blue")

    assert of_host
    assert worker_name() == "blue"


@pytest.mark.parametrize(
    ("host", "url", "in_clear"),
    [
        ("127.0.0.1", "", False),
        ("127.0.0.1", "http://localhost:8027", False),
        ("127.0.0.1", "https://console.acme.example", False),
        ("0.0.0.0", "https://console.acme.example", False),
        ("0.0.0.0", "", True),
        ("127.0.0.1", "http://console.acme.example", True),
    ],
)
def test_passwords_for_the_console_go_in_clear_without_tls(host: str, url: str, in_clear: bool) -> None:
    assert Settings(console_host=host, console_url=url).console_in_clear is in_clear
