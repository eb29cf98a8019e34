"""What speaks against an address: seen in its text, and asked of DNS."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audience import checks
from audience.checks import Problem, likely_meant, one_slip, seen
from mta.resolve import DnsUnavailableError


class Records:
    """DNS as a table: MX by domain; who has an address of its own; who is silent."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def mx(self, name: str) -> list[tuple[int, str]]:
        self.asked.append(name)
        if name == "silent.example":
            raise DnsUnavailableError("silence")
        return {"good.example": [(10, "mx.good.example")], "never.example": [(0, "")]}.get(name, [])

    async def addresses(self, name: str) -> list[str]:
        return ["192.0.2.1"] if name == "parked.example" else []


@pytest.mark.parametrize(
    ("text", "problems"),
    [
        ("ann.berg@good.example", ()),
        ("nobody", (Problem.SYNTAX,)),
        ("a@b@c.example", (Problem.SYNTAX,)),
        ("", (Problem.SYNTAX,)),
        ("Info@good.example", (Problem.ROLE,)),
        ("sales+eu@good.example", (Problem.ROLE,)),
        ("informer@good.example", ()),
        ("ann@mailinator.com", (Problem.DISPOSABLE,)),
        ("ann@deep.below.mailinator.com", (Problem.DISPOSABLE,)),
        ("noreply@outlok.com", (Problem.TYPO, Problem.ROLE)),
    ],
)
def test_what_the_text_says(text: str, problems: tuple[Problem, ...]) -> None:
    assert seen(text).problems == problems


@pytest.mark.parametrize(
    ("domain", "meant"),
    [
        ("gmial.com", "gmail.com"), ("gmai.com", "gmail.com"), ("gmaill.com", "gmail.com"), ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"), ("hotmial.con", "hotmail.com"), ("yaho.com", "yahoo.com"), ("yahoo.fr", ""),
        ("web.de", ""), ("gmx.dee", ""), ("gmail.com", ""), ("hotmail.be", ""), ("hotmail.se", ""), ("yahoo.co.id", ""),
        ("mailo.com", ""), ("example.com", ""), ("example.con", ""), ("acme.co", ""),
    ],
)  # fmt: skip
def test_likely_typos(domain: str, meant: str) -> None:
    assert likely_meant(domain) == meant


def test_the_suggestion_is_a_whole_address() -> None:
    assert seen("Ann.B@Gmial.com").suggestion == "Ann.B@gmail.com"


@given(st.text("abc", max_size=6), st.integers(0, 6), st.sampled_from("abcd"), st.integers(0, 3))
def test_a_slip_is_found_whatever_it_is(word: str, at: int, letter: str, kind: int) -> None:
    """Against the meaning: the four slips, each made at each place."""
    at = min(at, len(word))
    made = [
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :] if at < len(word) else word,
        word[:at] + word[at : at + 2][::-1] + word[at + 2 :],
    ][kind]

    assert one_slip(word, made) == one_slip(made, word) == (made != word)


@given(st.text("ab", max_size=5), st.text("ab", max_size=5))
def test_two_slips_are_not_one(one: str, other: str) -> None:
    near = {one[:n] + one[n + 1 :] for n in range(len(one))}
    near |= {one[:n] + x + one[n:] for n in range(len(one) + 1) for x in "ab"}
    near |= {one[:n] + x + one[n + 1 :] for n in range(len(one)) for x in "ab"}
    near |= {one[:n] + one[n : n + 2][::-1] + one[n + 2 :] for n in range(len(one) - 1)}

    assert one_slip(one, other) == (other in near and other != one)


async def test_what_dns_says() -> None:
    records = Records()
    texts = [f"{name}@{domain}.example" for domain in ("good", "never", "parked", "gone", "silent") for name in "ab"]
    found = {one.email: one for one in await checks.check(records, [*texts, "nobody"]) if one.email}

    assert {text: found[text].problems for text in texts[::2]} == {
        "a@good.example": (), "a@never.example": (Problem.NULL_MX,), "a@parked.example": (Problem.NO_MX,),
        "a@gone.example": (Problem.NO_DOMAIN,), "a@silent.example": (),
    }  # fmt: skip
    assert [one.email for one in found.values() if not one.asked] == ["a@silent.example", "b@silent.example"]
    assert len(records.asked) == 5
