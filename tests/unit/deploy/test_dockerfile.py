"""The Dockerfile as far as it can be proved without a Docker daemon: what it copies, installs, and runs as."""

import ast
import json
import re
import shlex

import pytest

from deploy.settings_page import variables
from tests.unit.deploy.commands import ROOT, parse
from tests.unit.test_layout import SHIPPED

TEXT = (ROOT / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
NOT_NEEDED = {"bench", "deploy"}
"""Packages that serve development only."""


def _instructions() -> list[tuple[str, str]]:
    """(instruction, arguments), comments and line continuations resolved."""
    lines = [line for line in TEXT.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(line.split(None, 1)[0], line.split(None, 1)[1]) for line in joined.splitlines()]


INSTRUCTIONS = _instructions()
LAST_STAGE = INSTRUCTIONS[max(n for n, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM") :]


def _argument(word: str, stage: list[tuple[str, str]] = LAST_STAGE) -> str:
    return next(rest for name, rest in stage if name == word)


def _copied() -> list[str]:
    defaults = dict(rest.split("=", 1) for word, rest in INSTRUCTIONS if word == "ARG")
    sources: list[str] = []
    for word, rest in INSTRUCTIONS:
        if word == "COPY" and not rest.startswith("--from"):
            sources += shlex.split(re.sub(r"\$\{(\w+)\}", lambda found: defaults[found[1]], rest))[:-1]
    return sources


def test_it_has_two_stages_of_a_pinned_python() -> None:
    assert [rest.split()[0] for word, rest in INSTRUCTIONS if word == "FROM"] == ["python:3.13-slim"] * 2


@pytest.mark.parametrize("source", _copied())
def test_what_is_copied_exists_and_is_sent_to_the_builder(source: str) -> None:
    assert (ROOT / source).exists()
    assert f"!{source}" in IGNORED or f"!{source.rsplit('/', 1)[0]}/*.lock" in IGNORED
    assert IGNORED[1] == "*"


def test_every_package_that_runs_is_copied() -> None:
    copied = {source for source in _copied() if "/" not in source and (ROOT / source).is_dir()}

    assert copied == set(SHIPPED) - NOT_NEEDED


def test_nothing_secret_and_nothing_of_development_gets_in() -> None:
    allowed = {line[1:] for line in IGNORED if line.startswith("!")}

    assert not allowed & {".env", ".postlane", ".git", "tests", "docs"}


def test_packages_are_installed_by_hash_and_never_compiled() -> None:
    installs = [rest for word, rest in INSTRUCTIONS if word == "RUN" and "pip install" in rest]

    assert len(installs) == 1
    assert "--require-hashes" in installs[0]
    assert "--only-binary :all:" in installs[0]


def test_the_last_stage_builds_nothing() -> None:
    commands = " ".join(rest for word, rest in LAST_STAGE if word == "RUN")

    assert not re.search(r"\b(apt-get|gcc|make|pip install)\b", commands)


def test_no_address_to_download_from() -> None:
    assert "://" not in TEXT.replace("http://127.0.0.1", "")


def test_it_does_not_run_as_root() -> None:
    user, group = _argument("USER").split(":")

    assert int(user) >= 1000
    assert int(group) >= 1000
    assert f"--uid {user}" in TEXT
    assert f"--owner {user}" in TEXT, "the journal's folder must be writable"
    assert [word for word, _ in LAST_STAGE].index("USER") < [word for word, _ in LAST_STAGE].index("ENTRYPOINT")


def test_it_starts_a_command_that_exists() -> None:
    assert json.loads(_argument("ENTRYPOINT")) == ["postlane"]
    assert parse(json.loads(_argument("CMD"))) == "api"
    assert "-m cli" in TEXT
    assert (ROOT / "cli" / "__main__.py").exists()


def test_its_variables_are_settings() -> None:
    assert set(re.findall(r"POSTLANE_[A-Z_]+", TEXT)) <= variables()


def test_health_check_is_python_that_compiles() -> None:
    words = json.loads(_argument("HEALTHCHECK").split(" CMD ")[1])

    assert words[:2] == ["python", "-c"]
    assert "/healthz" in ast.unparse(ast.parse(words[2]))
