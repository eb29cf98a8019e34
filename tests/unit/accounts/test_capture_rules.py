"""Capture rules as patterns: how they are written, and whom they are about."""

import pytest

from accounts.capture_rules import CaptureRules, folded
from core.addresses import AddressError


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("Anna@QA.Example.com", "anna@qa.example.com"),
        ("*@QA.example.com", "*@qa.example.com"),
        ("qa.example.com", "*@qa.example.com"),
        ("@qa.example.com", "*@qa.example.com"),
        ("*@*.example.com", "*@*.example.com"),
        ("*@bücher.example", "*@xn--bcher-kva.example"),
        (" * ", "*"),
        ("*@*", "*"),
    ],
)
def test_patterns_have_one_spelling(given: str, kept: str) -> None:
    assert folded(given) == kept
    assert folded(kept) == kept


@pytest.mark.parametrize(
    "given", ["", "anna", "a*@qa.example.com", "*@*.*.example.com", "*@", "*@com", "a@b@c.example"]
)
def test_what_is_no_pattern(given: str) -> None:
    if given == "a*@qa.example.com":  # a local part may hold an asterisk; it stands for itself
        assert not CaptureRules.of([folded(given)]).catch("anna@qa.example.com", "qa.example.com")
        return
    with pytest.raises(AddressError):
        folded(given)


@pytest.mark.parametrize(
    ("pattern", "address", "caught"),
    [
        ("anna@x.example", "anna@x.example", True),
        ("anna@x.example", "bert@x.example", False),
        ("*@x.example", "bert@x.example", True),
        ("*@x.example", "bert@y.x.example", False),
        ("*@*.x.example", "bert@z.y.x.example", True),
        ("*@*.x.example", "bert@x.example", False),
        ("*@x.example", "bert@ax.example", False),
        ("*@*.x.example", "bert@ax.example", False),
        ("*", "bert@anywhere.example", True),
    ],
)
def test_whom_a_rule_is_about(pattern: str, address: str, caught: bool) -> None:
    rules = CaptureRules.of([folded(pattern), "somebody@else.example"])

    assert rules.catch(address, address.rpartition("@")[2]) is caught
    assert rules


def test_no_rules_catch_nobody() -> None:
    assert not CaptureRules.of([])
    assert not CaptureRules().catch("a@x.example", "x.example")
