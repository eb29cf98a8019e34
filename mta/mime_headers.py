"""Header fields as text that may go on the wire: folded, encoded, and without a way to smuggle a line in.

Owns RFC 5322 folding (section 2.2.3), RFC 2047 encoded-words, and RFC 2231 parameters. Never decides which headers a
mail has. The functions named after headers return whole fields that end with CRLF, keep lines within 78 characters
where the words allow it and within 998 always, and raise `ComposeError` that names the header when a value holds CR, LF
or NUL, or cannot be written within 998.

Written to round-trip: a reader that unfolds and decodes gets the text that was given, apart from blanks at its ends.
"""

import re
from binascii import b2a_base64
from collections.abc import Iterable
from urllib.parse import quote

from core.addresses import Mailbox, quoted
from core.errors import PostlaneError

LINE = 78
"""Preferred length of a line, without CRLF (RFC 5322 section 2.1.1)."""
MAX_LINE = 998
"""Length no line may pass, without CRLF (RFC 5322 section 2.1.1)."""

_LIKE_ADDRESS = re.compile(r"=\?|[@<>]")
_FORBIDDEN = re.compile(r"[\r\n\0]")
_FIELD_NAME = re.compile(r"[!-9;-~]{1,76}")
_ATOMS = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?: [A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,200}")
_PARAMETER = re.compile(r';[ \t]*([A-Za-z0-9!#$&^_.+*-]{1,60})[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^;"]*)')
_ESCAPED = re.compile(r"\\(.)")
_PLAIN_FILENAME = re.compile(r"[A-Za-z0-9_.,+()@~-](?:[A-Za-z0-9_ .,+()@~-]{0,58}[A-Za-z0-9_.,+()@~-])?")
_NO_ENCODED_WORD = frozenset({"message-id", "date", "in-reply-to", "references", "feedback-id", "content-type"})
"""Encoded-words would destroy these (RFC 2047 section 5), and every List- header but List-Id, whose phrase they may."""

_EW_FRAME = len("=?utf-8?q??=")
_EW_MAX = 75
"""An encoded-word has at most 75 characters (RFC 2047 section 2)."""
_Q_LITERAL = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!*+-/"
"""The characters that Q may leave alone also inside a phrase (RFC 2047 section 5, rule 3)."""
_Q = {chr(code): chr(code) for code in _Q_LITERAL} | {" ": "_"}
_Q_SAFE = _Q_LITERAL + b" "
_RFC2231_SAFE = "!#$&+-.^_`{|}~"
_SEGMENT = 60


class ComposeError(PostlaneError, ValueError):
    """This mail cannot be written as it is, now or ever; the text says what about it."""


def text_header(name: str, value: str, *, literal: bool = False) -> str:
    """One unstructured field, such as Subject or a header of the application.

    `literal` says that the value is text and not yet encoded: a `=?` in it is then encoded too, so that readers show
    what was written. Without it an application may hand over encoded-words of its own.
    """
    short = len(name) + 2 + len(value) <= LINE
    if short and value.isascii() and value.isprintable() and not (literal and "=?" in value):  # nearly all are so
        return f"{name}: {value.strip(' ')}\r\n"
    check_value(name, value)
    value = value.strip(" \t")
    words = value if _is_plain(value, literal) else _encode_stretch(name, value, literal)
    folded = fold(name, words)
    if _longest_line(folded) <= MAX_LINE:
        return folded
    if is_structured(name):
        raise ComposeError(f"header {name}: a part without blanks is longer than {MAX_LINE} characters")
    return fold(name, encoded_words(name, value))


def address_header(name: str, mailboxes: Iterable[Mailbox]) -> str:
    """One address list. International domains go out as punycode, UTF-8 local parts as they are (RFC 6532)."""
    return fold(name, ", ".join([mailbox_text(name, box) for box in mailboxes]))


def check_name(name: str) -> None:
    """Raises `ComposeError` unless `name` can be a field name (RFC 5322 section 3.6.8) of at most 76 characters."""
    if not _FIELD_NAME.fullmatch(name):
        raise ComposeError(f"header {name[:76]!r}: not a header name")


def check_value(name: str, value: str) -> None:
    """Raises `ComposeError` for CR, LF, NUL and lone surrogates. The API refuses them too; this is the second door."""
    if _FORBIDDEN.search(value):
        raise ComposeError(f"header {name}: line breaks and NUL are not allowed")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise ComposeError(f"header {name}: not valid Unicode") from None


def disposition_header(kind: str, filename: str) -> str:
    """Content-Disposition (RFC 2183) of `attachment` or `inline`, with the file name as RFC 2231 wants it."""
    name = "Content-Disposition"
    check_value(f"{name} filename", filename)
    if not filename:
        return f"{name}: {kind}\r\n"
    plain = _PLAIN_FILENAME.fullmatch(filename)
    written = f'filename="{filename}"' if plain else ";\r\n ".join(_extended("filename", filename))
    return f"{name}: {kind};\r\n {written}\r\n"


def parameters(value: str) -> list[tuple[str, str]]:
    """The parameters behind a type or disposition, without their quotation marks; what is none is left out."""
    found = _PARAMETER.findall(value)
    return [(key, _ESCAPED.sub(r"\1", text[1:-1]) if text[:1] == '"' else text.strip(" \t")) for key, text in found]


