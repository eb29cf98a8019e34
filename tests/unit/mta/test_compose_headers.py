"""Single header fields: how they are folded and encoded."""

import base64
import re
from urllib.parse import unquote

import pytest

from core.addresses import Mailbox
from mta.mime_headers import address_header, disposition_header, text_header


def _lines(field: str) -> list[str]:
    assert field.endswith("\r\n")
    return field[:-2].split("\r\n")


def test_short_fields_are_one_line() -> None:
    assert text_header("Subject", " Your order\t") == "Subject: Your order\r\n"
    assert text_header("X-Empty", "") == "X-Empty: \r\n"


def test_folding_only_adds_line_breaks_before_words() -> None:
    value = "word " * 40 + "end"
    lines = _lines(text_header("Subject", value))
    assert max(map(len, lines)) <= 78
    assert all(re.match(r" \S", line) for line in lines[1:])
    assert "".join(lines) == f"Subject: {value}"


def test_no_line_of_blanks_only() -> None:
    lines = _lines(text_header("Subject", "x" * 60 + " " * 200 + "y" * 60 + " " * 90 + "z"))
    assert all(line.strip() for line in lines)


def test_no_line_of_tabs_only() -> None:
    """Some readers take it for the end of the header."""
    lines = _lines(text_header("X-Tabs", "a" * 68 + " \t\t \t " + "b" * 77))
    assert all(line.strip() for line in lines)


def test_a_name_that_looks_like_an_address_is_encoded() -> None:
    for name in ("ceo@bank.example", "<ceo@bank.example>", "a > b", "=?utf-8?q?x?="):
        written = address_header("From", [Mailbox(name, "a", "acme.sim")])
        assert re.fullmatch(r"From: =\?utf-8\?[qb]\?[^@<>]+\?= <a@acme\.sim>\r\n", written)


def test_each_encoded_word_stands_for_whole_characters() -> None:
    words = re.findall(r"=\?utf-8\?b\?([^?]*)\?=", text_header("Subject", "aa" + "日本語" * 60))
    assert len(words) > 3
    assert "".join(base64.b64decode(word).decode() for word in words) == "aa" + "日本語" * 60


def test_plain_words_around_stay_readable() -> None:
    field = text_header("List-Id", "Überblick der <list.example>")
    assert field == "List-Id: =?utf-8?q?=C3=9Cberblick?= der <list.example>\r\n"


def test_several_blanks_beside_an_encoded_word_are_inside_it() -> None:
    # RFC 2047 section 6.2 lets readers treat them as one.
    assert text_header("Subject", "see  ü  there") == "Subject: see =?utf-8?q?_=C3=BC_?= there\r\n"


@pytest.mark.parametrize("char", ["\x01", "\x0b", "\x1b", "\x7f", "\x85", "\u2028"])
def test_control_characters_are_encoded(char: str) -> None:
    field = text_header("Subject", f"tab\tand {char} here")
    assert field[:-2].replace("\t", " ").isprintable()
    assert field.isascii()


def test_text_that_looks_encoded_is_encoded_only_where_it_is_text() -> None:
    assert text_header("X-Own", "=?utf-8?q?x?=") == "X-Own: =?utf-8?q?x?=\r\n"
    assert text_header("Subject", "=?utf-8?q?x?=", literal=True) == "Subject: =?utf-8?b?PT91dGYtOD9xP3g/PQ==?=\r\n"


def test_a_structured_header_that_cannot_be_folded_is_refused() -> None:
    with pytest.raises(ValueError, match="List-Unsubscribe"):
        text_header("List-Unsubscribe", "x" * 1_000)
    lines = _lines(text_header("X-Own", "x" * 1_000))
    assert max(map(len, lines)) <= 78


def test_fifty_recipients_fold_between_addresses() -> None:
    boxes = [Mailbox("Jane Doe", f"jane{index}", "customer.example") for index in range(50)]
    lines = _lines(address_header("To", boxes))
    assert max(map(len, lines)) <= 78
    assert "".join(lines).count(", Jane Doe <jane") == 49


def test_names_are_atoms_quoted_or_encoded() -> None:
    spellings = {
        "Jane Doe": "Jane Doe",
        "Doe, Jane": '"Doe, Jane"',
        'a"b\\c': r'"a\"b\\c"',
        "J. Doe": '"J. Doe"',
        "Jürgen": "=?utf-8?q?J=C3=BCrgen?=",
        "=?utf-8?q?x?=": "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?=",
    }
    for name, spelling in spellings.items():
        assert address_header("To", [Mailbox(name, "j", "c.example")]) == f"To: {spelling} <j@c.example>\r\n"


def test_file_names() -> None:
    assert disposition_header("inline", "") == "Content-Disposition: inline\r\n"
    assert _lines(disposition_header("attachment", "a b.pdf"))[1] == ' filename="a b.pdf"'
    assert _lines(disposition_header("attachment", 'a"b;ü.pdf'))[1] == " filename*=utf-8''a%22b%3B%C3%BC.pdf"
    lines = _lines(disposition_header("attachment", "日本語" * 20))
    assert len(lines) > 3
    assert max(map(len, lines)) <= 78
    segments = [line.strip(" ;").partition("=")[2].removeprefix("utf-8''") for line in lines[1:]]
    assert [re.match(r" filename\*\d+\*=", line) is not None for line in lines[1:]] == [True] * len(segments)
    assert "".join(unquote(segment, errors="strict") for segment in segments) == "日本語" * 20
