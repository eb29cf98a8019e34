"""Headers, attachments and hashes: the parts of the intake that need no database."""

import base64
from collections.abc import Callable
from typing import Any, TypeVar

import pytest
from fastapi import Request
from hypothesis import given
from hypothesis import strategies as st

from accounts.directory import Caller
from api.attachments import read_attachments
from api.errors import ApiError
from api.headers import message_id_in, read_headers
from api.idempotency import Keyed, keyed, settled
from api.schemas.emails import Attachment
from core.ids import uuid7
from messages.accept import Accepted, KeyInFlight, KeyReused, Replay

T = TypeVar("T")


def request(method: str = "POST", path: str = "/emails", **headers: str) -> Request:
    """A request as ASGI gives it; `_` in a header's name stands for `-`."""
    raw = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": method, "path": path, "headers": raw, "query_string": b"", "server": None}
    )


def result_or_error(call: Callable[[], T]) -> T | ApiError:
    """What the call returns, or the error it ends with."""
    try:
        return call()
    except ApiError as error:
        return error


class TestHeaders:
    def test_ordinary_headers_stay_as_they_are(self) -> None:
        given = {"X-Entity-Ref-ID": "1", "List-Unsubscribe": "<https://acme.example/u>", "References": "<a@b.example>"}
        assert read_headers(given) == tuple(given.items())
        assert read_headers(None) == ()

    @pytest.mark.parametrize("name", ["Bcc", "BCC", "Received", "return-path", "DKIM-Signature", "Content-ID", "From"])
    def test_some_are_not_the_applications_to_set(self, name: str) -> None:
        with pytest.raises(ApiError, match=name):
            read_headers({name: "x"})

    def test_too_many(self) -> None:
        with pytest.raises(ApiError, match="100"):
            read_headers({f"X-{n}": "x" for n in range(101)})

    @given(st.dictionaries(st.text(max_size=30), st.text(max_size=60), max_size=3))
    def test_no_accepted_header_can_start_another_line(self, given: dict[str, str]) -> None:
        accepted = result_or_error(lambda: read_headers(given))
        if isinstance(accepted, ApiError):
            assert accepted.status == 422
            assert accepted.message.isprintable()
            return
        for name, value in accepted:
            assert not set(name + value) & set("\r\n\0")
            assert name.isascii()
            assert ":" not in name

    def test_the_message_id(self) -> None:
        assert message_id_in((("X", "y"), ("MESSAGE-ID", " <a@b.example> "))) == "<a@b.example>"
        assert message_id_in(()) == ""
        for wrong in ("a@b.example", "<a b@c.example>", "<a@b@c.example>", "<@>", "<a@b.example> <c@d.example>"):
            with pytest.raises(ApiError, match="Message-ID"):
                read_headers({"Message-ID": wrong})


class TestAttachments:
    @given(st.binary(max_size=300))
    def test_every_form_gives_the_same_bytes(self, data: bytes) -> None:
        forms: list[Any] = [
            base64.b64encode(data).decode(),
            base64.encodebytes(data).decode(),
            list(data),
            {"type": "Buffer", "data": list(data)},
        ]
        for form in forms:
            (found,) = read_attachments([Attachment(content=form, filename="a.pdf")])
            assert (found.data, found.content_type) == (data, "application/pdf")

    @given(st.text(alphabet="ABCabc012+/=-_! é\n", max_size=40))
    def test_text_that_is_no_base64_is_refused_not_guessed(self, text: str) -> None:
        files = result_or_error(lambda: read_attachments([Attachment(content=text, filename="a")]))
        if isinstance(files, ApiError):
            assert files.name == "invalid_attachment"
            return
        given = "".join(text.split()).rstrip("=")
        again = base64.b64encode(files[0].data).decode().rstrip("=")
        assert len(given) == len(again)
        # The last character may carry bits that nobody reads (RFC 4648 section 3.5).
        assert given[:-1] == again[:-1]

    def test_a_type_that_is_given_wins(self) -> None:
        (found,) = read_attachments([Attachment(content="Zg==", filename="a.pdf", content_type="text/x-own")])
        assert found.content_type == "text/x-own"
        (unknown,) = read_attachments([Attachment(content="Zg==", filename="a.nothing-known")])
        assert unknown.content_type == "application/octet-stream"

    @pytest.mark.parametrize("name", [None, False, ""])
    def test_a_file_without_a_name_gets_one_by_its_type(self, name: Any) -> None:
        """Node's type says `filename?: string | false`."""
        given = [
            Attachment(content="Zg==", filename=name, content_type="application/pdf; x=y"),
            Attachment(content="Zg==", filename=name),
        ]
        assert [found.filename for found in read_attachments(given)] == ["attachment.pdf", "attachment.bin"]

    @pytest.mark.parametrize(
        ("kind", "data", "written"),
        [
            (None, "é".encode(), "text/plain; charset=utf-8"),
            ("text/csv", "é".encode(), "text/csv; charset=utf-8"),
            ("text/plain; charset=latin1", "é".encode("latin1"), "text/plain; charset=latin1"),
            ("text/plain", "é".encode("latin1"), "text/plain"),
            ("text/plain", b"e", "text/plain"),
            ("application/json", "é".encode(), "application/json"),
        ],
    )
    def test_a_text_says_that_it_is_utf_8(self, kind: str | None, data: bytes, written: str) -> None:
        (found,) = read_attachments([Attachment(content=list(data), filename="a.txt", content_type=kind)])
        assert (found.content_type, found.data) == (written, data)

    def test_the_older_name_of_the_content_id(self) -> None:
        (found,) = read_attachments([Attachment(content="Zg==", filename="a.png", inline_content_id="logo")])
        assert found.content_id == "logo"


class TestIdempotency:
    who = Caller(uuid7(), uuid7(), "full_access", None)

    def hash(self, raw: bytes, **changes: Any) -> bytes:
        found = keyed(request(idempotency_key="k", **changes), self.who, raw)
        assert isinstance(found, Keyed)
        return found.request_hash

    def test_what_makes_a_request_the_same(self) -> None:
        raw = b'{"a": 1, "b": [2, 3]}'
        assert self.hash(raw) == self.hash(b'{"b":[2,3],"a":1}')
        different = [
            self.hash(b'{"a": 1, "b": [3, 2]}'),
            self.hash(raw, path="/emails/batch"),
            self.hash(raw, x_batch_validation="permissive"),
            self.hash(b"no json"),
        ]
        assert len({self.hash(raw), *different}) == 5

    def test_without_a_key_nothing_is_hashed(self) -> None:
        assert keyed(request(), self.who, b"{}") is None

    @pytest.mark.parametrize("key", ["", "x" * 257])
    def test_keys_have_a_length(self, key: str) -> None:
        with pytest.raises(ApiError) as caught:
            keyed(request(idempotency_key=key), self.who, b"{}")
        assert (caught.value.status, caught.value.name) == (400, "invalid_idempotency_key")

    def test_what_the_acceptor_says_becomes_the_answer(self) -> None:
        assert settled(Accepted(), b"new") == b"new"
        assert settled(Replay(b"old"), b"new") == b"old"
        for acceptance, name in (
            (KeyReused(), "invalid_idempotent_request"),
            (KeyInFlight(), "concurrent_idempotent_requests"),
        ):
            with pytest.raises(ApiError) as caught:
                settled(acceptance, b"new")
            assert (caught.value.status, caught.value.name) == (409, name)
