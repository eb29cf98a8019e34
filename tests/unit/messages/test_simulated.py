"""Simulated recipients, and who is captured: what an address means when its mail is accepted."""

import pytest

from accounts.capture_rules import CaptureRules
from core.addresses import fold_address
from core.refusal import Refused
from messages.capture import marked, person_of, stands_in
from messages.model import Recipient
from messages.simulated import Behaviour, behaviour

DOMAIN = "sandbox.example"


def recipient(address: str) -> Recipient:
    return Recipient(address, address, address.rpartition("@")[2], "to")


@pytest.mark.parametrize("name", list(Behaviour))
def test_each_name_has_its_behaviour_with_and_without_a_label(name: Behaviour) -> None:
    assert behaviour(f"{name}@{DOMAIN}", DOMAIN) is name
    assert behaviour(f"{name}+order-7@{DOMAIN}", DOMAIN) is name


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("delivered@resend.dev", Behaviour.DELIVERED),
        ("bounced+a@resend.dev", Behaviour.BOUNCED),
        ("full@resend.dev", None),
        ("zeno@resend.dev", None),
        ("delivered@x.example", None),
        ("delivered@sub.sandbox.example", None),
        ("delivered.x@sandbox.example", None),
    ],
)
def test_resends_names_and_nobody_else(address: str, expected: Behaviour | None) -> None:
    assert behaviour(address, DOMAIN) is expected


def test_another_name_in_the_reserved_domain_is_refused() -> None:
    with pytest.raises(Refused, match="no simulated recipient bounce@sandbox"):
        marked([recipient(f"bounce@{DOMAIN}")], CaptureRules(), DOMAIN)


def test_rules_and_simulations_mark_single_recipients() -> None:
    people = [recipient(a) for a in ("ann@x.example", "qa@y.example", f"full@{DOMAIN}", "zeno@resend.dev")]

    caught = marked(people, CaptureRules.of(["*@y.example"]), DOMAIN)

    assert [one.capture for one in caught] == [False, True, True, False]
    assert marked(people[:1], CaptureRules(), DOMAIN) == (people[0],)


def test_links_of_captured_mail_act_for_nobody_real() -> None:
    """Whoever tries the unsubscribe link of a test must not unsubscribe a customer."""
    stand_in = person_of("ann@x.example", capture=True)

    assert person_of("ann@x.example", capture=False) == "ann@x.example"
    assert stand_in == fold_address(stand_in) != "ann@x.example"
    assert stand_in == person_of("ann@x.example", capture=True) != person_of("bea@x.example", capture=True)
    assert (stands_in(stand_in), stands_in("ann@x.example")) == (True, False)
