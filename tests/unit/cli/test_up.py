"""Ports of `postlane up`: a taken one is passed over and said, or refused when it was asked for."""

import socket
from collections.abc import Iterator

import pytest

from cli.main import COMMANDS, _load
from cli.running import free_ports
from cli.running.stack import Shape
from cli.running.up import _shape, _to_know
from core.errors import ConfigurationError
from core.settings import Settings

_FREE = {"api_port": 0, "inbound_port": 0, "submission_port": 0, "submissions_port": 0, "public_port": 0}


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield int(listener.getsockname()[1])


def _settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[arg-type]  # pydantic-settings' own


def test_a_usual_port_that_is_taken_is_said(taken: int) -> None:
    usual = Settings.model_construct(_fields_set=set(), **(_settings().model_dump() | _FREE | {"api_port": taken}))
    shape, notes = _shape(usual, 1, 1, with_demo=True)

    assert shape.api_port not in (0, taken)
    assert notes == [f"Port {taken} is taken by another program: the API is on port {shape.api_port} for now."]


@pytest.mark.parametrize("name", ["api_port", "inbound_port", "submission_port", "submissions_port", "public_port"])
def test_a_taken_port_that_was_asked_for_is_an_error(taken: int, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"POSTLANE_{name.upper()}: port {taken} is taken"):
        _shape(_settings(**(_FREE | {name: taken})), 1, 1, False)


def test_zero_takes_any_port_and_is_no_news() -> None:
    shape, notes = _shape(_settings(**_FREE), 2, 1, with_demo=False)

    assert shape.api_port
    assert (shape.transactional, shape.marketing, notes) == (2, 1, [])


def test_a_demo_takes_the_smtp_ports_it_is_given() -> None:
    given = _settings(**(_FREE | {"submission_port": (asked := free_ports.take(1)[0])}))
    usual = Settings.model_construct(_fields_set=set(), **_settings().model_dump())

    assert _shape(given, 1, 1, with_demo=True)[0].submission_port == asked
    assert _shape(usual, 1, 1, with_demo=True)[0].submission_port == 0, "the stack takes a free one"


@pytest.mark.parametrize(("words", "with_demo"), [("", False), ("--demo", True), ("--demo --no-demo", False)])
def test_no_demo_takes_the_demo_back(words: str, with_demo: bool) -> None:
    asked = _load(COMMANDS[0]).make_context("up", words.split())

    assert (asked.info_name, asked.params["with_demo"]) == (COMMANDS[0].name, with_demo)


def test_commands_in_other_terminals_learn_where_the_pages_are_and_no_secret() -> None:
    env = {"POSTLANE_PUBLIC_URL": "http://127.0.0.1:8026", "POSTLANE_SECRET": "s3cret", "POSTLANE_DATABASE_URL": "db"}

    assert _to_know({"POSTLANE_SIMULATOR": "true"}, env, Shape(api_port=8025)) == {
        "POSTLANE_SIMULATOR": "true",
        "POSTLANE_PUBLIC_URL": "http://127.0.0.1:8026",
        "POSTLANE_API_PORT": "8025",
    }
    assert _to_know({}, {}, Shape(api_port=1)) == {"POSTLANE_API_PORT": "1"}
