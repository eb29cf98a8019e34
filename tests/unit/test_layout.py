"""The shape of the repository: which folders are packages, what they may be called, and who imports whom.

Our folders are import packages at the top level, so a badly chosen name hides somebody else's module: a folder `queue`
makes `import celery` fail, `email` does the same to aiosmtpd.
"""

import ast
import configparser
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

OURS = sorted(file.parent.name for file in ROOT.glob("*/__init__.py"))
SHIPPED = [name for name in OURS if name != "tests"]
"""Every top-level package but the tests."""


def _pyproject() -> dict[str, object]:
    with (ROOT / "pyproject.toml").open("rb") as file:
        return tomllib.load(file)


def _importlinter() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / ".importlinter", encoding="utf-8")
    return parser


def _names(text: str) -> list[str]:
    return re.findall(r"[a-z_.]+", text)


def _imports(file: Path) -> Iterator[str]:
    """Modules that a file imports anywhere, also inside functions."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def test_folders_of_the_owner_are_there() -> None:
    fixed = {"mta", "pools", "suppression", "workers", "tests"}

    assert fixed <= set(OURS)


@pytest.mark.parametrize("name", OURS)
def test_no_package_bears_a_name_of_the_standard_library(name: str) -> None:
    assert name not in sys.stdlib_module_names


@pytest.mark.parametrize("name", SHIPPED)
def test_no_package_bears_a_name_of_an_installed_module(name: str) -> None:
    owners = set(importlib.metadata.packages_distributions().get(name, ())) - {"postlane"}

    assert not owners


def test_wheel_holds_every_package_but_the_tests() -> None:
    tool = _pyproject()["tool"]
    assert isinstance(tool, dict)

    assert sorted(tool["hatch"]["build"]["targets"]["wheel"]["packages"]) == SHIPPED


def test_import_rules_name_every_package() -> None:
    rules = _importlinter()
    layers = _names(rules["importlinter:contract:layers"]["layers"])

    assert sorted(_names(rules["importlinter"]["root_packages"])) == SHIPPED
    assert sorted(layers) == SHIPPED


def test_import_rules_are_kept() -> None:
    check = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", check], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_celery_is_imported_in_two_places_only() -> None:
    """The same as one of the import rules, said without import-linter: it is the rule that matters most."""
    places = {
        file.relative_to(ROOT)
        for name in SHIPPED
        for file in (ROOT / name).rglob("*.py")
        if any(module.split(".")[0] in ("celery", "kombu") for module in _imports(file))
    }

    assert {place for place in places if place.parts[0] != "workers"} == {Path("core/publish.py")}


def test_every_folder_of_python_is_a_package() -> None:
    """With an `__init__.py` in some folders of tests only, pytest takes `pools` for the folder of their tests."""
    folders = {file.parent for name in OURS for file in (ROOT / name).rglob("*.py")}
    # Alembic reads its migrations by path; they are not modules of ours.
    folders = {folder for folder in folders if "migrations" not in folder.parts}

    assert {folder for folder in folders if not (folder / "__init__.py").exists()} == set()


def test_migrations_are_numbered_in_one_line() -> None:
    versions = sorted((ROOT / "store" / "migrations" / "versions").glob("[0-9]*.py"))
    texts = [file.read_text(encoding="utf-8") for file in versions]
    numbers = [file.name[:4] for file in versions]

    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]
    assert [re.search(r'^revision = "(\d+)"', text, re.M)[1] for text in texts] == numbers  # type: ignore[index]
    before = [re.search(r'^down_revision = (?:None|"(\d+)")', text, re.M)[1] for text in texts]  # type: ignore[index]
    assert before == [None, *numbers[:-1]]


@pytest.mark.parametrize("module", ["workers.app", "workers.scheduler", "workers.inbound", "pages.app"])
def test_what_serves_mail_does_not_load_what_composes_questions(module: str) -> None:
    """A third of a second of each start, and of every worker's memory."""
    code = f"import sys, {module}; raise SystemExit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
