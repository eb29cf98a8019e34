"""`postlane providers`: what it prints, and how it ends."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.commands.providers import app
from cli.output import CliError
from core import settings as core_settings
from core.errors import ConfigurationError
from core.refusal import Refused
from mta.providers import OTHER, load_providers
from mta.replies import shipped_rules

OWN = """
[[rule]]
id = "ours"
code = "5xx"
text = 'acme filter'
action = "block"
class = "policy"
scope = "message"
matches = ["dot: 554 refused by the acme filter"]
near_miss = ["dot: 554 refused"]
"""


@pytest.fixture(autouse=True)
def own_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No `.env` and no rules but the test's."""
    monkeypatch.chdir(tmp_path)
    for name in ("POSTLANE_RULES_FILE", "POSTLANE_PROVIDERS_FILE"):
        monkeypatch.delenv(name, raising=False)
    core_settings.load.cache_clear()
    yield
    core_settings.load.cache_clear()


def run(*words: str, stdin: str = "") -> Result:
    return CliRunner().invoke(app, list(words), input=stdin, standalone_mode=False)


def answer(*words: str) -> Any:
    result = run(*words)
    assert result.exception is None, result.exception
    return json.loads(result.stdout)


def test_list_has_every_provider_with_its_limits() -> None:
    rows = answer("list")
    assert {row["name"] for row in rows} == load_providers().names | {OTHER}
    gmail = next(row for row in rows if row["name"] == "gmail")
    assert "google.com" in gmail["mx_suffixes"]
    assert gmail["limits"]["connections"] > 0


def test_rules_of_a_provider_come_before_those_for_everybody() -> None:
    rows = answer("rules", "--provider", "gmail")
    providers = [row["provider"] for row in rows]
    assert providers == sorted(providers, key=lambda names: names == [])
    assert {"gmail"} <= {name for names in providers for name in names}
    assert len(answer("rules")) == len(shipped_rules().rules)


@pytest.mark.parametrize(
    ("words", "rule", "message", "address", "ip"),
    [
        (("550 5.1.1 User unknown",), "no-such-mailbox", "bounced", "suppressed", "as before"),
        (("5.1.1 User unknown",), "no-such-mailbox", "bounced", "suppressed", "as before"),
        (
            ("421-4.7.28 unusual rate of mail\n421 4.7.28 originating from your IP address", "--provider", "gmail"),
            "gmail-ip-rate",
            "another IP",
            "not suppressed",
            "rests 30 minutes at gmail",
        ),
        (
            ("554 5.7.1 Client host [192.0.2.1] blocked using zen.spamhaus.org",),
            "blocklisted",
            "another IP",
            "not suppressed",
            "an alarm",
        ),
        (("450 4.7.1 Greylisted, try again in 12 minutes",), "greylisted", "same IP after 12 minutes", "not", "before"),
        (("554 5.7.1 Spam", "--phase", "dot"), "spam", "refused for good", "not suppressed", "as before"),
        (("250 ok", "--phase", "dot"), "taken", "delivered", "not suppressed", "as before"),
    ],
)
def test_explain_says_what_happens(words: tuple[str, ...], rule: str, message: str, address: str, ip: str) -> None:
    found = answer("explain", *words)
    assert found["rule"] == rule
    assert found["file"].endswith(".toml")
    assert message in found["message"]
    assert found["address"].startswith(address)
    assert ip in found["ip"]


def test_explain_wants_a_code_and_a_known_provider() -> None:
    assert isinstance(run("explain", "User unknown").exception, CliError)
    assert isinstance(run("explain", "550 no", "--provider", "gmial").exception, Refused)


def test_classify_answers_line_by_line_and_goes_on_after_a_bad_one() -> None:
    lines = [
        '{"provider": "gmail", "code": 550, "text": "5.1.1 The account does not exist"}',
        '{"provider": "gmail", "code": 450, "enhanced": "4.2.1", "text": "receiving mail too fast", "phase": "rcpt"}',
        '{"code": "554", "text": "spam", "phase": "dot"}',
        "not json",
        '["a list"]',
        '{"provider": "gmail", "code": 99, "text": ""}',
        '{"provider": "gmail", "code": true, "text": ""}',
        '{"provider": "gmail", "code": 550, "text": 7}',
        '{"provider": "gmail", "code": 550, "text": "", "phase": "lunch"}',
        '{"provider": "gmail", "code": 550, "text": "", "phase": ["rcpt"]}',
        "",
        '{"provider": "", "code": 0, "enhanced": "5.1.1", "text": ""}',
    ]
    result = run("classify", stdin="\n".join(lines))
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.return_value == 1
    assert len(answers) == len(lines)
    assert answers[0] == {
        "action": "bounce",
        "class": "invalid_recipient",
        "scope": "recipient",
        "suppress": True,
        "rule": answers[0]["rule"],
    }
    assert (answers[1]["class"], answers[1]["suppress"]) == ("recipient_rate", False)
    assert answers[2]["class"] == "spam_content"
    assert all(set(one) == {"error"} and one["error"] for one in answers[3:11])
    assert answers[11]["suppress"]


def test_classify_ends_well_when_all_lines_were_good() -> None:
    assert run("classify", stdin='{"code": 250, "text": "ok", "phase": "dot"}\n').return_value == 0


def test_check_measures_a_corpus_file_by_file(tmp_path: Path) -> None:
    sample = {
        "provider": "gmail",
        "phase": "rcpt",
        "code": 550,
        "enhanced": "5.1.1",
        "text": "User unknown",
        "class": "invalid_recipient",
        "action": "bounce",
        "scope": "recipient",
        "suppress": True,
        "source": "here",
    }
    wrong = sample | {"text": "No such user, said by a list", "class": "rate_limited", "suppress": False}
    (tmp_path / "mine.jsonl").write_text(json.dumps(sample) + "\n" + json.dumps(wrong) + "\n")
    found = answer("check", "--wrong", str(tmp_path / "mine.jsonl"))
    assert found["rules"] == len(shipped_rules().rules)
    (corpus,) = found["corpora"]
    assert (corpus["samples"], corpus["class_accuracy"]) == (2, 0.5)
    assert (corpus["suppress"]["precision"], corpus["suppress"]["recall"]) == (0.5, 1.0)
    assert {row["class"]: (row["precision"], row["recall"]) for row in corpus["classes"]} == {
        "invalid_recipient": (0.5, 1.0),
        "rate_limited": (1.0, 0.0),
    }
    assert [row["should_be"] for row in corpus["wrong"]] == ["rate_limited"]


def test_check_names_what_is_wrong_in_a_corpus(tmp_path: Path) -> None:
    file = tmp_path / "mine.jsonl"
    for line, said in (("{}", "missing"), ("nonsense", "line 1"), ("[]", "line 1")):
        file.write_text(line)
        error = run("check", str(file)).exception
        assert isinstance(error, ConfigurationError)
        assert str(file) in str(error)
        assert said in str(error)


def test_check_reads_the_operators_rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "own.toml"
    monkeypatch.setenv("POSTLANE_RULES_FILE", str(file))
    file.write_text(OWN)
    core_settings.load.cache_clear()
    assert answer("check")["rules"] == len(shipped_rules().rules) + 1
    assert answer("explain", "554 refused by the acme filter", "--phase", "dot")["rule"] == "ours"
    file.write_text(OWN.replace("'acme filter'", "'acme ('"))
    error = run("check").exception
    assert isinstance(error, ConfigurationError)
    for part in (str(file), "'ours'", "'text'"):
        assert part in str(error)
