"""Who receives an email: one message for each mailbox, however often and however it is named. And its absent parts."""

from core.addresses import parse_mailbox
from messages.model import RecipientKind, receivers
from tests.integration.messages.emails import new_email


def made(*given: tuple[RecipientKind, str]) -> list[tuple[str, str, str]]:
    found = receivers((kind, parse_mailbox(text)) for kind, text in given)
    return [(one.recipient, one.address, one.kind) for one in found]


def test_one_mailbox_in_two_spellings_is_one_recipient_as_it_was_named_first() -> None:
    assert made(("to", "Ann@X.example"), ("to", "ann@x.example"), ("cc", "ANN@x.example"), ("bcc", "b@x.example")) == [
        ("Ann@x.example", "ann@x.example", "to"),
        ("b@x.example", "b@x.example", "bcc"),
    ]


def test_who_is_named_in_two_fields_is_the_first_of_them() -> None:
    assert [kind for _, _, kind in made(("cc", "a@x.example"), ("bcc", "A@x.example"))] == ["cc"]


def test_mailboxes_that_differ_beyond_case_both_get_it() -> None:
    assert len(made(("to", "straße@x.example"), ("to", "strasse@x.example"))) == 2


def test_an_empty_text_is_an_absent_part() -> None:
    email = new_email(html="", text="Thank you.", cc=("", "c@x.example"), bcc=("",), reply_to=("",))
    assert (email.html, email.text) == (None, "Thank you.")
    assert (email.cc, email.bcc, email.reply_to) == (("c@x.example",), (), ())
