"""Rule files that are wrong are refused with file, rule and field; an operator's file goes first."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError
from mta.model import Action, Phase, Response
from mta.replies import load_rules, shipped_files

RULE = {
    "id": '"own"',
    "code": "550",
    "text": "'no dogs'",
    "action": '"block"',
    "class": '"policy"',
    "scope": '"message"',
    "matches": '["550 no dogs here"]',
    "near_miss": '["550 no cats here"]',
}


def written(path: Path, *rules: dict[str, str], head: str = "") -> Path:
    tables = ["[[rule]]\n" + "\n".join(f"{key} = {value}" for key, value in rule.items()) for rule in rules]
    path.write_text("\n".join([head, *tables]))
    return path


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"action": '"explode"'}, "action", "none of"),
        ({"scope": '"planet"'}, "scope", "none of"),
        ({"phase": '"lunch"'}, "phase", "none of"),
        ({"trouble": '"rain"'}, "trouble", "none of"),
        ({"class": '"misc"'}, "class", "CLASSES"),
        ({"code": "650"}, "code", "neither"),
        ({"code": '"55x"'}, "code", "neither"),
        ({"enhanced": '"5.1"'}, "enhanced", "not like"),
        ({"enhanced": '"5.1.1x"'}, "enhanced", "not like"),
        ({"text": "'(unclosed'"}, "text", "not a regular expression"),
        ({"text": "'no.*dogs'"}, "text", "open repeat"),
        ({"text": "'no dogs{2,}'"}, "text", "open repeat"),
        ({"text": "'(?:no|dogs){1,9}'"}, "text", "repeats a group"),
        ({"text": "'(no) dogs \\1'"}, "text", "back-reference"),
        ({"text": "'No dogs'"}, "text", "capitals"),
        ({"text": "'a.{0,200}b.{0,200}'"}, "text", "multiply"),
        ({"wait": "5"}, "wait", "30 to 14400"),
        ({"wait": "99999999999999999999"}, "wait", "30 to 14400"),
        ({"wait": "true"}, "wait", "30 to 14400"),
        ({"suppress": "true"}, "suppress", "only a bounce"),
        ({"suppress": '"yes"'}, "suppress", "true or false"),
        ({"anywhere": "true"}, "anywhere", "provider's rule"),
        ({"matches": "[]"}, "matches", "at least one"),
        ({"near_miss": "[]"}, "near_miss", "at least one"),
        ({"matches": '["no dogs here"]'}, "matches", "is not like"),
        ({"matches": '["lunch: 550 no dogs"]'}, "matches", "lunch"),
        ({"matches": '["550 no cats"]'}, "matches", "does not fit"),
        ({"near_miss": '["550 NO DOGS at all"]'}, "near_miss", "fits this rule"),
        ({"provider": "7"}, "provider", "text"),
        ({"colour": '"red"'}, "colour", "not a field"),
        ({"id": '"taken"'}, "id", "is also a rule of"),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, str], field: str, reason: str) -> None:
    path = written(tmp_path / "own.toml", {**RULE, **change})
    with pytest.raises(ConfigurationError) as error:
        load_rules(path, *shipped_files())
    message = str(error.value)
    for part in (f"field {field!r}", reason, "rule 'own'" if field != "id" else "rule 'taken'"):
        assert part in message
    if field != "id":  # of two rules with one id, the later is named as the wrong one, the earlier as its reason
        assert str(path) in message


@pytest.mark.parametrize("missing", ["id", "action", "class", "scope", "matches", "near_miss"])
def test_a_missing_field_is_named(tmp_path: Path, missing: str) -> None:
    path = written(tmp_path / "own.toml", {k: v for k, v in RULE.items() if k != missing})
    with pytest.raises(ConfigurationError, match=f"field '{missing}'"):
        load_rules(path, *shipped_files())


def test_a_rule_needs_a_code_or_a_trouble(tmp_path: Path) -> None:
    path = written(tmp_path / "own.toml", {k: v for k, v in RULE.items() if k != "code"})
    with pytest.raises(ConfigurationError, match="field 'code'"):
        load_rules(path, *shipped_files())


def test_a_shadowed_rule_is_refused(tmp_path: Path) -> None:
    wide = {**RULE, "id": '"wide"', "text": "'dogs'", "near_miss": '["550 cats"]'}
    path = written(tmp_path / "own.toml", wide, RULE)
    with pytest.raises(ConfigurationError, match=r"rule 'own': field 'matches': .* is decided by wide"):
        load_rules(path, *shipped_files())


@pytest.mark.parametrize("content", ["[[rule", "rule = 3", "colour = 1", "rule = [1]"])
def test_a_file_that_is_no_rule_file(tmp_path: Path, content: str) -> None:
    path = tmp_path / "own.toml"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"own\.toml"):
        load_rules(path, *shipped_files())


def test_a_file_that_is_not_there_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    for name in ("gone.toml", "binary.toml"):
        with pytest.raises(ConfigurationError, match=name):
            load_rules(tmp_path / name, *shipped_files())


def test_a_table_without_last_rules_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "own.toml", RULE)
    with pytest.raises(ConfigurationError, match=r"own\.toml: no last rule"):
        load_rules(path)


def test_an_operators_rule_goes_before_the_shipped_ones(tmp_path: Path) -> None:
    own = {
        **RULE,
        "code": "250",
        "phase": '"dot"',
        "text": "'black hole'",
        "matches": '["dot: 250 black hole"]',
        "near_miss": '["dot: 250 queued"]',
    }
    table = load_rules(written(tmp_path / "own.toml", own), *shipped_files())
    assert table.classify(Response(Phase.DOT, 250, "", "black hole"), "gmail").action is Action.BLOCK
    assert table.classify(Response(Phase.DOT, 250, "", "queued"), "gmail").action is Action.DELIVERED


def test_an_operator_may_override_a_shipped_rule_entirely(tmp_path: Path) -> None:
    own = {
        **RULE,
        "code": "421",
        "text": "'too many sessions'",
        "action": '"retry_later"',
        "matches": '["421 too many sessions"]',
        "near_miss": '["421 too few"]',
    }
    table = load_rules(written(tmp_path / "own.toml", own, head='provider = ["comcast"]'), *shipped_files())
    response = Response(Phase.CONNECT, 421, "", "Too many sessions opened")
    assert table.classify(response, "comcast").rule == "own"
    assert table.classify(response, "gmail").rule == "too-many-connections"


def test_rules_of_a_provider_go_before_rules_for_everybody_in_an_earlier_file(tmp_path: Path) -> None:
    own = {
        **RULE,
        "code": "421",
        "text": "'too many'",
        "matches": '["421 too many"]',
        "near_miss": '["421 too few"]',
    }
    table = load_rules(written(tmp_path / "own.toml", own), *shipped_files())
    response = Response(Phase.CONNECT, 421, "", "Too many sessions opened")
    assert table.classify(response, "comcast").rule == "comcast-sessions"
    assert table.classify(response, "gmail").rule == "own"


def test_a_providers_own_words_decide_at_servers_of_nobody_known_and_not_at_other_providers(tmp_path: Path) -> None:
    own = written(
        tmp_path / "own.toml",
        RULE | {"id": '"marked"', "provider": '"gmail"', "anywhere": "true"},
        RULE | {"id": '"plain"', "provider": '"gmail"', "text": "'no cats'", "matches": '["550 no cats"]',
                "near_miss": '["550 no dogs"]'},
    )  # fmt: skip
    table = load_rules(own, *shipped_files())
    dogs, cats = Response(Phase.RCPT, 550, "", "no dogs here"), Response(Phase.RCPT, 550, "", "no cats here")
    assert [table.classify(dogs, name).rule == "marked" for name in ("gmail", "", "nobody", "yahoo")] == [1, 1, 1, 0]
    assert [table.classify(cats, name).rule == "plain" for name in ("gmail", "", "nobody")] == [1, 0, 0]


def test_an_operators_rule_for_everybody_goes_before_what_providers_say_anywhere(tmp_path: Path) -> None:
    rule = RULE | {"code": "421", "text": "'tss04'", "matches": '["421 [TSS04]"]', "near_miss": '["421 no"]'}
    table = load_rules(written(tmp_path / "own.toml", rule), *shipped_files())
    assert table.classify(Response(Phase.MAIL, 421, "4.7.0", "[TSS04] deferred"), "").rule == "own"
