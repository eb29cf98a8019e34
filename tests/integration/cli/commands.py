"""Commands as a terminal runs them, in this process: exit status, what they printed, what they said."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

from cli.main import app
from cli.main import run as run_command
from core import settings
from store.database import Database

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Answer:
    """One run of a command."""

    status: int
    out: Any
    """JSON where it is JSON, else text."""
    said: str

    @property
    def code(self) -> str:
        """The code of the error."""
        return str(json.loads(self.said)["error"]["code"])


Postlane = Callable[..., Answer]


def runner(capsys: pytest.CaptureFixture[str]) -> Postlane:
    """Calls `postlane` with these words."""

    def call(*words: str) -> Answer:
        status = run_command(lambda: app(list(words), prog_name="postlane", standalone_mode=False))
        printed = capsys.readouterr()
        try:
            return Answer(status, json.loads(printed.out), printed.err)
        except ValueError:
            return Answer(status, printed.out, printed.err)

    return call


@contextmanager
def configured(monkeypatch: pytest.MonkeyPatch, folder: Path, **given: str) -> Iterator[None]:
    """Commands run in this folder with these settings, while the block runs."""
    (folder / "data").mkdir()
    monkeypatch.chdir(folder)
    for name, value in {"DATA_DIR": str(folder / "data"), "SIMULATOR": "true", **given}.items():
        monkeypatch.setenv(f"POSTLANE_{name}", value)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def in_database(url: str, work: Callable[[Database], Awaitable[T]]) -> T:
    """Run `work` with a database of its own, as a command does."""

    async def run() -> T:
        database = Database(url, size=2, name="postlane-test")
        await database.open()
        try:
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
