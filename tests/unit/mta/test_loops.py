"""Known feedback loops: the shipped list, an operator's own, and who may speak in whose name."""

from pathlib import Path

import pytest

from core.errors import ConfigurationError, UnavailableError
from mta.loops import Loop, load_loops, proven_loop
from mta.report_parts import read_parts

HOTMAIL = Loop("JMRP", "hotmail.com", "staff@hotmail.com")


def test_the_shipped_list_is_read_and_an_own_file_adds_to_it(tmp_path: Path) -> None:
    shipped = load_loops()
    assert Loop("Yahoo", "arf.mail.yahoo.com") in shipped
    own = tmp_path / "loops.toml"
    own.write_text('[[loop]]\nname = "Ours"\ndomain = "Loop.Example."\n')
    assert load_loops(own) == (*shipped, Loop("Ours", "loop.example"))


@pytest.mark.parametrize("text", ["[[loop]]\nname = 'x'\n", "[[loop]]\nname = 'x'\ndomain = 'y'\ndomian = 'z'\n", "[["])
def test_a_file_that_is_wrong_is_named(tmp_path: Path, text: str) -> None:
    own = tmp_path / "loops.toml"
    own.write_text(text)
    with pytest.raises(ConfigurationError, match=r"loops\.toml"):
        load_loops(own)


@pytest.mark.parametrize(
    ("domain", "sender", "claims"),
    [
        ("hotmail.com", "staff@hotmail.com", True),
        ("fbl.hotmail.com", "staff@hotmail.com", True),
        ("hotmail.com", "anybody@hotmail.com", False),
        ("nothotmail.com", "staff@hotmail.com", False),
    ],
)
def test_a_domain_that_signs_for_everybody_needs_the_sender(domain: str, sender: str, claims: bool) -> None:
    assert HOTMAIL.claims(domain, sender) is claims


async def _asked(raw: bytes) -> tuple[str, list[str]]:
    asked: list[str] = []

    async def txt(name: str) -> list[str]:
        asked.append(name)
        return ["v=DKIM1; p=nonsense"]

    whole, _ = read_parts(raw)
    return await proven_loop(raw, whole, (HOTMAIL,), txt), asked


SIGNED = b"DKIM-Signature: v=1; a=rsa-sha256; d=%b; s=k1; h=from; bh=x; b=y\r\nFrom: staff@hotmail.com\r\n\r\nx\r\n"


async def test_strangers_cause_no_question() -> None:
    assert await _asked(SIGNED % b"evil.example") == ("", [])
    assert await _asked(b"From: staff@hotmail.com\r\n\r\nx\r\n") == ("", [])
    assert await _asked(SIGNED % b"hotmail.com" + b" " * 600) == ("", []), "nor does what would cost too much"


async def test_a_signature_that_is_nonsense_proves_nothing() -> None:
    assert await _asked(SIGNED % b"hotmail.com") == ("", ["k1._domainkey.hotmail.com"])


async def test_when_nobody_answers_nobody_knows_yet() -> None:
    async def txt(name: str) -> list[str]:
        raise UnavailableError(name)

    raw = SIGNED % b"hotmail.com"
    with pytest.raises(UnavailableError):
        await proven_loop(raw, read_parts(raw)[0], (HOTMAIL,), txt)
