"""Which DMARC policy holds, and who is aligned: the tree walk of RFC 9989, its stops and its ends."""

import pytest

from accounts.dmarc import Discovery, aligned, discover, record_of, tree


def published(**records: str) -> dict[str, list[str]]:
    """Answers for every name that can be asked below `example`; `_` stands for a dot."""
    found = {name.replace("_", "."): [text] for name, text in records.items()}
    asked = {*tree("a.mail.shop.example"), *tree("bounce.shop.example"), *found}
    return {f"_dmarc.{name}": found.get(name, []) for name in asked}


def policy_of(domain: str, texts: dict[str, list[str]]) -> tuple[str, str]:
    """Where the policy stands, and the organisation."""
    found = discover(domain, texts)
    return (found.record.domain if found.record else ""), found.organisation


def test_every_parent_is_asked_up_to_the_top() -> None:
    assert tree("a.mail.shop.example") == ("a.mail.shop.example", "mail.shop.example", "shop.example", "example")
    assert tree("example") == ("example",)


def test_at_most_eight_questions_are_asked() -> None:
    long = "a.b.c.d.e.f.g.h.i.j.mail.example.com"

    assert tree(long)[:3] == (long, "g.h.i.j.mail.example.com", "h.i.j.mail.example.com")
    assert len(tree(long)) == 8
    assert len(tree("b.c.d.e.f.g.example.com")) == 8


@pytest.mark.parametrize(
    ("records", "where", "organisation"),
    [
        ({}, "", "a.mail.shop.example"),
        ({"shop_example": "v=DMARC1; p=none"}, "shop.example", "shop.example"),
        ({"a_mail_shop_example": "v=DMARC1; p=none"}, "a.mail.shop.example", "a.mail.shop.example"),
        (
            {"a_mail_shop_example": "v=DMARC1; p=none", "shop_example": "v=DMARC1; p=reject"},
            "a.mail.shop.example",
            "shop.example",
        ),
        (
            {"mail_shop_example": "v=DMARC1; p=none; psd=n", "shop_example": "v=DMARC1; p=reject"},
            "mail.shop.example",
            "mail.shop.example",
        ),
        (
            {"mail_shop_example": "v=DMARC1; p=none", "example": "v=DMARC1; p=reject; psd=y"},
            "example",
            "shop.example",
        ),
        (
            {"shop_example": "v=DMARC1; p=none", "example": "v=DMARC1; p=reject; psd=y"},
            "shop.example",
            "shop.example",
        ),
        ({"shop_example": "p=none; v=DMARC1"}, "", "a.mail.shop.example"),
    ],
)
def test_whose_policy_holds(records: dict[str, str], where: str, organisation: str) -> None:
    assert policy_of("a.mail.shop.example", published(**records)) == (where, organisation)


def test_several_records_of_a_domain_count_as_none() -> None:
    assert record_of("shop.example", ["v=DMARC1; p=none", "v=DMARC1; p=reject"]) is None
    assert record_of("shop.example", ["v=spf1 -all", "v=DMARC1; p=none"]) is not None


def test_what_nobody_answers_is_told_unless_it_does_not_matter() -> None:
    asked = published(shop_example="v=DMARC1; p=none")
    below = {name: texts for name, texts in asked.items() if name != "_dmarc.mail.shop.example"}
    above = {name: texts for name, texts in asked.items() if name != "_dmarc.example"}

    assert discover("a.mail.shop.example", {}) == Discovery(None, "a.mail.shop.example", "_dmarc.a.mail.shop.example")
    assert discover("a.mail.shop.example", below).silent == ""
    assert discover("a.mail.shop.example", above).silent == ""


def test_the_return_path_is_aligned_within_the_organisation_unless_the_policy_is_strict() -> None:
    relaxed = published(shop_example="v=DMARC1; p=none")
    strict = published(shop_example="v=DMARC1; p=none; aspf=s")
    apart = published(shop_example="v=DMARC1; p=none", bounce_shop_example="v=DMARC1; p=none; psd=n")

    assert aligned("shop.example", "bounce.shop.example", relaxed, "aspf")
    assert not aligned("shop.example", "bounce.shop.example", strict, "aspf")
    assert aligned("shop.example", "shop.example", strict, "aspf")
    assert not aligned("shop.example", "bounce.shop.example", apart, "aspf")
    assert aligned("shop.example", "bounce.shop.example", strict, "adkim")
