"""Which names a sender domain may have."""

import pytest

from accounts.names import LONGEST_NAME, return_path_name, sender_domain_name
from core.addresses import AddressError


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("Example.COM", "example.com"),
        (" example.com. ", "example.com"),
        ("München.example", "xn--mnchen-3ya.example"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("mail.shop.test", "mail.shop.test"),
    ],
)
def test_names_are_stored_in_one_form(given: str, stored: str) -> None:
    assert sender_domain_name(given) == stored


@pytest.mark.parametrize(
    "given",
    [
        "",
        ".",
        "com",
        "localhost",
        "192.0.2.1",
        "[192.0.2.1]",
        "2001:db8::1",
        "a b.com",
        "x@example.com",
        "*.example.com",
        "under_score.example",
        "-a.example",
        "a..example",
        "ex\x00ample.com",
        "shop.local",
        "a." * 120 + "example",
    ],
)
def test_what_is_no_domain_is_refused(given: str) -> None:
    with pytest.raises(AddressError):
        sender_domain_name(given)


def test_a_selector_still_fits_in_front_of_the_longest_name() -> None:
    name = ".".join(["a" * 56] * 4) + ".co"
    assert len(sender_domain_name(name)) == LONGEST_NAME
    assert len(f"pl12345678r._domainkey.{name}") <= 253


def test_the_return_path_is_always_below_the_domain() -> None:
    assert return_path_name("example.com", "Bounce") == "bounce.example.com"
    assert return_path_name("example.com", "b.mail") == "b.mail.example.com"


@pytest.mark.parametrize("label", ["", " ", ".", "a b", "a_b", "x@y", "-"])
def test_an_unusable_label_is_refused(label: str) -> None:
    with pytest.raises(AddressError):
        return_path_name("example.com", label)
