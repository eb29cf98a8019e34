"""What a statement is for follows from the function that runs it, and there are few such purposes."""

import ast
import importlib
from itertools import accumulate
from pathlib import Path

import pytest

from store import statements
from store.statement_metrics import STATEMENTS
from store.statements import BOUNDS, FAMILIES, FOLDERS, OTHER, Timing, family_of
from tests.unit.deploy.commands import ROOT
from tests.unit.test_layout import SHIPPED


@pytest.mark.parametrize(
    ("module", "function", "family"),
    [
        ("messages.claim", "claim", "claim"),
        ("messages.claim", "still_sendable", "suppression_check"),
        ("messages.claim", "renew", "give_back"),
        ("messages.search", "find", "messages"),
        ("messages.claiming", "claim", "messages"),
        ("store.database", "proven", "ping"),
        ("asyncio.events", "_run", OTHER),
    ],
)
def test_family_of_a_function(module: str, function: str, family: str) -> None:
    assert family_of(module, function) == family


def test_there_are_few_families() -> None:
    asked = {_module(file): ast.parse(file.read_text("utf-8")) for file in _files() if _asks(file.read_text("utf-8"))}
    met = {family_of(module, one.name) for module, tree in asked.items() for one in _functions(tree)}
    assert met <= {*FAMILIES.values(), *FOLDERS}
    assert 20 < len(met | {"ping", "commit", "connection"}) <= 40


def _files() -> list[Path]:
    """Of all processes that are scraped."""
    served = {*SHIPPED} - {"backups", "bench", "cli", "core"}  # core's are statements to Valkey
    return [file for name in served for file in (ROOT / name).rglob("*.py") if "migrations" not in file.parts]


def _asks(text: str) -> bool:
    return ".execute(" in text or ".copy(" in text


def _module(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts)


def _functions(tree: ast.Module) -> list[ast.AsyncFunctionDef]:
    return [node for node in ast.walk(tree) if isinstance(node, ast.AsyncFunctionDef)]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_what_is_named_exists(name: str) -> None:
    """A function that is called otherwise now would be counted with its folder, and nobody would see it."""
    module, _, function = name.rpartition(".")
    try:
        importlib.import_module(name)
    except ModuleNotFoundError:
        assert callable(getattr(importlib.import_module(module), function))


def test_what_is_shown_is_what_was_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    one = Timing()
    monkeypatch.setattr(statements, "TIMINGS", {})
    for seconds in (0.0005, 0.001, 0.002, 3.0):
        one.note(seconds)
    assert one.counts == [2, 1, 0, 0, 0, 0, 0, 0, 1]
    assert one.seconds == pytest.approx(3.0035)

    monkeypatch.setattr("store.statement_metrics.TIMINGS", {"claim": one})
    (shown,) = STATEMENTS.collect()
    told = {sample.labels.get("le", sample.name): sample.value for sample in shown.samples}
    assert [told[str(bound)] for bound in BOUNDS] + [told["+Inf"]] == list(accumulate(one.counts))
    assert told["postlane_statement_seconds_sum"] == one.seconds
