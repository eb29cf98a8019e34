"""Bodies that would be huge once parsed, and files that older SDKs send as numbers."""

import json
from typing import Any

import pytest

from api.attachments import read_attachments
from api.errors import ApiError
from api.intake import read_email
from api.packing import in_bounds
from web.bodies import MOST_PARTS, UNEXAMINED, BodyTooComplexError, check_parts

GOOD = {"from": "a@b.example", "to": "c@d.example", "subject": "x", "text": "y"}
FILE = bytes(range(256)) * 8_000
"""2 MB; as numbers 7 MB of JSON."""


def body(content: Any, **more: Any) -> bytes:
    return json.dumps(GOOD | {"attachments": [{"filename": "a", "content": content}]} | more).encode()


@pytest.mark.parametrize("size", [300, len(FILE)])
@pytest.mark.parametrize("form", [list, lambda data: {"type": "Buffer", "data": list(data)}], ids=["list", "buffer"])
def test_a_file_as_numbers_is_the_same_file(form: Any, size: int) -> None:
    raw = body(form(FILE[:size]))
    (found,) = read_attachments(read_email(raw).attachments)
    assert found.data == FILE[:size]


def test_a_number_that_is_no_byte_is_named() -> None:
    with pytest.raises(ApiError, match="255") as refused:
        read_email(body([*FILE, 256]))
    assert refused.value.name == "invalid_attachment"


def test_lists_of_numbers_within_texts_stay() -> None:
    text = '"content":[1,2,3] ' * 300_000
    assert len(body("Zg==", text=text)) > UNEXAMINED
    assert read_email(body("Zg==", text=text)).text == text


def test_a_body_that_would_be_huge_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(BodyTooComplexError):
        in_bounds(b'{"attachments":[{"content":[' + b"[]," * (MOST_PARTS // 10 + 500_000) + b"[]]}]}")


def test_what_stands_in_texts_does_not_count() -> None:
    raw = json.dumps({"text": '[{,\\"' * (MOST_PARTS // 9)}).encode()
    assert raw.count(b"[") + raw.count(b"{") > MOST_PARTS // 10, "a plain count finds too much"
    check_parts(raw)
