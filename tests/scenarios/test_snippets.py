"""Every snippet of README and docs, word for word, against one running demo.

Path: the fenced blocks of all pages in their order. Shell blocks are run by a shell in the demo's folder, Python by
Python, JavaScript by Node, each with the SDK, TOML by the command that reads it; JSON that a page shows is compared
with what the command before it printed.
What cannot run on a desk (Docker, systemd, the suite itself) stands in `NOT_RUN` with its reason, and is parsed.
Expectation: everything that is printed on a page works; a block that nobody has classified fails.

What a page takes for given (an address of the host, a domain, a file) is made before it, in `GIVEN`.
"""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from console.snippets.snippets import HERE, Values, snippets
from core.settings import Settings
from tests.clients.node import installed
from tests.scenarios.resident import CLIENT, resident
from tests.scenarios.terminal import PATIENCE_SECONDS, ROOT, up
from tests.stack import reachable_folder
from tests.unit.deploy.commands import parse

pytestmark = pytest.mark.scenario

FIRST = ("README.md", "docs/operations.md", "docs/operating-pools.md", "docs/warmup.md")
"""Pages in the order in which somebody would read them; the others come after."""

NOT_RUN = {
    ("README.md", "make run"): "starts the demo that all the others run against; test_demo does it",
    ("README.md", "apt install"): "makes users and units of the machine; test_install walks through it",
    ("README.md", ".venv/bin/postlane init"): "needs Docker",
    ("README.md", "make test"): "runs this very suite",
    ("CONTRIBUTING.md", "make setup"): "installs packages and runs this very suite",
    ("docs/operations.md", "docker build"): "needs Docker",
    ("docs/operations.md", "cat privkey.pem"): "needs Docker",
    ("docs/operations.md", "docker compose exec"): "needs Docker",
    ("docs/operations.md", "set -a; . ./.env"): "needs the servers that Docker starts",
    ("docs/operations.md", "apt install"): "makes users and units of the machine; test_install walks through it",
    ("docs/operations.md", "runuser"): "what `postlane install` prints; test_install does it, but for systemd",
    ("docs/operations.md", "python3 -m venv"): "wants `make dist`; test_install does it",
    ("docs/operations.md", "systemctl"): "starts units of the machine",
    ("docs/scale.md", "make bench"): "measures for minutes; its figures are counted by bench/cases/cost",
    ("docs/traces.md", "docker run"): "needs Docker",
    ("docs/warmup-rehearsal.md", "postlane warmup rehearse"): "minutes of work; test_rehearsal compares the tables",
}

SHOWN = {
    ("README.md", "╭"): "the live view",
    ("docs/console.md", "router = APIRouter"): "a sketch of a page; test_guard walks the real ones",
    ("docs/console.md", '<div id="live"'): "a line of a template; test_chromium sees it work",
    ("docs/connections.md", " worker process A"): "a drawing",
    ("docs/flow.md", "application"): "a drawing",
    ("docs/flow.md", "queued"): "a drawing",
    ("docs/flow.md", "recipient's server"): "a drawing",
    ("docs/operating-pools.md", "192.0.2.11 at gmail"): "a story, with times of its own",
    ("docs/operating-pools.md", "score ="): "a formula; test_reputation computes it",
    ("docs/providers.md", "internal:"): "the configuration of another program",
    ("docs/throttles.md", "                    throttle"): "a drawing; a test holds the moves",
    ("docs/traces.md", "POST /emails"): "a drawing; test_traces holds it",
    ("docs/warmup-rehearsal.md", "Day by day"): "tables that test_rehearsal compares",
}

GIVEN = {
    "docs/operating-pools.md": (
        "postlane keys create web --application shop",
        "postlane pools create reserve --lane marketing",
    ),
    "docs/warmup.md": ("postlane ips add 203.0.113.7 --ehlo m7.example.com",),
    "docs/rules.md": ("""echo '{"provider": "gmail", "code": 550, "text": "5.1.1 No such user"}' > replies.jsonl""",),
}

