"""House rules that a linter does not know, as tests over the files of the repository.

A rule that needs an exception gets it here, with its reason; there are none so far but those named below.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TypeGuard

import pytest

from tests.order import LONGEST

ROOT = Path(__file__).parent.parent.parent

LOCKS = sorted((ROOT / "requirements").glob("*.lock"))

MAX_LINES = 500
MAX_FUNCTION_LINES = 80

ASSERTION_CALLS = ("raises", "warns", "fail", "deprecated_call", "call_and_validate", "validate_response")
"""pytest's and Schemathesis' ways to say what must happen, beside `assert`."""


@cache
def _tracked() -> tuple[Path, ...]:
    """Files of the repository, also those not committed yet; without git (an unpacked archive) every file there is."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    names = listed.stdout.split("\0") if listed.returncode == 0 else _walked()
    return tuple(ROOT / name for name in sorted(set(names)) if name and (ROOT / name).is_file())


def _walked() -> Iterator[str]:
    skipped = {".git", ".venv", ".postlane", "__pycache__", "build", "dist"}
    for file in ROOT.rglob("*"):
        name = file.relative_to(ROOT)
        if not skipped.intersection(name.parts) and not any(part.endswith("_cache") for part in name.parts):
            yield str(name)


def _python() -> list[Path]:
    return [file for file in _tracked() if file.suffix == ".py"]


@cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


@cache
def _nodes(file: Path) -> tuple[ast.AST, ...]:
    """All of a file: walking a tree is what these tests do most."""
    return tuple(ast.walk(_tree(file)))


def _place(file: Path, node: ast.stmt | ast.expr | ast.ExceptHandler) -> str:
    return f"{file.relative_to(ROOT)}:{node.lineno}"


def _functions(file: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in _nodes(file):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def _calls(node: ast.AST) -> Iterator[tuple[ast.Call, str]]:
    """Calls under a node with the last name of what is called: `datetime.now` → `now`."""
    for found in ast.walk(node):
        if isinstance(found, ast.Call):
            name = found.func.attr if isinstance(found.func, ast.Attribute) else getattr(found.func, "id", "")
            yield found, name


def test_there_are_files_to_look_at() -> None:
    assert len(_python()) > 100
    assert len(LOCKS) >= 2


# Lock files


def _requirements(lock: Path) -> list[str]:
    """Each requirement with its options as one line."""
    text = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.strip() for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: file.name)
def test_lock_pins_every_requirement_with_hashes(lock: Path) -> None:
    pinned = re.compile(r"[a-z0-9.-]+(\[[a-z0-9,-]+\])?==\S+ .*--hash=sha256:[0-9a-f]{64}")
    requirements = _requirements(lock)

    assert len(requirements) > 20
    assert [line[:80] for line in requirements if not pinned.match(line)] == []


@pytest.mark.parametrize("lock", LOCKS, ids=lambda file: file.name)
def test_lock_names_no_place_to_download_from(lock: Path) -> None:
    words = ("http://", "https://", "--index-url", "--extra-index-url", "--find-links", "-i ", "-f ", "git+", "file:")
    text = lock.read_text(encoding="utf-8")

    assert [word for word in words if re.search(rf"(^|\s){re.escape(word)}|://", text, re.M) and word in text] == []


def test_locks_agree_with_each_other() -> None:
    """What is installed for development includes what runs, in the same versions."""
    versions: dict[str, set[str]] = {}
    for lock in LOCKS:
        for line in _requirements(lock):
            name, _, rest = line.partition("==")
            versions.setdefault(name, set()).add(rest.split()[0])

    assert {name: found for name, found in versions.items() if len(found) > 1} == {}


# Size


def test_no_file_is_too_long() -> None:
    # A corpus is a list of samples: it grows, and nobody reads it through.
    files = [file for file in _python() if not file.name.endswith("_corpus.py")]
    lengths = {file.relative_to(ROOT): len(file.read_text(encoding="utf-8").splitlines()) for file in files}

    assert {str(file): length for file, length in lengths.items() if length > MAX_LINES} == {}


def test_no_function_is_too_long() -> None:
    lengths = {
        f"{_place(file, node)} {node.name}": (node.end_lineno or node.lineno) - node.lineno + 1
        for file in _python()
        for node in _functions(file)
    }

    assert {place: length for place, length in lengths.items() if length > MAX_FUNCTION_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc"}

    assert [str(file.relative_to(ROOT)) for file in _python() if nothing & {file.stem, file.parent.name}] == []


# Errors and time


def test_no_bare_except() -> None:
    bare = [
        _place(file, node)
        for file in _python()
        for node in _nodes(file)
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]

    assert bare == []


def test_a_broad_except_says_why() -> None:
    """`except Exception` needs its reason on the line, or in a comment right below."""
    silent = []
    for file in _python():
        lines = file.read_text(encoding="utf-8").splitlines()
        for node in _nodes(file):
            if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception":
                below = lines[node.lineno] if node.lineno < len(lines) else ""
                if "#" not in lines[node.lineno - 1] and not below.lstrip().startswith("#"):
                    silent.append(_place(file, node))

    assert silent == []


def test_no_naive_time() -> None:
    naive = [
        _place(file, call)
        for file in _python()
        for call, name in _calls(_tree(file))
        if name in ("utcnow", "utcfromtimestamp", "today")
        or (
            name == "now"
            and isinstance(call.func, ast.Attribute)
            and _is_datetime(call.func)
            and not call.args
            and not call.keywords
        )
        or (name == "fromtimestamp" and len(call.args) + len(call.keywords) < 2)
    ]

    assert naive == []


def _is_datetime(function: ast.Attribute) -> bool:
    return ast.unparse(function.value).rsplit(".", 1)[-1] == "datetime"


# Settings


READERS = {
    "core/settings.py": "the one reader",
    "cli/running/processes.py": "hands the environment on to child processes, and reads nothing from it",
    "backups/programs.py": "hands it on to pg_dump and pg_restore, with the URL's parts in libpq's variables",
    "core/own_metrics.py": "finds that folder again in such a process, as the client library does",
    "core/metrics.py": "names the folder of shared figures to processes of ours, in the client library's own variable",
    "bench/sink.py": "looks for foreign programs along PATH, which is not a setting of ours",
}


def test_environment_is_read_in_one_place() -> None:
    """Tests may set it for the processes they start; the product asks `core/settings`."""
    elsewhere = [
        _place(file, node)
        for file in _python()
        if file.relative_to(ROOT).parts[0] != "tests" and str(file.relative_to(ROOT)) not in READERS
        for node in _nodes(file)
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "environb", "getenv")
    ]

    assert elsewhere == []


