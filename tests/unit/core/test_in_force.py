"""Settings in force as people see them: no secret, no password, whatever it is made of."""

import pytest
from pydantic import SecretStr

from core.in_force import HIDDEN, in_force
from core.settings import Settings

PASSWORDS = ("hunter2", "p@ss:w/rd?x#1", "a@b@c", "%40%3A")


@pytest.mark.parametrize("password", PASSWORDS)
def test_no_password_is_shown(password: str) -> None:
    given = Settings.model_construct(
        _fields_set={"database_url", "redis_url"},
        database_url=f"postgresql://postlane:{password}@db.example/postlane?sslpassword=hush&sslmode=require",
        redis_url=f"rediss://:{password}@valkey.example:6379/0",
    )
    shown = {one.name: one for one in in_force(given)}

    assert shown["POSTLANE_DATABASE_URL"].value == (
        f"postgresql://postlane:{HIDDEN}@db.example/postlane?sslpassword={HIDDEN}&sslmode=require"
    )
    assert shown["POSTLANE_REDIS_URL"].value == f"rediss://:{HIDDEN}@valkey.example:6379/0"
    assert not any(password in one.value for one in shown.values())


def test_values_are_shown_with_who_chose_them() -> None:
    given = Settings(
        _env_file=None,  # type: ignore[call-arg]  # pydantic-settings' own
        secret=SecretStr("5" * 64),
        api_port=9000,
        dns_servers=("127.0.0.1:53", "[::1]:53"),
    )
    shown = {one.name: (one.value, one.given) for one in in_force(given)}

    assert shown["POSTLANE_SECRET"] == (HIDDEN, True)
    assert shown["POSTLANE_API_PORT"] == ("9000", True)
    assert shown["POSTLANE_SIMULATOR"] == ("false", False)
    assert shown["POSTLANE_DNS_SERVERS"] == ("127.0.0.1:53, [::1]:53", True)
    assert shown["POSTLANE_PROVIDERS_FILE"] == ("", False)
    assert len(shown) == len(Settings.model_fields)
