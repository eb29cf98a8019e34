"""The subject of a mail that unsubscribes, whatever stands below it."""

from uuid import UUID

from audience.links import LinkSeal, MailLink
from core.secrets import InstanceSecret
from outcomes.unsubscribing import _in_subject

SECRET = InstanceSecret.from_text("7" * 64)
LINK = MailLink(UUID(int=1), None, UUID(int=2), 0, "ann@example.com")


def test_the_link_is_found_folded_answered_and_above_hostile_parts() -> None:
    text = LinkSeal(SECRET).seal(LINK)
    for subject in (text, f"Re: {text}", f"{text[:60]}\r\n {text[60:]}"):
        assert _in_subject(SECRET, f"Subject: {subject}\r\n\r\nBye".encode()) == LINK
    nest = "".join(f"--b{n}\r\nContent-Type: multipart/x; boundary=b{n + 1}\r\n\r\n" for n in range(1_200))
    deep = f"Content-Type: multipart/x; boundary=b0\r\nSubject: {text}\r\n\r\n{nest}"
    assert _in_subject(SECRET, deep.encode()) == LINK
    assert _in_subject(SECRET, b"Subject: unsubscribe\r\n\r\n") is None