MAY_FAIL = {
    "postlane domains verify shop.example": "repeat until it says verified",
    "POSTLANE_API_KEY=": "the domain above is not verified, and the API says so",
}
"""Lines whose page says, or whose line before makes, that they end with status 1."""


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block."""

    page: str
    language: str
    text: str

    @property
    def name(self) -> str:
        return f"{self.page}: {self.text.splitlines()[0][:50]}"

    def among(self, table: dict[tuple[str, str], str]) -> bool:
        return any(page == self.page and self.text.startswith(begins) for page, begins in table)


def _pages() -> list[str]:
    found = [str(file.relative_to(ROOT)) for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"))]
    return [*FIRST, *sorted(page for page in found if page not in (*FIRST, "CHANGELOG.md"))]


def _blocks() -> list[Block]:
    fence = re.compile(r"^```(\w*)\n(.*?)^```$", re.M | re.S)
    return [
        Block(page, found[1], found[2])
        for page in _pages()
        for found in fence.finditer((ROOT / page).read_text("utf-8"))
    ]


BLOCKS = _blocks()


@dataclass
class Desk:
    """A folder with a running demo, as a reader has it before him."""

    folder: Path
    facts: dict[str, Any]
    printed: str = ""
    """By the block before."""
    email: str = ""
    """The last one that was sent."""

    def shell(self, text: str) -> str:
        """Run by a shell that stops at the first failure, with what a reader puts in put in."""
        for placeholder, value in (
            ("messages why ID", f"messages why {self.email}"),
            ("POSTLANE_API_KEY=...", f"POSTLANE_API_KEY={self.facts['api_key']}"),
            ("http://127.0.0.1:8025", self.facts["api_url"]),
        ):
            text = text.replace(placeholder, value)
        return self.run(["sh", "-e", "-c", text])

    def run(self, command: list[str], **env: str) -> str:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("POSTLANE_")}
        path = f"{self.folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            command, cwd=self.folder, env=clean | {"PATH": path} | env, capture_output=True, text=True, timeout=120,
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command[-1]}\n{done.stdout}{done.stderr}"
        return done.stdout


_HOST = """\
#!/bin/sh
# The host of the page has its addresses, which are those of documentation (RFC 5737): this one has not.
case "$1 $2 $3" in
  "ips add 192.0.2."*|"ips add 203.0.113."*) exec "$0.py" "$@" --elsewhere ;;
  *) exec "$0.py" "$@" ;;
esac
"""


@pytest.fixture(scope="module")
def desk() -> Iterator[Desk]:
    with reachable_folder() as folder:
        programs = folder / ".venv" / "bin"
        programs.mkdir(parents=True)
        for name, text in (
            ("postlane", _HOST),
            ("postlane.py", CLIENT.format(python=sys.executable, path=str(folder / "s"))),
        ):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        with resident(folder / "s"), up(folder, "--demo") as terminal:
            terminal.until(lambda: terminal.lines("curl"), PATIENCE_SECONDS, "demo")
            yield Desk(folder, json.loads((folder / ".postlane" / "demo.json").read_text()))


def test_every_block_is_run_or_has_a_reason_not_to_be() -> None:
    unknown = [
        block.name
        for block in BLOCKS
        if block.language not in ("sh", "python", "js", "json", "toml", "ini", "yaml") and not block.among(SHOWN)
    ]
    stale = [
        key
        for table in (NOT_RUN, SHOWN)
        for key in table
        if not any(block.page == key[0] and block.text.startswith(key[1]) for block in BLOCKS)
    ]

    assert unknown == []
    assert stale == []


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.among(NOT_RUN)], ids=lambda block: block.name)
def test_what_cannot_run_here_can_be_parsed(block: Block) -> None:
    """By a shell; our own command and make's targets in it exist."""
    subprocess.run(["bash", "-n", "-c", block.text], check=True, timeout=10)
    for words in re.findall(r"(?:^|[ /])postlane (?!postlane)([a-z][^#\n|;]*)", block.text, re.M):
        if not words.startswith("sh "):
            parse(words.split())
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    assert set(re.findall(r"\bmake ([a-z-]+)", block.text)) <= set(targets)


