"""docs/operations.md against the code: what it tells an operator to type, set, read and alarm on exists."""

import asyncio
import re
import shlex
from pathlib import Path

import pytest

from cli.installing import files
from core import settings
from core.queues import Lane
from core.secrets import InstanceSecret
from deploy.settings_page import variables
from pools.repository import Pools, read_pools
from store.database import Database
from tests.integration.cli.commands import runner
from tests.unit.deploy.commands import ROOT, parse
from tests.unit.deploy.declared import metrics
from tests.unit.test_layout import SHIPPED

PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
SOURCES = {file: file.read_text(encoding="utf-8") for name in SHIPPED for file in (ROOT / name).rglob("*.py")}
CLIENT_VARIABLES = {"POSTLANE_API_KEY", "POSTLANE_API_URL"}
"""Read by `postlane send` alone."""


_LEFT_OUT = {
    "domains rotate": ["shop.example"],
    "domains verify": ["shop.example"],
    "messages cancel": ["018f0000-0000-7000-8000-000000000000"],
    "suppressions remove": ["anna@example.com"],
}
"""Arguments of commands that the page only names."""


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.M | re.S)


def _commands() -> list[str]:
    """`postlane …` as it stands in code spans and shell blocks."""
    spans = re.findall(r"`postlane ([a-z][^`]*)`", PAGE)
    lines = re.findall(r"(?<![\w./-])postlane (?=[a-z])([^#\n]*)", "\n".join(_blocks("sh")))
    found = spans + [line for line in lines if line.split()[0] not in ("postlane", "postlane:0.1.0")]
    return sorted({command.strip() for command in found})


@pytest.mark.parametrize("command", _commands())
def test_command_can_be_typed(command: str) -> None:
    words = shlex.split(re.sub(r"<[a-z_]+>", "018f0000-0000-7000-8000-000000000000", command))

    assert parse([*words, *_LEFT_OUT.get(" ".join(words), [])]) == words[0]


def test_there_are_commands_to_look_at() -> None:
    assert len(_commands()) > 15


def test_every_variable_is_a_setting() -> None:
    named = set(re.findall(r"\bPOSTLANE_[A-Z0-9_]+", PAGE)) - {"POSTLANE_"}

    assert len(named) > 10
    assert named - variables() == CLIENT_VARIABLES


def test_every_metric_exists_and_is_moved() -> None:
    """Declared is not enough: a metric nobody moves gives an alarm that never rings."""
    named = set(re.findall(r"`(postlane_[a-z_]+)`", PAGE))
    declared: dict[str, str] = {}
    for text in SOURCES.values():
        for variable, metric in re.findall(
            r"^\s*(\w+)(?:: \w+)? ?= ?(?:Counter|Gauge|Histogram)\(\s*\"(postlane_\w+)\"", text, re.M
        ):
            declared[metric] = variable

    families = {metric.name for metric in metrics()} - set(declared)
    named -= families  # made anew for each scrape, of what the database holds
    assert len(named) > 15
    assert named - set(declared) == set()
    moving = r"\b(\w+)\.(?:labels|inc|set|observe|set_function)\b"
    moved = {variable for text in SOURCES.values() for variable in re.findall(moving, text)}
    unmoved = {metric for metric in named if declared[metric] not in moved}
    assert unmoved == set()


@pytest.mark.parametrize(
    "event", re.findall(r"`([a-z]+_[a-z_]+)`", PAGE.split("Keep in the log system:")[1].split("\n\n")[0])
)
def test_log_event_is_written(event: str) -> None:
    assert any(f'"{event}"' in text for text in SOURCES.values())


def test_rules_it_names_exist() -> None:
    rules = "".join(file.read_text(encoding="utf-8") for file in (ROOT / "mta" / "rules").glob("*.toml"))

    assert 'id = "source-not-bindable"' in rules
    assert "`source-not-bindable`" in PAGE


def test_links_lead_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
    headings = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in re.findall(r"^#+ (.+)$", PAGE, re.M)}
    assert set(re.findall(r"\]\(#([^)]+)\)", PAGE)) <= headings


def test_units_it_installs_exist() -> None:
    named = set(re.findall(r"postlane(?:-\w+@?)?(?=\d* ?`|\.target)", PAGE))

    assert {path.stem for path in Path(ROOT / "deploy" / "systemd").iterdir()} >= named - {"postlane"}


def test_what_install_prints_stands_there() -> None:
    given = {"POSTLANE_DATABASE_URL": "postgresql://127.0.0.1/postlane", "POSTLANE_REDIS_URL": "redis://127.0.0.1/0"}
    printed = "\n".join(files.next_steps(given, "/etc/redis/redis.conf"))
    assert f"{printed}\n" in _blocks("sh")
    for file in (files.SETTINGS, files.SQL, files.VALKEY, files.COMMAND, files.DATA):
        assert f"`{file}`" in PAGE


def test_its_commands_make_pools_that_workers_find(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As the page has them, but for the addresses, which this host does not have."""
    monkeypatch.setenv("POSTLANE_DATABASE_URL", database_url)
    monkeypatch.setenv("POSTLANE_DATA_DIR", str(tmp_path))
    settings.load.cache_clear()
    postlane = runner(capsys)
    section = PAGE.split("## IPs and pools")[1].split("## ")[0]
    for command in re.findall(r"^postlane (.+)$", section.split("```sh")[1].split("```")[0], re.M):
        done = postlane(*shlex.split(command), *(["--elsewhere"] if command.startswith("ips add") else []))
        assert done.status == 0, (command, done.said)
    settings.load.cache_clear()
    pools = asyncio.run(_read(database_url))

    assert {lane: len(pool.members) for lane, pool in pools.defaults.items()} == {
        Lane.TRANSACTIONAL: 2,
        Lane.MARKETING: 2,
    }
    assert pools.defaults[Lane.MARKETING].members[0].ip.ehlo_name == "m1.mail.example.com"


async def _read(database_url: str) -> Pools:
    database = Database(database_url, 2, "test")
    await database.open()
    try:
        async with database.connection() as connection:
            return await read_pools(connection, InstanceSecret(bytes(32)))
    finally:
        await database.close()
