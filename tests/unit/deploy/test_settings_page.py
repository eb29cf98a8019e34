"""docs/settings.md is what the settings class says, and every setting says something."""

import pytest

from core.settings import Settings
from deploy import settings_page


def test_page_is_up_to_date() -> None:
    assert settings_page.PAGE.read_text(encoding="utf-8") == settings_page.render(), (
        "run `python -m deploy.settings_page`"
    )


def test_check_agrees(capsys: pytest.CaptureFixture[str]) -> None:
    assert settings_page.main(["--check"]) == 0
    assert capsys.readouterr().err == ""


def test_every_setting_is_on_the_page_once() -> None:
    page = settings_page.render()
    missing = [name for name in settings_page.variables() if page.count(f"| `{name}` |") != 1]

    assert missing == []


def test_every_setting_has_a_heading() -> None:
    grouped = [name for _, names in settings_page.groups() for name in names]

    assert grouped == list(Settings.model_fields)


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_says_what_it_is(name: str) -> None:
    description = Settings.model_fields[name].description

    assert description is not None
    assert description.rstrip(")`").endswith((".", "`"))
    assert len(description) > 15


def test_bounds_and_defaults_are_shown() -> None:
    page = settings_page.render()

    assert "| `POSTLANE_CLAIM_BATCH` | whole number, ≥ 1, ≤ 1000 | `200` |" in page
    assert "| `POSTLANE_SIMULATOR` | true or false | `false` |" in page
    assert "one of `debug`, `info`, `warning`, `error`" in page


def test_the_variable_without_a_field_is_there() -> None:
    assert "POSTLANE_WORKER_NAME" in settings_page.variables()
