"""What a reply says about the session it came through."""

import pytest

from mta.model import Phase, Response, Trouble
from mta.session_replies import ended_by_count, ended_the_session, wants_tls


def said(code: int, enhanced: str, text: str, phase: Phase = Phase.MAIL) -> Response:
    return Response(phase, code, enhanced, text)


@pytest.mark.parametrize(
    ("reply", "by_count"),
    [
        (said(421, "", "too many messages in this connection"), True),
        (said(421, "4.7.0", "slow down"), True),
        (said(421, "4.4.2", "idle for too long"), False),
        (said(421, "4.3.2", "shutting down"), False),
        (said(421, "4.5.3", "enough", Phase.RCPT), True),
        (said(452, "4.5.3", "Too many recipients"), True),
        (said(451, "4.7.1", "Max messages per connection reached"), True),
        (said(450, "", "You have sent too many mails in one session"), True),
        (said(550, "5.5.0", "Session message limit exceeded"), True),
        (Response(Phase.MAIL, trouble=Trouble.CLOSED), False),
        (Response(Phase.MAIL, trouble=Trouble.TIMEOUT), False),
        (Response(Phase.RCPT, trouble=Trouble.CLOSED), False),
        (Response(Phase.DATA, trouble=Trouble.CLOSED), False),
    ],
)
def test_what_ends_a_session(reply: Response, by_count: bool) -> None:
    assert ended_the_session(reply)
    assert ended_by_count(reply) == by_count


@pytest.mark.parametrize(
    "reply",
    [
        said(250, "2.0.0", "messages in this connection: 5", Phase.DOT),
        said(421, "4.7.0", "slow down", Phase.DOT),
        said(451, "4.7.1", "greylisted, try another connection later"),
        said(452, "4.2.2", "mailbox full"),
        said(450, "4.7.1", "too many connections from your IP"),
        said(550, "5.1.1", "no such user", Phase.RCPT),
        Response(Phase.RCPT, trouble=Trouble.TIMEOUT),
        Response(Phase.MAIL, trouble=Trouble.PROTOCOL),
        Response(Phase.DOT, trouble=Trouble.CLOSED),
        Response(Phase.MAIL),
    ],
)
def test_what_is_about_the_mail_or_about_us(reply: Response) -> None:
    assert not ended_the_session(reply)


@pytest.mark.parametrize(
    "reply",
    [
        said(530, "5.7.0", "Must issue a STARTTLS command first"),
        said(530, "", "STARTTLS first"),
        said(550, "5.7.10", "Encryption needed"),
        said(451, "5.7.3", "STARTTLS is required to send mail"),
        said(454, "4.7.0", "TLS is required, try again with it", Phase.RCPT),
        said(550, "5.7.1", "We only accept mail over TLS"),
        said(554, "5.7.0", "this server requires encrypted connections"),
    ],
)
def test_who_wants_tls(reply: Response) -> None:
    assert wants_tls(reply)


@pytest.mark.parametrize(
    "reply",
    [
        said(530, "5.7.0", "Authentication required"),
        said(550, "5.1.1", "no such user"),
        said(454, "4.7.0", "TLS not available due to temporary reason"),
        said(554, "5.7.1", "TLS required", Phase.DOT),
        said(250, "", "STARTTLS is nice"),
    ],
)
def test_who_does_not(reply: Response) -> None:
    assert not wants_tls(reply)
