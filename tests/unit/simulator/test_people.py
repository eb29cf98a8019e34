"""What recipients do about a mail: found in the mail itself, in a form that our own reader understands."""

from email import message_from_bytes

import pytest

from mta.bounces import ReportKind, parse_bounce
from simulator.behaviour import plan_for
from simulator.model import Door, Recipient, StoredMail
from simulator.people import Call, Errand, Letter, errand_for
from simulator.world import build_world

DOORS = {door.name: door for door in build_world(single_address=False).doors}
RETURN_PATH = "b+token@bounce.acme.sim"
HEAD = (
    "Message-ID: <1@acme.sim>\r\nFrom: Acme <hello@acme.sim>\r\nTo: {to}\r\nSubject: Offer\r\n"
    "List-Unsubscribe: <http://127.0.0.1:8026/u/sealed>,\r\n"
    " <mailto:unsubscribe+sealed@bounce.acme.sim?subject=leave>\r\n"
    "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)
PAGE = (
    '<p>Look: <img src="http://127.0.0.1:8026/p.gif"><a href="mailto:hello@acme.sim">write</a>'
    '<a style="display: none" href="http://127.0.0.1:8026/trap">x</a>'
    '<a href="http://127.0.0.1:8026/first?a=1&amp;b=2">one</a> <a href="http://127.0.0.1:8026/second">two</a></p>'
)


def done(address: str, *, door: str = "mx1.google.sim", head: str = HEAD, sender: str = RETURN_PATH) -> Errand | None:
    """What this recipient does about a mail with `head`."""
    local, _, domain = address.partition("@")
    style = {"outlook.sim": "microsoft", "gmail.sim": "gmail"}.get(domain, "small")
    data = f"{head}Content-Type: text/html; charset=utf-8\r\n\r\n{PAGE}\r\n".format(to=address).encode()
    mail = StoredMail(7, 1000.0, address, sender, style, "127.0.1.2", "127.0.1.2", "mta.test", tls=True, data=data)
    return errand_for(mail, Recipient(address, style, style, plan_for(local)), DOORS[door], 2.0)


def letter(address: str) -> Letter:
    found = done(address)
    assert found is not None
    (act,) = found.acts
    assert isinstance(act, Letter)
    return act


@pytest.mark.parametrize("address", ["joe@gmail.sim", "unknown@gmail.sim", "full@gmail.sim"])
def test_others_do_nothing(address: str) -> None:
    assert done(address) is None


def test_a_late_bounce_goes_to_the_return_path_and_is_read_as_the_refusal_it_quotes() -> None:
    sent = letter("late@gmail.sim")
    assert (sent.sender, sent.recipient) == ("", RETURN_PATH)
    report = parse_bounce(sent.data)
    assert report is not None
    assert (report.kind, report.reporting_mta) == (ReportKind.FAILED, "mx1.google.sim")
    (about,) = report.recipients
    assert (about.final_recipient, about.response.code, about.response.enhanced) == ("late@gmail.sim", 550, "5.1.1")


def test_the_address_says_how_late() -> None:
    assert [found.after for name in ("late", "late+7", "late+x") if (found := done(f"{name}@gmail.sim"))] == [2, 7, 2]


@pytest.mark.parametrize("word", ["late", "complain"])
def test_nothing_goes_back_to_nobody(word: str) -> None:
    assert done(f"{word}@gmail.sim", sender="") is None


@pytest.mark.parametrize(
    ("address", "to", "parts"),
    [
        ("complain@gmail.sim", "fbl@bounce.acme.sim", ["text/plain", "message/feedback-report", "message/rfc822"]),
        (
            "complain@outlook.sim",
            "fbl@bounce.acme.sim",
            ["text/plain", "message/feedback-report", "text/rfc822-headers"],
        ),
        ("complain+old@gmail.sim", RETURN_PATH, ["text/plain", "message/rfc822"]),
    ],
)
def test_a_complaint_has_the_form_of_its_provider_or_the_one_asked_for(address: str, to: str, parts: list[str]) -> None:
    sent = letter(address)
    assert (sent.sender, sent.recipient) == ("", to)
    written = message_from_bytes(sent.data).get_payload()
    assert isinstance(written, list)
    assert [part.get_content_type() for part in written] == parts  # type: ignore[union-attr]


def test_a_complaint_by_headers_does_not_say_whose_it_is() -> None:
    data = letter("complain.Ann+headers@gmail.sim".lower()).data
    assert b"complain.ann" not in data
    assert b"redacted@gmail.sim" in data
    assert PAGE.encode() not in data


def test_one_click_is_a_post_and_only_where_it_is_offered() -> None:
    found = done("unsubscribe@gmail.sim")
    assert found is not None
    assert found.acts == (
        Call(
            "POST", "http://127.0.0.1:8026/u/sealed", b"List-Unsubscribe=One-Click", "application/x-www-form-urlencoded"
        ),
    )
    assert done("unsubscribe@gmail.sim", head=HEAD.replace("List-Unsubscribe-Post", "X-Post")) is None


def test_unsubscribing_by_mail_comes_from_the_person() -> None:
    sent = letter("unsubscribe+mail@gmail.sim")
    assert (sent.sender, sent.recipient) == ("unsubscribe+mail@gmail.sim", "unsubscribe+sealed@bounce.acme.sim")
    assert message_from_bytes(sent.data)["Subject"] == "leave"


def test_a_reader_sees_the_pictures_and_follows_the_first_link_there_is_to_see() -> None:
    found = done("click@gmail.sim")
    assert found is not None
    assert found.acts == (
        Call("GET", "http://127.0.0.1:8026/p.gif"),
        Call("GET", "http://127.0.0.1:8026/first?a=1&b=2"),
    )


@pytest.mark.parametrize(
    "head", ["", "Content-Type: text/html; charset=no-such\r\n", "List-Unsubscribe: <mailto:>\r\n"]
)
def test_of_broken_mail_people_do_what_can_be_done(head: str) -> None:
    able = {word for word in ("click", "unsubscribe", "complain", "late") if done(f"{word}@gmail.sim", head=head)}
    assert {"complain", "late"} <= able <= {"complain", "late", "click"}


def test_every_host_can_report() -> None:
    assert all(isinstance(door, Door) and done("late@gmail.sim", door=door.name) for door in DOORS.values())