def test_commands_of_the_upgrade_are_there() -> None:
    """They stand within its sentences, and want Docker or systemd: commands, services, units and targets exist."""
    page = (ROOT / "docs" / "operations.md").read_text("utf-8")
    section = page.partition("\n## Upgrade\n")[2].partition("\n## ")[0]
    spans = re.findall(r"`((?:postlane|docker|make|systemctl) [^`]+)`", section)
    commands = [one.split() for span in spans for one in span.split(" && ")]
    services = set(yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"])
    units = {file.name.partition(".")[0] for file in (ROOT / "deploy" / "systemd").iterdir()}
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    for program, *words in commands:
        named = [word for word in words if not word.startswith("-")]
        match program:
            case "postlane":
                parse(words)
            case "docker":
                assert (named[0], named[1] in ("build", "run", "up")) == ("compose", True), words
                assert {*named[2:]} <= services, words
            case "make":
                assert {*named} <= targets, words
            case "systemctl":
                assert {*named[1:]} <= units, words
    assert {program for program, *_ in commands} == {"postlane", "docker", "make", "systemctl"}
    assert len(commands) >= 9


RUN = [block for block in BLOCKS if not block.among(NOT_RUN) and not block.among(SHOWN)]


@pytest.mark.timeout(900)  # all pages, on a busy machine
def test_every_snippet_works_as_it_stands(desk: Desk) -> None:
    """In the order of reading: a page may take what those before it left."""
    page, wrong = "", []
    for block in RUN:
        if block.language == "js":
            continue
        given = GIVEN.get(block.page, ()) if block.page != page else ()
        page = block.page
        try:
            for line in given:
                desk.shell(line)
            _RUNNERS[block.language](desk, block)
        except AssertionError as error:
            wrong.append(f"{block.name}\n{str(error)[-1500:]}")
    assert wrong == [], "\n\n".join(wrong)


@pytest.mark.parametrize("block", [block for block in RUN if block.language == "js"], ids=lambda block: block.name)
def test_the_same_from_node(block: Block, desk: Desk) -> None:
    """Apart from the others, for it needs Node: the same mail as in Python."""
    (python,) = (one.text for one in RUN if one.page == block.page and one.language == "python")
    values = re.compile(r'"(Acme [^"]+|you@[^"]+|Your receipt|<p>[^"]+|Thank you\.)"')
    assert values.findall(block.text) == values.findall(python)
    _run_node(desk, block)


READER = "reader@gmail.sim"


def _of_the_console(desk: Desk) -> dict[str, str]:
    """Programs by name, with the values of the demo."""
    sender = desk.facts["from"].partition("<")[2].rstrip(">") or desk.facts["from"]
    port = urlsplit(desk.facts["smtp_url"]).port or 0
    return {one.name: one.text for one in snippets(Values(desk.facts["api_url"], HERE, port, sender, READER))}


def _sent(desk: Desk) -> int:
    """Mails to the reader that the demo has."""
    return len(json.loads(desk.run(["postlane", "messages", "list", "--to", READER, "--limit", "100", "--json"])))


def test_snippets_of_the_console_send(desk: Desk) -> None:
    """Each as it stands; the key comes from the environment."""
    programs = _of_the_console(desk)
    given = {"POSTLANE_API_KEY": desk.facts["api_key"], "NO_PROXY": "127.0.0.1"}
    before = _sent(desk)
    for name, command in (("curl", ["sh", "-e"]), ("python", [sys.executable]), ("smtp", [sys.executable])):
        desk.run([*command, "-c", programs[name]], **given)
    assert _sent(desk) == before + 3


def test_the_snippet_of_the_console_for_node_sends(desk: Desk) -> None:
    """Apart from the others, for it needs Node."""
    before = _sent(desk)
    _node_packages(desk)
    (desk.folder / "console.mjs").write_text(_of_the_console(desk)["node"], encoding="utf-8")
    desk.run(["node", "console.mjs"], POSTLANE_API_KEY=desk.facts["api_key"], NO_PROXY="127.0.0.1")
    assert _sent(desk) == before + 1


def _run_shell(desk: Desk, block: Block) -> None:
    lines = block.text.splitlines()
    if any(line.startswith(begins) for line in lines for begins in MAY_FAIL):
        # the line may end with a comment
        printed = [desk.shell(f"{{ {line}\n}} || true" if line.startswith(tuple(MAY_FAIL)) else line) for line in lines]
        desk.printed = "".join(printed)
    else:
        desk.printed = desk.shell(block.text)
    if sent := re.findall(r'"object": "email",\s+"id": "([0-9a-f-]{36})"', desk.printed):
        desk.email = sent[-1]
    if "simulator throttle gmail 127.0.1.1" in block.text:
        assert "rests at gmail" in desk.printed, desk.printed  # what the page says one sees


def _run_python(desk: Desk, block: Block) -> None:
    text = block.text.replace("pl_...", desk.facts["api_key"])
    desk.run([sys.executable, "-c", text], RESEND_API_URL=desk.facts["api_url"], NO_PROXY="127.0.0.1")


def _node_packages(desk: Desk) -> None:
    packages = installed(ROOT / "tests" / "clients" / "resend") / "node_modules"
    if not (desk.folder / "node_modules").exists():
        (desk.folder / "node_modules").symlink_to(packages)


def _run_node(desk: Desk, block: Block) -> None:
    """With the SDK; it keeps an error to itself, so the mail it answers with is looked for."""
    _node_packages(desk)
    text = block.text.replace("pl_...", desk.facts["api_key"]) + "console.log(JSON.stringify({ data, error }));\n"
    (desk.folder / "send.mjs").write_text(text, encoding="utf-8")
    answer = json.loads(desk.run(["node", "send.mjs"], RESEND_BASE_URL=desk.facts["api_url"], NO_PROXY="127.0.0.1"))
    assert answer["error"] is None, answer
    assert json.loads(desk.shell(f"postlane messages show {answer['data']['id']}"))["to"] == ["you@gmail.sim"]


def _compare(desk: Desk, block: Block) -> None:
    assert _within(json.loads(block.text), json.loads(desk.printed)), desk.printed


def _within(told: object, printed: object) -> bool:
    """Whether what the page shows is part of what was printed, by names and types."""
    if isinstance(told, dict) and isinstance(printed, dict):
        return all(key in printed and _within(one, printed[key]) for key, one in told.items())
    if isinstance(told, list) and isinstance(printed, list):
        return len(told) == len(printed) and all(map(_within, told, printed))
    return type(told) is type(printed)


def _read_toml(desk: Desk, block: Block) -> None:
    """By the command that the page names for such a file."""
    (desk.folder / "mine.toml").write_text(block.text, encoding="utf-8")
    tables = tomllib.loads(block.text)
    if "rule" in tables:
        desk.run(["postlane", "providers", "check"], POSTLANE_RULES_FILE="mine.toml")
    elif "provider" in tables:
        desk.run(["postlane", "providers", "list"], POSTLANE_PROVIDERS_FILE="mine.toml")
    else:
        desk.run(["postlane", "warmup", "plans", "create", "mine.toml"])


def _read_ini(_desk: Desk, block: Block) -> None:
    named = dict(re.findall(r"^POSTLANE_(\w+)=(.*)$", re.sub(r"<\w+>", "secret", block.text), re.M))
    Settings(_env_file=None, **{name.lower(): value for name, value in named.items()})  # type: ignore[arg-type]
    assert {name.lower() for name in named} <= set(Settings.model_fields)


def _read_yaml(_desk: Desk, block: Block) -> None:
    ours = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))["services"]
    for service in yaml.safe_load(block.text)["services"].values():
        assert service["extends"]["service"] in ours
        parse(service["command"])


_RUNNERS = {
    "sh": _run_shell,
    "python": _run_python,
    "json": _compare,
    "toml": _read_toml,
    "ini": _read_ini,
    "yaml": _read_yaml,
}
