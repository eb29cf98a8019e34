"""What is declared: nothing overdue, nothing that nobody asks, nothing asked that is not declared."""

import ast
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from core.refusal import Refused
from flags import declared
from flags.asking import Flag
from flags.declared import FLAGS, flag_named

ROOT = Path(__file__).parents[3]
_ASKING = re.compile(r"declared\.[A-Z]")
CONSTANTS = {name: value for name, value in vars(declared).items() if isinstance(value, Flag)}


def _overdue(flags: Iterable[Flag], today: date) -> list[str]:
    return [
        f"{flag.name} should have been gone by {flag.until}: take the flag and whoever asks it out of the code (grep"
        f" `{flag.name.upper()}`, owner {flag.owner}), or move its `until` in flags/declared.py, with the reason in"
        " the commit"
        for flag in flags
        if flag.until < today
    ]


def _asked() -> Iterator[str]:
    """`X` of every `declared.X.on(...)` in what is shipped."""
    for package in {file.parent for file in ROOT.glob("*/__init__.py")} - {ROOT / "tests"}:
        for file in package.rglob("*.py"):
            text = file.read_text(encoding="utf-8")
            if "declared." in text:
                for node in ast.walk(ast.parse(text)):
                    if isinstance(node, ast.Call) and _ASKING.match(called := ast.unparse(node.func)):
                        yield called


def test_no_flag_is_overdue() -> None:
    assert _overdue(FLAGS, datetime.now(UTC).date()) == []


def test_an_overdue_flag_says_what_to_do() -> None:
    flag = FLAGS[0]
    assert _overdue([flag], flag.until) == []
    (told,) = _overdue([flag], flag.until + timedelta(days=1))
    assert flag.name in told
    assert "move its `until`" in told


def test_every_flag_is_asked_and_every_one_that_is_asked_is_declared() -> None:
    assert set(_asked()) == {f"declared.{name}.on" for name in CONSTANTS}


def test_every_constant_is_in_the_list_and_named_like_its_flag() -> None:
    assert {name: flag.name for name, flag in CONSTANTS.items()} == {flag.name.upper(): flag.name for flag in FLAGS}
    assert len({flag.name for flag in FLAGS}) == len(FLAGS)


@pytest.mark.parametrize("flag", FLAGS, ids=lambda flag: flag.name)
def test_a_flag_says_what_it_does_whose_it_is_and_until_when(flag: Flag) -> None:
    assert flag.meaning.endswith(".")
    assert flag.meaning.count(". ") == 0, "one sentence"
    assert flag.off.endswith(".")
    assert (ROOT / flag.owner / "__init__.py").exists(), "a package of ours"
    assert flag.introduced < flag.until <= flag.introduced + timedelta(days=400)


def test_a_name_that_nobody_declared_is_refused_with_those_there_are() -> None:
    assert flag_named("tracking") is declared.TRACKING
    with pytest.raises(Refused) as refused:
        flag_named("trakcing")
    assert refused.value.kind == "not_found"
    assert "tracking" in refused.value.hint