def with_parameters(name: str, main: str, pairs: Iterable[tuple[str, str]]) -> str:
    """A field such as Content-Type, each of its parameters as it has to be written."""
    field = f"{name}: {main}"
    for key, text in pairs:
        written = parameter(key, text)
        room = LINE - len(field.rpartition("\n")[2]) - len("; ")
        field += f"; {written}" if len(written) <= room else f";\r\n {written}"
    return field + "\r\n"


def parameter(key: str, text: str) -> str:
    """One parameter with any text as its value: a token, quoted, or by RFC 2231, on more than one line if need be."""
    if _TOKEN.fullmatch(text):
        return f"{key}={text}"
    if text.isascii() and text.isprintable() and len(text) <= 200:
        return f"{key}={quoted(text)}"
    return ";\r\n ".join(_extended(key, text))


def _extended(key: str, text: str) -> list[str]:
    """A parameter by RFC 2231, in pieces where one line does not hold it."""
    segments = _percent_segments(text)
    if len(segments) == 1:
        return [f"{key}*=utf-8''{segments[0]}"]
    first = f"{key}*0*=utf-8''{segments[0]}"
    return [first, *[f"{key}*{index}*={segment}" for index, segment in enumerate(segments[1:], 1)]]


def _percent_segments(text: str) -> list[str]:
    """`text` percent-encoded and cut between characters into pieces of at most 60 (RFC 2231 section 3)."""
    segments, current = [], ""
    for char in text:
        piece = quote(char, safe=_RFC2231_SAFE)
        if len(current) + len(piece) > _SEGMENT:
            segments.append(current)
            current = ""
        current += piece
    return [*segments, current]


def mailbox_text(header: str, box: Mailbox) -> str:
    """One mailbox as a header holds it. A name with `@` or angle brackets in it is encoded: software that searches a
    header for an address, instead of parsing it, then finds the one that is there."""
    name = box.name
    if not name:
        return box.wire
    if name.isascii() and name.isprintable() and not _LIKE_ADDRESS.search(name):
        if _ATOMS.fullmatch(name):
            return f"{name} <{box.wire}>"
        phrase = quoted(name)
        if len(phrase) <= LINE:
            return f"{phrase} <{box.wire}>"
    check_value(header, name)
    return f"{encoded_words(header, name)} <{box.wire}>"


def _is_plain(text: str, literal: bool) -> bool:
    """Printable ASCII and tabs, and nothing in it that would be taken for an encoded-word."""
    if not text.isascii() or (literal and "=?" in text):
        return False
    return text.isprintable() or text.replace("\t", " ").isprintable()


def is_structured(name: str) -> bool:
    """Whether encoded-words would destroy what this field means."""
    lower = name.lower()
    return lower in _NO_ENCODED_WORD or lower.startswith("list-")


def _encode_stretch(name: str, value: str, literal: bool) -> str:
    """Encodes from the first to the last word that needs it and leaves the words around them readable.

    In List-Id or Sender the address beside a name therefore stays what it is.
    """
    if is_structured(name) and name.lower() != "list-id":
        raise ComposeError(f"header {name}: only printable ASCII is allowed")
    words = value.split(" ")
    marked = [index for index, word in enumerate(words) if not _is_plain(word, literal)]
    first, last = marked[0], marked[-1]
    # Readers may drop or merge blanks beside an encoded-word: more than one blank goes inside.
    while first and not words[first - 1]:
        first -= 1
    while last + 1 < len(words) and not words[last + 1]:
        last += 1
    encoded = encoded_words(name, " ".join(words[first : last + 1]))
    return " ".join([*words[:first], encoded, *words[last + 1 :]])


def encoded_words(name: str, text: str) -> str:
    """`text` as encoded-words with one blank between them: B or Q, whichever is shorter, whole characters in each."""
    room = max(min(_EW_MAX, LINE - 2 - len(name)), 40) - _EW_FRAME
    data = text.encode()
    escapes = len(data.translate(None, _Q_SAFE))
    if len(data) + 2 * escapes <= (len(data) + 2) // 3 * 4:
        return " ".join([f"=?utf-8?q?{chunk}?=" for chunk in _q_chunks(text, room)])
    return " ".join([f"=?utf-8?b?{chunk}?=" for chunk in _b_chunks(data, room)])


def _q_chunks(text: str, room: int) -> list[str]:
    chunks, current = [], ""
    for char in text:
        piece = _Q.get(char) or "".join([f"={byte:02X}" for byte in char.encode()])
        if len(current) + len(piece) > room:
            chunks.append(current)
            current = ""
        current += piece
    return [*chunks, current]


def _b_chunks(data: bytes, room: int) -> list[str]:
    chunks, start, step = [], 0, room // 4 * 3
    while start < len(data):
        end = start + step
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1  # inside a character
        chunks.append(b2a_base64(data[start:end], newline=False).decode("ascii"))
        start = end
    return chunks


def fold(name: str, value: str) -> str:
    """One field, broken before words so that lines keep to 78 characters; never a line of blanks only."""
    if len(name) + 2 + len(value) <= LINE:
        return f"{name}: {value}\r\n"
    words = value.split(" ")
    out, length = [f"{name}: {words[0]}"], len(name) + 2 + len(words[0])
    for word in words[1:]:
        if word.strip("\t") and length + 1 + len(word) > LINE:
            out.append(f"\r\n {word}")
            length = 1 + len(word)
        else:
            out.append(f" {word}")
            length += 1 + len(word)
    return "".join(out) + "\r\n"


def _longest_line(field: str) -> int:
    return len(field) if len(field) <= MAX_LINE else max(map(len, field.split("\r\n")))
