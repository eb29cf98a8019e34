"""The From that leaves is the mailbox that was checked, by every way of reading it: the strict parser, the searches
that mail programs make, and DKIM's."""

import re
from email import message_from_bytes, policy
from email.utils import getaddresses

import dkim  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.addresses import Mailbox
from core.refusal import Refused
from messages.submission import SubmittedEmail, read_submission
from messages.submit import refusal


def _read(head: bytes) -> SubmittedEmail | Refused:
    try:
        return read_submission(head + b"\r\n\r\nHello\r\n", ("a@x.example",))
    except Refused as error:
        return error


def _holds_only(content: bytes, sender: Mailbox) -> None:
    """Everybody reads this mailbox, and nobody another."""
    head = content.partition(b"\r\n\r\n")[0]
    strict = message_from_bytes(content, policy=policy.SMTP)
    assert strict["From"].defects == ()
    assert [box.addr_spec for box in strict["From"].addresses] == [sender.wire]
    assert [name.lower() for name in strict].count("from") == 1

    names, _ = dkim.rfc822_parse(content)
    [signed] = [value for name, value in names if name.lower() == b"from"]
    lines = [line for line in re.split(rb"\r?\n", head) if re.match(rb"from[ \t]*:", line, re.I)]
    assert len(lines) == 1
    unfolded = re.sub(rb"\r\n(?=[ \t])", b"", signed).decode()

    assert [address for _, address in getaddresses([unfolded.strip()])] == [sender.wire]
    angles = re.findall(r"<([^<>]*)>", unfolded) or [unfolded.strip()]
    assert angles == [sender.wire]
    assert set(re.findall(r"[^\s<>\"(),:;@]+@[^\s<>\"(),:;@]+", unfolded)) == {sender.wire}


TRICKS = [
    "From: ceo@bank.example <a@acme.sim>",
    'From: "ceo@bank.example" <a@acme.sim>',
    'From: "<ceo@bank.example>" <a@acme.sim>',
    'From: "ceo@bank.example\\" <a@acme.sim>" <a@acme.sim>',
    "From: (ceo@bank.example) <a@acme.sim>",
    "From: ceo@bank.example\x0b<a@acme.sim>",
    "From: ceo@bank.example\x0c<a@acme.sim>",
    "From: ceo@bank.example\u00a0<a@acme.sim>",
    "From: ceo@bank.example\u2028<a@acme.sim>",
    "From: ceo@bank.example\u3000<a@acme.sim>",
    "From: ceo@bank.example\r\n\t<a@acme.sim>",
    "From: ceo@bank.example\r\n \r\n <a@acme.sim>",
    "From:\r\n ceo@bank.example\r\n <a@acme.sim>",
    "From: a@acme.sim (ceo@bank.example)",
    "From: a@acme.sim (<ceo@bank.example>)",
    "From: a@acme.sim, ceo@bank.example",
    "From: Team: a@acme.sim, ceo@bank.example;",
    "From: Team: a@acme.sim;",
    "From: <a@acme.sim> <ceo@bank.example>",
    "From: <a@acme.sim><ceo@bank.example>",
    "From: <ceo@bank.example>, <a@acme.sim>",
    "From: <@bank.example:a@acme.sim>",
    "From: a@acme.sim\r\nFrom: ceo@bank.example",
    "From : a@acme.sim",
    "From\t: a@acme.sim\r\nfrom: a@acme.sim",
    "X: 1\r\nFrom: a@acme.sim\r\nFROM : ceo@bank.example",
    "From: =?utf-8?q?ceo=40bank=2Eexample?= <a@acme.sim>",
    "From: =?utf-8?q?=3Cceo=40bank=2Eexample=3E?= <a@acme.sim>",
    "From: =?utf-8?b?Y2VvQGJhbmsuZXhhbXBsZQA=?= <a@acme.sim>",
    "From: =?utf-8?q?x=0D=0AFrom=3A_ceo=40bank=2Eexample?= <a@acme.sim>",
    "From: =?utf-8?q?a=40acme.sim?=",
    "From: =?utf-8?q?ceo=40bank.example=2C?= a@acme.sim",
    "From: =?utf-8?q?ceo=40bank.example=3E?=a@acme.sim",
    "From: <=?x?q?ceo=40bank.example=3E=00?=@acme.sim>",
    "From: J\u00fcrgen <a@acme.sim>",
    "From: ceo@bank.example <a@acme.sim>\r\nSender: ceo@bank.example",
]


@pytest.mark.parametrize("head", TRICKS)
def test_tricks(head: str) -> None:
    read = _read(head.encode())
    if isinstance(read, SubmittedEmail):
        assert (read.sender.local, read.sender.domain) == ("a", "acme.sim")
        _holds_only(read.content, read.sender)
        assert b"\r\nSender:" not in read.content
    else:
        assert refusal(read).startswith("550 5.6.0 ")


def test_most_tricks_are_taken_with_the_name_kept() -> None:
    read = _read("From: ceo@bank.example\u00a0<a@acme.sim>".encode())
    assert isinstance(read, SubmittedEmail)
    assert read.sender.header == '"ceo@bank.example" <a@acme.sim>'
    assert b"From: =?utf-8?q?ceo=40bank=2Eexample?= <a@acme.sim>\r\n" in read.content


_BITS = st.sampled_from(
    ["a@acme.sim", "ceo@bank.example", "<", ">", '"', "\\", ",", ";", ":", "(", ")", "=?utf-8?q?", "=?utf-8?b?", "?=",
     "=40", "=3C", "=22", "Y2Vv", "\r\n", "\r\n ", "\r\n\t", "\r", "\n", " ", "\t", "\x0b", "\x0c", "\x1c", "\x85",
     "\xa0", "\u2028", "\u3000", "\u200b", "\ufeff", "@", ".", "From:", "From :", "Sender:", "Name", "J\u00fcrgen"]
)  # fmt: skip


@given(st.lists(_BITS, max_size=14), st.booleans())
def test_any_from(bits: list[str], ends: bool) -> None:
    text = "".join(bits)
    read = _read(f"From: {text}{' <a@acme.sim>' if ends else ''}\r\nSubject: s".encode())
    if isinstance(read, SubmittedEmail):
        _holds_only(read.content, read.sender)


@given(st.text(max_size=60))
def test_any_name(name: str) -> None:
    read = _read(b"From: " + name.encode("utf-8", "replace") + b" <a@acme.sim>")
    if isinstance(read, SubmittedEmail):
        _holds_only(read.content, read.sender)


def test_sender_stays_when_it_is_of_the_domain_that_is_checked() -> None:
    for sender, leaves in (("b@acme.sim", True), ("B <b@ACME.sim>", True), ("b@bank.example", False), ("root", False)):
        read = _read(f"From: a@acme.sim\r\nSender: {sender}".encode())
        assert isinstance(read, SubmittedEmail)
        assert (b"\r\nSender:" in read.content) is leaves
