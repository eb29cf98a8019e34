"""The reply parser: real replies, broken ones, and any bytes at all cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.model import Phase, Trouble
from mta.reply_parser import MAX_REPLY, MAX_TEXT, Features, Reply, ReplyParser, features_of, printable, response_of


def parsed(*pieces: bytes) -> tuple[list[tuple[int, list[bytes]]], str]:
    parser = ReplyParser()
    for piece in pieces:
        parser.feed(piece)
    return [(reply.code, reply.lines) for reply in parser.replies], parser.fault


@pytest.mark.parametrize(
    ("wire", "expected"),
    [
        (b"250 2.1.0 Ok\r\n", [(250, [b"2.1.0 Ok"])]),
        (b"250\r\n", [(250, [b""])]),
        (b"250\n", [(250, [b""])]),
        (b"250-a\r\n250-b\r\n250 c\r\n", [(250, [b"a", b"b", b"c"])]),
        (b"250-a\r\n250\r\n", [(250, [b"a", b""])]),
        (b"250-a\n250 b\n", [(250, [b"a", b"b"])]),
        (b"250 a\r\n354 b\r\n", [(250, [b"a"]), (354, [b"b"])]),
        (b"550\ttabbed\r\n", [(550, [b"tabbed"])]),
        (b"220-mx\r\n521 blocked\r\n", [(521, [b"mx", b"blocked"])]),
        (b"250-a\r\n451-b\r\n550 c\r\n250 ok\r\n", [(550, [b"a", b"b", b"c"]), (250, [b"ok"])]),
    ],
)
def test_reads_what_servers_send(wire: bytes, expected: list[tuple[int, list[bytes]]]) -> None:
    assert parsed(wire) == (expected, "")


@pytest.mark.parametrize(
    "wire",
    [
        b"\r\n",
        b"hello\r\n",
        b"99 no\r\n",
        b"600 no\r\n",
        b"100 no\r\n",
        b"2500 no\r\n",
        b"250x no\r\n",
        b"-50 no\r\n",
        b"\x16\x03\x01\x02\r\n",
    ],
)
def test_garbage_is_a_fault_for_good(wire: bytes) -> None:
    replies, fault = parsed(wire, b"250 ok\r\n")
    assert replies == []
    assert fault


def test_replies_before_garbage_still_count() -> None:
    replies, fault = parsed(b"250 ok\r\nboom\r\n")
    assert (replies, fault) == ([(250, [b"ok"])], "boom")


@pytest.mark.parametrize("piece", [b"2" * 4096, b"250-" + b"x" * 4000 + b"\r\n"])
def test_an_endless_reply_is_cut_off(piece: bytes) -> None:
    parser = ReplyParser()
    fed = 0
    while not parser.fault:
        parser.feed(piece)
        fed += len(piece)
        assert fed <= MAX_REPLY + 2 * len(piece)
    assert len(parser.fault) <= MAX_TEXT


def test_clean_only_between_replies() -> None:
    parser = ReplyParser()
    assert parser.clean()
    parser.feed(b"25")
    assert not parser.clean()
    parser.feed(b"0-a\r\n")
    assert not parser.clean()
    parser.feed(b"250 b\r\n")
    assert not parser.clean()
    parser.replies.popleft()
    assert parser.clean()


@pytest.mark.parametrize(
    ("lines", "enhanced", "text"),
    [
        ([b"5.1.1 no such user"], "5.1.1", "no such user"),
        ([b"no such user"], "", "no such user"),
        ([b"5.1.1"], "5.1.1", ""),
        ([b"5.7.26 This mail has been blocked", b"5.7.26 because"], "5.7.26", "This mail has been blocked because"),
        ([b"5.7.1 first", b"second"], "5.7.1", "first second"),
        ([b"4.2.2.9 odd"], "", "4.2.2.9 odd"),
        ([b"see 5.1.1 above"], "", "see 5.1.1 above"),
        ([b"bad\x00\x07byte \xff"], "", "bad??byte \ufffd"),
    ],
)
def test_response_has_code_and_text_apart(lines: list[bytes], enhanced: str, text: str) -> None:
    response = response_of(Phase.RCPT, Reply(550, lines))
    assert (response.code, response.enhanced, response.text, response.trouble) == (550, enhanced, text, None)


@pytest.mark.parametrize(
    ("wire", "code", "enhanced", "text"),
    [
        (b"220-mx\r\n521 5.3.2 blocked\r\n", 521, "5.3.2", "mx blocked"),
        (b"220-mx\r\n521 blocked\r\n", 521, "", "mx blocked"),
        (b"250-2.1.5 bob ok\r\n550 5.1.1 eve unknown\r\n", 550, "5.1.1", "2.1.5 bob ok eve unknown"),
        (b"250-2.1.5 bob ok\r\n550 eve unknown\r\n", 550, "", "2.1.5 bob ok eve unknown"),
        (b"220-mx\r\n421-4.7.0 slow\r\n421 4.7.0 down\r\n", 421, "4.7.0", "mx slow down"),
    ],
)
def test_of_differing_codes_the_last_decides_and_brings_its_enhanced_code(
    wire: bytes, code: int, enhanced: str, text: str
) -> None:
    parser = ReplyParser()
    parser.feed(wire)
    response = response_of(Phase.BANNER, parser.replies[0])
    assert (response.code, response.enhanced, response.text) == (code, enhanced, text)
    assert not parser.fault


def test_trouble_becomes_a_response_without_code() -> None:
    response = response_of(Phase.DOT, Reply(0, [], Trouble.TIMEOUT))
    assert (response.phase, response.code, response.trouble) == (Phase.DOT, 0, Trouble.TIMEOUT)


def test_features_come_from_keywords_in_any_case() -> None:
    reply = Reply(250, [b"PIPELINING is my name", b"pipelining", b"SIZE", b"8bitmime", b"", b"AUTH PLAIN"])
    assert features_of(reply) == Features(pipelining=True, eight_bit=True, size=True)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_never_raises_and_never_grows(pieces: list[bytes]) -> None:
    parser = ReplyParser()
    for piece in pieces:
        parser.feed(piece)
    for reply in parser.replies:
        response = response_of(Phase.MAIL, reply)
        assert 200 <= response.code <= 599
        assert response.text.isprintable()
        assert len(response.text) <= MAX_TEXT


reply_lines = st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"").rstrip(b"\r"))
any_codes = st.lists(st.tuples(st.integers(200, 599), reply_lines), min_size=1, max_size=6)


@given(any_codes)
def test_the_last_line_has_the_last_word_whatever_stands_before(lines: list[tuple[int, bytes]]) -> None:
    wire = b"".join(b"%d-%s\r\n" % line for line in lines[:-1]) + b"%d %s\r\n" % lines[-1]
    assert parsed(wire) == ([(lines[-1][0], [text for _, text in lines])], "")


any_reply = st.tuples(st.integers(200, 599), st.lists(reply_lines, min_size=1, max_size=5))


@given(st.lists(any_reply, max_size=5), st.lists(st.integers(1, 40), max_size=60))
def test_cutting_changes_nothing(replies: list[tuple[int, list[bytes]]], cuts: list[int]) -> None:
    wire = b"".join(
        b"%d%s%s\r\n" % (code, b" " if number == len(lines) else b"-", line)
        for code, lines in replies
        for number, line in enumerate(lines, 1)
    )
    parser = ReplyParser()
    for cut in cuts:
        parser.feed(wire[:cut])
        wire = wire[cut:]
    parser.feed(wire)
    assert [(reply.code, reply.lines) for reply in parser.replies] == replies
    assert parser.clean() == (not replies)


@given(st.lists(st.binary(max_size=3000), max_size=4))
def test_printable_is(lines: list[bytes]) -> None:
    text = printable(lines)
    assert text.isprintable()
    assert len(text) <= MAX_TEXT
