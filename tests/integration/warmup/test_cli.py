"""`postlane warmup` as commands, on the real database."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.commands.warmup import app
from cli.main import run as run_command
from core import settings
from store.database import Database
from tests.integration.cli.commands import Answer, Postlane, in_database
from tests.integration.warmup.world import IP, OTHER_IP, add_ips


@pytest.fixture
def warmup(
    database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Postlane]:
    """Runs `postlane warmup ...` where two IPs are known."""
    monkeypatch.setenv("POSTLANE_DATABASE_URL", database_url)
    monkeypatch.setenv("POSTLANE_REDIS_URL", "redis://127.0.0.1:1/0")
    settings.load.cache_clear()

    async def prepare(database: Database) -> None:
        async with database.transaction() as connection:
            await add_ips(connection, IP, OTHER_IP)

    in_database(database_url, prepare)

    def call(*words: str) -> Answer:
        status = run_command(lambda: app(list(words), prog_name="warmup", standalone_mode=False))
        printed = capsys.readouterr()
        try:
            return Answer(status, json.loads(printed.out), printed.err)
        except ValueError:
            return Answer(status, printed.out, printed.err)

    yield call
    settings.load.cache_clear()


def test_a_preset_that_nobody_cut_says_where_it_ends(warmup: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    tried = warmup("simulate", "--plan", "stages-29", "--volume", "300000/day").said
    assert "`warmup start` does the same with `--target 150000`" in tried
    told = warmup("start", IP, "--plan", "stages-29").said
    assert "All 29 stages, up to 10,000,000 mails a day." in told
    assert "--target N" in told


def test_a_warm_up_from_start_to_end(warmup: Postlane) -> None:
    started = warmup("start", IP, "--plan", "stages-29", "--mix", "gmail:45,microsoft:20", "--target", "3000").out
    assert (started["plan"], started["stage"], started["stages"], started["cap"]) == ("stages-29", 1, 5, 200)
    assert [(one["track"], one["cap"]) for one in started["tracks"]] == [("gmail", 90), ("microsoft", 40), ("*", 70)]
    again = warmup("start", IP, "--plan", "plus-30")
    assert (again.status, again.code) == (1, "already_warming")
    (line,) = warmup("list").out
    assert (line["ip"], line["stage"], line["stages"], line["cap"], line["used"]) == (IP, 1, 5, 200, 0)
    assert warmup("pause", IP, "--reason", "holidays").out["state"] == "paused"
    assert warmup("resume", IP).out["state"] == "active"
    assert [one["stage"] for one in warmup("skip", IP, "--provider", "gmail").out["tracks"]] == [2, 1, 1]
    assert [one["stage"] for one in warmup("step-back", IP, "--provider", "gmail").out["tracks"]] == [1, 1, 1]
    assert warmup("step-back", IP).code == "no_such_stage"
    shown = warmup("show", IP).out
    assert [one["track"] for one in shown["tracks"]] == ["gmail", "microsoft", "*"]
    assert [one["change"] for one in shown["changes"]] == ["step_back", "skip", "resume", "pause", "start"]
    assert warmup("complete", IP).out["state"] == "complete"
    assert warmup("list").out[0]["state"] == "complete"
    assert len(warmup("history", IP, "--limit", "3").out) == 3
    assert warmup("history", OTHER_IP).code == "not_warming"
    assert warmup("start", "192.0.2.9", "--plan", "plus-30").code == "unknown_ip"


def test_shifting_traffic(warmup: Postlane) -> None:
    answer = warmup("shift", "--from", IP, "--to", OTHER_IP, "--target", "5000")
    assert (answer.out["ip"], answer.out["moved_from"], answer.out["stages"]) == (OTHER_IP, IP, 5)
    assert f"Keep {IP} in the same pools" in answer.said


def test_plans_of_ones_own(warmup: Postlane, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "mine"\nstages = [100, 300, 900]\n[weights]\ngmail = 0.5\n')
    assert warmup("plans", "create", str(file)).out["weights"] == {"gmail": 0.5, "*": 0.5}
    assert warmup("plans", "create", str(file)).code == "plan_exists"
    assert [one["name"] for one in warmup("plans", "list").out] == ["mine"]
    shown = warmup("plans", "show", "mine").out
    assert shown["stages"] == [100, 300, 900]
    assert warmup("plans", "show", "plus-30").out["hour_limit"] == 0.2
    projected = warmup("simulate", "--plan", "mine", "--volume", "10,000/day", "--mix", "gmail:50").out
    assert projected["ends_on"] == 3
    file.write_text('name = "mine"\nstages = [200, 500]\n')
    assert warmup("plans", "update", "mine", str(file)).out["stages"] == [200, 500]
    assert warmup("plans", "update", "nothing", str(file)).code == "plan_not_found"
    assert warmup("plans", "update", "plus-30", str(file)).code == "plan_is_preset"
    assert warmup("plans", "delete", "mine").out == {"object": "warmup_plan", "id": "mine", "deleted": True}
    assert warmup("plans", "show", "mine").code == "plan_not_found"
    again = tmp_path / "again.json"
    again.write_text(json.dumps(shown))
    assert warmup("plans", "create", str(again)).out == shown


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('name = "mine"\nstages = [100, 50]', "stages[2]: 50 a day falls below stage 1 with 100"),
        ('name = "mine"\nstages = [1000]\n[weights]\ngmial = 0.5', "weights.gmial: unknown provider"),
        ('name = "mine"\nstages = [1000', "mine.toml"),
    ],
)
def test_a_wrong_plan_names_file_field_and_reason(warmup: Postlane, tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(text)
    answer = warmup("plans", "create", str(file))
    assert (answer.status, answer.code) == (1, "invalid_plan")
    assert words in answer.said
    assert "mine.toml" in answer.said
    assert warmup("plans", "list").out == []


def test_simulate_and_presets_need_no_server(warmup: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    settings.load.cache_clear()
    assert len(warmup("presets").out) == 4
    result = warmup("simulate", "--plan", "stages-29", "--volume", "300000/day", "--mix", "gmail:45,microsoft:20").out
    assert (result["plan"], result["ends_on"]) == ("stages-29", 12)
    assert {(row["provider"], row["stages"]) for row in result["data"]} == {
        ("gmail", 12),
        ("microsoft", 12),
        ("*", 12),
    }
    for words, code in (
        (("--volume", "much"), "invalid_volume"),
        (("--volume", "1", "--mix", "gmial:4"), "invalid_plan"),
        (("--volume", "1", "--mix", "gmail:60,yahoo:60"), "invalid_plan"),
        (("--volume", "1", "--mix", "gmail"), "invalid_plan"),
    ):
        assert warmup("simulate", "--plan", "stages-29", *words).code == code


def test_tables_for_people(warmup: Postlane, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "160")
    started = warmup("start", IP, "--plan", "plus-30").out
    assert "(21 stages)" in started and "takes over from" not in started, "from nobody"
    assert "1 of 21" in warmup("list").out
    shown = warmup("show", IP).out
    assert "gmail" in shown
    assert "Last changes" in shown
    table = warmup("simulate", "--plan", "plus-30", "--volume", "9000", "--mix", "gmail:45,yahoo:20").out
    assert "gmail" in table
    assert "135 + 3,915" in table
