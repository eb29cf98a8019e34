"""The conversation without sockets: commands, pipelining, dots, line ends, and arbitrary bytes."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.mailroom import Mailroom, Visit
from simulator.model import Behaviour, Stage
from simulator.rules import Rule
from simulator.smtp_session import Next, SmtpSession
from simulator.world import build_world

WORLD = build_world(single_address=False)
GMAIL_DOOR = next(door for door in WORLD.doors if door.provider == "gmail")
ENVELOPE = b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:<joe@gmail.sim>\r\nDATA\r\n"


class Talk:
    """A session with its mailroom, and what it said so far."""

    def __init__(self, *, ehlo: bool = True, host: str = GMAIL_DOOR.name, rule: Rule | None = None) -> None:
        self.mailroom = Mailroom(WORLD)
        if rule is not None:
            self.mailroom.rules.add(rule)
        door = next(door for door in WORLD.doors if door.name == host)
        self.session = SmtpSession(self.mailroom, Visit(door, "127.0.1.2"))
        self.session.greet()
        self.banner = self.session.take_output()
        if ehlo:
            self.say(b"EHLO mta-2.pool.sim\r\n")

    def say(self, data: bytes) -> list[int]:
        """Codes of the replies to `data`."""
        self.session.receive(data)
        return codes(self.session.take_output())


def codes(output: bytes) -> list[int]:
    """Codes of complete replies; fails on anything that is no reply."""
    found = []
    for line in output.split(b"\r\n")[:-1]:
        assert re.fullmatch(rb"[2-5][0-9][0-9][ -].*", line), line
        if line[3:4] == b" ":
            found.append(int(line[:3]))
    assert not output or output.endswith(b"\r\n")
    return found


def test_a_whole_mail_in_pieces_of_any_size_gives_the_same() -> None:
    talk = Talk()
    assert talk.say(ENVELOPE + b"Subject: hi\r\n\r\n..dot\r\n.\r\nQUIT\r\n") == [250, 250, 354, 250, 221]
    assert talk.session.next is Next.CLOSE
    (mail,) = talk.mailroom.mailboxes.of("joe@gmail.sim")
    assert mail.data == b"Subject: hi\r\n\r\n.dot\r\n"
    assert (mail.mail_from, mail.client, mail.ehlo_name, mail.tls) == (
        "b@demo.sim",
        "127.0.1.2",
        "mta-2.pool.sim",
        False,
    )


@given(st.data())
def test_pieces_of_the_stream_do_not_matter(data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from([b"", b".", b"..", b"x", b".x", b"a b"]), max_size=6))
    body = b"".join(line + b"\r\n" for line in lines)
    stuffed = b"".join((b"." + line if line.startswith(b".") else line) + b"\r\n" for line in lines)
    stream = (ENVELOPE + stuffed + b".\r\n") * 2 + b"NOOP\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    talk = Talk()
    said: list[int] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        said += talk.say(stream[start:end])
    assert said == [250, 250, 354, 250] * 2 + [250]
    assert [mail.data for mail in talk.mailroom.mailboxes.of("joe@gmail.sim")] == [body, body]


_BDAT = b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:<joe@gmail.sim>\r\n"


@given(st.data())
def test_chunks_come_out_as_they_went_in(data: st.DataObject) -> None:
    lines = data.draw(st.lists(st.sampled_from([b"", b".", b"..", b"x", b"BDAT 3 LAST"]), max_size=6))
    body = b"".join(line + b"\r\n" for line in lines)
    first = data.draw(st.integers(0, len(body)))
    one = _BDAT + b"BDAT %d LAST\r\n%b" % (len(body), body)
    two = _BDAT + b"BDAT %d\r\n%bBDAT %d LAST\r\n%b" % (first, body[:first], len(body) - first, body[first:])
    stream = one + two + b"NOOP\r\n"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    talk = Talk()
    said: list[int] = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        said += talk.say(stream[start:end])
    assert said == [250, 250, 250, 250, 250, 250, 250, 250]
    assert [mail.data for mail in talk.mailroom.mailboxes.of("joe@gmail.sim")] == [body, body]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"BDAT 5 LAST\r\nx\r\nyzNOOP\r\n", [503, 250]),
        (
            b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:<nobody@elsewhere.test>\r\nBDAT 5 LAST\r\nx\r\nyzNOOP\r\n",
            [250, 550, 503, 250],
        ),
        (_BDAT + b"BDAT 3\r\nx\r\nDATA\r\nRSET\r\n", [250, 250, 250, 503, 250]),
        (_BDAT + b"BDAT five LAST\r\n", [250, 250, 501]),
        (_BDAT + b"BDAT 0 LAST\r\nNOOP\r\n", [250, 250, 250, 250]),
        (_BDAT + b"BDAT 40000000 LAST\r\n" + b"x" * 40_000_000 + b"NOOP\r\n", [250, 250, 552, 250]),
    ],
    ids=["no mail", "nobody", "mixed", "no number", "empty", "too large"],
)
def test_a_chunk_that_is_refused_is_passed_over(stream: bytes, expected: list[int]) -> None:
    talk = Talk()
    assert talk.say(stream) == expected


_FRAGMENTS = st.sampled_from(
    [
        b"EHLO a\r\n",
        b"HELO a\r\n",
        b"MAIL FROM:<b@demo.sim>\r\n",
        b"MAIL FROM:<> SIZE=9 BODY=8BITMIME SMTPUTF8\r\n",
        b"RCPT TO:<joe@gmail.sim>\r\n",
        b"RCPT TO:<slow+1@gmail.sim>\r\n",
        b"RCPT TO:<throttle@gmail.sim>\r\n",
        b"RCPT TO:<drop@gmail.sim>\r\n",
        "RCPT TO:<jö|rg@gmail.sim>\r\n".encode(),
        b"DATA\r\n",
        b"BDAT 9\r\n",
        b"BDAT 0 LAST\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b".",
        b"\r",
        b"\n",
        b"STARTTLS\r\n",
        b"RSET\r\n",
        b"QUIT\r\n",
        b"x" * 2100,
        b"\x00\xff",
    ]
)


@given(st.lists(_FRAGMENTS | st.binary(max_size=40), max_size=40))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    talk = Talk(ehlo=False)
    for chunk in chunks:
        if talk.session.next in (Next.CLOSE, Next.LINGER, Next.BREAK_TLS):
            return
        if talk.session.next is Next.STARTTLS:
            talk.session.tls_established()
        while talk.session.next is Next.WAIT:
            talk.session.resume()
            codes(talk.session.take_output())
        if talk.session.next is Next.READ:
            talk.say(chunk)
    if talk.session.next is Next.READ:
        assert talk.session.buffered <= 2100 + sum(map(len, chunks))


@given(st.lists(st.binary(max_size=30), max_size=20))
def test_after_any_command_line_it_still_answers(lines: list[bytes]) -> None:
    talk = Talk()
    for line in lines:
        if line.split(b" ")[0].strip().upper() in (b"QUIT", b"STARTTLS"):
            continue
        before = talk.session.next
        answered = talk.say(line.replace(b"\n", b"").replace(b"\r", b"") + b"\r\n")
        if before is not Next.READ:
            return
        assert answered


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (b"FOO\r\n", 500),
        (b"NOOP\n", 500),
        (b"NO\rOP\r\n", 500),
        (b"NOOP \xff\r\n", 500),
        (b"EHLO\r\n", 501),
        (b"EHLO two words\r\n", 501),
        (b"MAIL FROM:b@demo.sim\r\n", 501),
        (b"MAIL FROM:<b@demo.sim> SIZE=99999999\r\n", 552),
        (b"MAIL FROM:<b@demo.sim> RET=FULL\r\n", 555),
        ("MAIL FROM:<jörg@demo.sim>\r\n".encode(), 553),
        ("MAIL FROM:<jörg@demo.sim> SMTPUTF8\r\n".encode(), 250),
        (b"MAIL FROM:<> SIZE=5000 BODY=8BITMIME\r\n", 250),
        (b"mail from:<@relay.sim:b@demo.sim>\r\n", 250),
        (b"RCPT TO:<joe@gmail.sim>\r\n", 503),
        (b"DATA\r\n", 503),
        (b"AUTH PLAIN\r\n", 502),
        (b"BDAT five\r\n", 501),
        (b"VRFY joe\r\n", 252),
        (b"HELP\r\n", 214),
        (b"x" * 3000 + b"\r\n", 500),
    ],
)
def test_single_commands(command: bytes, code: int) -> None:
    assert Talk().say(command) == [code]


@pytest.mark.parametrize(
    ("recipient", "code"),
    [
        (b"<joe@gmail.sim>", 250),
        (b"<JOE@GMAIL.SIM>", 250),
        (b'<"quoted joe"@gmail.sim>', 250),
        (b"<postmaster>", 250),
        (b"<joe@acme-corp.sim>", 250),
        (b"<joe@yahoo.sim>", 550),
        (b"<joe@elsewhere.test>", 550),
        (b"<joe>", 550),
        (b"<joe@@gmail.sim>", 501),
        (b"<>", 501),
        (b"joe@gmail.sim", 501),
        (b"<joe@gmail.sim> NOTIFY=NEVER", 555),
    ],
)
def test_recipients(recipient: bytes, code: int) -> None:
    talk = Talk()
    assert talk.say(b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:" + recipient + b"\r\n") == [250, code]


@pytest.mark.parametrize("body", [b"a\nb\r\n", b"a\rb\r\n", b"a\n.\nMAIL FROM:<evil@x>\r\n", b"a\r\n.\nb\r\n"])
def test_bare_line_ends_refuse_the_mail_and_end_nothing(body: bytes) -> None:
    talk = Talk()
    assert talk.say(ENVELOPE + body + b".\r\n") == [250, 250, 354, 550]
    assert talk.mailroom.mailboxes.of("joe@gmail.sim") == ()


def test_a_mail_that_is_too_large_is_swallowed_and_refused() -> None:
    talk = Talk()
    talk.say(ENVELOPE)
    piece = b"x" * 1_048_574 + b"\r\n"
    for _ in range(36):
        assert talk.say(piece) == []
    assert talk.session.buffered < 10
    assert talk.say(b".\r") == []
    assert talk.say(b"\nNOOP\r\n") == [552, 250]


def test_starttls_forgets_what_was_said_and_takes_nothing_pipelined() -> None:
    talk = Talk()
    talk.say(b"MAIL FROM:<b@demo.sim>\r\n")
    assert talk.say(b"STARTTLS\r\n") == [220]
    assert talk.session.next is Next.STARTTLS
    talk.session.tls_established()
    assert talk.say(b"MAIL FROM:<b@demo.sim>\r\n") == [503]
    assert talk.say(b"EHLO a\r\nSTARTTLS\r\n") == [250, 503]
    injected = Talk()
    assert injected.say(b"STARTTLS\r\nMAIL FROM:<b@demo.sim>\r\n") == [421]
    assert injected.session.next is Next.LINGER


def test_too_many_errors_and_an_endless_line_end_the_connection() -> None:
    talk = Talk()
    assert talk.say(b"FOO\r\n" * 30) == [500] * 20 + [421]
    endless = Talk()
    assert endless.say(b"x" * 3000) == [500]
    assert endless.session.next is Next.LINGER


def test_a_421_ends_the_connection_in_the_middle_of_a_pipeline() -> None:
    talk = Talk()
    assert talk.say(
        b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:<block@gmail.sim>\r\nRCPT TO:<throttle@gmail.sim>\r\nDATA\r\n"
    ) == [
        250,
        554,
        250,
        354,
    ]
    assert talk.say(b"Subject: x\r\n\r\n.\r\n" + ENVELOPE) == [421]
    assert talk.session.next is Next.LINGER


def test_slow_keeps_back_the_answer_to_the_dot_and_all_after_it() -> None:
    talk = Talk()
    slow = ENVELOPE.replace(b"joe@", b"slow+7@") + b"Subject: hi\r\n\r\nx\r\n.\r\n"
    assert talk.say(slow) == [250, 250, 354]
    assert (talk.session.next, talk.session.delay) == (Next.WAIT, 7)
    assert talk.say(b"NOOP\r\n") == []
    talk.session.resume()
    assert codes(talk.session.take_output()) == [250, 250]


def test_a_greeting_of_two_codes() -> None:
    rule = Rule(Behaviour.BLOCK, stage=Stage.BANNER, text="220-mx1.google.sim|521 5.7.1 blocked")
    talk = Talk(ehlo=False, rule=rule)
    assert talk.banner == b"220-mx1.google.sim\r\n521 5.7.1 blocked\r\n"
    assert talk.session.next is Next.LINGER


def test_a_limit_of_mails_per_connection() -> None:
    rule = Rule(Behaviour.THROTTLE, stage=Stage.MAIL, after=2, text="421 4.7.0 Too many messages in this connection")
    talk = Talk(rule=rule)
    mail = ENVELOPE + b"Subject: hi\r\n\r\nx\r\n.\r\n"
    assert talk.say(mail + mail) == [250, 250, 354, 250] * 2
    assert talk.say(b"MAIL FROM:<b@demo.sim>\r\n") == [421]
    assert Talk(rule=rule).say(mail) == [250, 250, 354, 250], "another connection begins anew"


def test_a_host_that_takes_mail_only_inside_tls() -> None:
    talk = Talk(host="mx.tlsonly.sim")
    mail = b"MAIL FROM:<b@demo.sim>\r\n"
    assert talk.say(mail) == [530]
    assert talk.say(b"STARTTLS\r\n") == [220]
    talk.session.tls_established()
    assert talk.say(b"EHLO mta-2.pool.sim\r\n" + mail) == [250, 250]


def test_a_host_without_8bitmime() -> None:
    talk = Talk(ehlo=False, host="mx.sevenbit.sim")
    talk.session.receive(b"EHLO mta-2.pool.sim\r\n")
    assert b"8BITMIME" not in talk.session.take_output()
    assert talk.say(b"MAIL FROM:<b@demo.sim> BODY=8BITMIME\r\n") == [555]
    to = b"MAIL FROM:<b@demo.sim>\r\nRCPT TO:<joe@sevenbit.sim>\r\nDATA\r\n"
    assert talk.say(to + b"Subject: hi\r\n\r\n\xc3\xa9\r\n.\r\n") == [250, 250, 354, 554]
    assert talk.say(to + b"Subject: hi\r\n\r\n=C3=A9\r\n.\r\n") == [250, 250, 354, 250]
