"""Who is told in benchmarks reads every request to its end, however it comes."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.receiver import _ANSWER, _Answering

_HEAD = b"POST / HTTP/1.1\r\nhost: a\r\n%b: %d\r\n%b\r\n"


class _Wire(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += data


def _request(body: bytes, name: bytes = b"content-length", after: bytes = b"") -> bytes:
    return _HEAD % (name, len(body), after) + body


REQUESTS = (
    _request(b"x" * 40),
    _request(b"\r\n\r\ncontent-length: 1000\r\n\r\n"),
    _request(b"", b"Content-Length"),
    _request(b"abc", b"CONTENT-LENGTH", b"x-other: 1\r\n"),
    b"POST / HTTP/1.1\r\nhost: a\r\n\r\n",
)


def _answers(*parts: bytes) -> int:
    wire, answering = _Wire(), _Answering()
    answering.connection_made(wire)
    for part in parts:
        answering.data_received(part)
    assert not answering._buffer
    assert wire.written == _ANSWER * (len(wire.written) // len(_ANSWER))
    return len(wire.written) // len(_ANSWER)


@pytest.mark.parametrize("request_", REQUESTS)
def test_a_request_is_answered_once_in_whatever_two_parts_it_comes(request_: bytes) -> None:
    for at in range(1, len(request_)):
        assert _answers(request_[:at], request_[at:]) == 1


@settings(max_examples=50)
@given(st.lists(st.sampled_from(REQUESTS), max_size=5).map(b"".join), st.sets(st.integers(1, 400)))
def test_requests_behind_each_other_are_answered_each(data: bytes, cuts: set[int]) -> None:
    edges = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    parts = [data[start:end] for start, end in pairwise(edges)]
    assert _answers(*parts) == data.count(b"POST / ")