# Tests


MAY_PARSE_MAIL = ("simulator/people.py", "simulator/control.py")
"""Practice people read mail that we wrote. Whatever comes from elsewhere is read by `mta/report_parts`."""
_PARSERS = re.compile(r"message_from_(?:bytes|string|file|binary_file)$|(?:Bytes)?(?:Header|Feed)?Parser$")


def _names_a_mail_parser(node: ast.AST) -> TypeGuard[ast.ImportFrom | ast.Attribute]:
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("email"):
        return any(_PARSERS.match(name.name) for name in node.names)
    return isinstance(node, ast.Attribute) and bool(_PARSERS.match(node.attr))


def test_foreign_mail_is_read_by_the_bounded_reader() -> None:
    """The parser of the standard library can be kept busy for minutes by a megabyte."""
    found = [
        _place(file, node)
        for file in _python()
        if not file.relative_to(ROOT).as_posix().startswith(("tests/", *MAY_PARSE_MAIL))
        for node in ast.walk(_tree(file))
        if _names_a_mail_parser(node)
    ]
    assert found == []


def test_every_test_can_fail() -> None:
    idle = [
        _place(file, function)
        for file in _python()
        if file.relative_to(ROOT).parts[0] == "tests" and file.name.startswith("test_")
        for function in _functions(file)
        if function.name.startswith("test_") and not _asserts(function, _asserting_functions(file))
    ]

    assert idle == []


@cache
def _asserting_functions(file: Path) -> frozenset[str]:
    """Functions of a test file that assert something: a test may leave the asserting to one of them."""
    return frozenset(f.name for f in _functions(file) if not f.name.startswith("test_") and _asserts(f, frozenset()))


def _asserts(function: ast.AST, others: frozenset[str]) -> bool:
    if any(isinstance(node, ast.Assert) for node in ast.walk(function)):
        return True
    return any(name in ASSERTION_CALLS or name in others or name.startswith("assert") for _, name in _calls(function))


def test_long_test_files_are_where_they_are_said_to_be() -> None:
    assert [name for name in LONGEST if not (ROOT / name).exists()] == []


# Purity

TOUCHES = frozenset(
    {
        "aiohttp", "aiosmtplib", "asyncio", "celery", "httpx", "kombu", "os", "psycopg", "psycopg_pool", "redis",
        "secrets", "socket", "store.database", "subprocess", "threading", "urllib.request",
    }
)  # fmt: skip
"""Modules whose import says that more than values is meant. `random` is not among them: with a seed it is a value."""

LOOKS = frozenset({"date.today", "datetime.now", "open", "time.monotonic", "time.time", "time.time_ns"})
"""Calls that ask the world, beside those that read or write a file."""


def _touches(file: Path) -> Iterator[str]:
    for node in _nodes(file):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names if one.name in TOUCHES)
        elif isinstance(node, ast.ImportFrom) and node.module in TOUCHES:
            yield node.module
        elif isinstance(node, ast.AsyncFunctionDef):
            yield f"async {node.name}"
        elif isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if called in LOOKS or called.endswith((".read_text", ".read_bytes", ".write_text", ".write_bytes")):
                yield called


def test_what_calls_itself_pure_is() -> None:
    """`Pure.` in a module's docstring is a promise to whoever wants to reason about it, or to test it with values."""
    promising = [file for file in _python() if re.search(r"\bPure[.:]", ast.get_docstring(_tree(file)) or "")]
    broken = {str(file.relative_to(ROOT)): found for file in promising if (found := [*_touches(file)])}
    assert len(promising) > 60
    assert broken == {}


# Words


def _texts() -> Iterator[tuple[str, str]]:
    """Name and content of every text file but this one, which has to spell what it looks for."""
    for file in _tracked():
        if file != Path(__file__):
            data = file.read_bytes()
            if b"\0" not in data:
                yield str(file.relative_to(ROOT)), data.decode("utf-8", "replace")


def _lines_with(pattern: str) -> list[str]:
    wanted = re.compile(pattern)
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in _texts()
        for number, line in enumerate(text.splitlines(), 1)
        if wanted.search(line)
    ]


def test_no_file_names_a_package_registry() -> None:
    """A mirror must work as well as the original; where to download from is a matter of the machine's set-up."""
    assert _lines_with(r"pypi\.org|pythonhosted\.org|registry\.npmjs|registry\.yarnpkg|proxy\.golang|crates\.io") == []


def test_no_file_names_a_path_of_one_machine() -> None:
    assert _lines_with(r"""(^|[\s"'`(=:])/(work|home/[a-z]+|Users/[A-Za-z]+)/""") == []


def test_nothing_is_left_to_be_done_later() -> None:
    assert _lines_with(r"\b(TODO|FIXME|XXX|HACK)\b") == []
