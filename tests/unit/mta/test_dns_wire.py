"""Answers of name servers as bytes: what is read of them is what dnspython reads, and nothing else is heard."""

import asyncio
import socket
import time

import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from dns.rdatatype import AAAA, MX, TXT, A, RdataType
from hypothesis import given
from hypothesis import strategies as st

from mta.dns_client import DnsClient, DnsSettings, Outcome
from mta.dns_wire import Found, Question

NAME = "x.test"
TEXTS = {
    MX: ["10 m.x.test.", "10 other.example.", "20 x.test."],
    A: ["8.8.0.1", "8.8.0.2"],
    AAAA: ["2001:db8::1", "2001:db8::2"],
    TXT: ['"v=spf1 -all"', '"a" "b"'],
}


def response(question: Question, kind: RdataType, texts: list[str], ttl: int, alias: bool) -> bytes:
    """As a recursive server writes it."""
    made = dns.message.make_response(dns.message.from_wire(question.wire()), recursion_available=True)
    owner = f"alias.{NAME}." if alias else f"{NAME}."
    if alias:
        made.answer.append(dns.rrset.from_text(f"{NAME}.", 77, "IN", "CNAME", owner))
    if texts:
        made.answer.append(dns.rrset.from_text(owner, ttl, "IN", dns.rdatatype.to_text(kind), *texts))
    made.authority.append(dns.rrset.from_text("test.", 600, "IN", "NS", "ns.test."))
    return made.to_wire()


kinds = st.sampled_from(sorted(TEXTS))
ttls = st.sampled_from([0, 1, 300, 2**31 - 1])


@given(kinds, st.data(), ttls, st.booleans(), st.booleans())
def test_an_answer_is_read_as_dnspython_reads_it(
    kind: RdataType, data: st.DataObject, ttl: int, alias: bool, edns: bool
) -> None:
    question = Question(NAME, kind)
    question.edns = edns
    texts = data.draw(st.lists(st.sampled_from(TEXTS[kind]), unique=True))
    wire = response(question, kind, texts, ttl, alias)
    read = question.read(wire)
    chain = dns.message.from_wire(wire).resolve_chaining()  # type: ignore[attr-defined]  # a query's, not a message's
    if texts and not alias:
        assert read == Found(tuple(chain.answer), chain.minimum_ttl)
    else:
        assert isinstance(read, dns.message.Message)


@given(kinds, st.data())
def test_damaged_answers_are_read_as_dnspython_reads_them_or_not_at_all(kind: RdataType, data: st.DataObject) -> None:
    question = Question(NAME, kind)
    wire = bytearray(response(question, kind, TEXTS[kind], 300, alias=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 4))):
        wire[data.draw(st.integers(0, len(wire) - 1))] = data.draw(st.integers(0, 255))
    damaged = bytes(wire[: data.draw(st.integers(0, len(wire)))]) if data.draw(st.booleans()) else bytes(wire)
    try:
        read = question.read(damaged)
    except dns.message.Truncated:
        return
    if isinstance(read, Found):
        try:
            message = dns.message.from_wire(damaged)
        except dns.exception.DNSException:
            return  # it is behind the answer, where nobody looks
        (answer,) = message.answer
        assert (set(answer), answer.ttl) == (set(read.records), read.ttl)


def test_a_record_that_comes_twice_is_one() -> None:
    question = Question(NAME, A)
    wire = response(question, A, TEXTS[A], 300, alias=False)
    assert isinstance(read := question.read(wire.replace(bytes([8, 8, 0, 2]), bytes([8, 8, 0, 1]))), Found)
    assert [record.to_text() for record in read.records] == ["8.8.0.1"]


def test_what_answers_another_question_is_not_heard() -> None:
    question = Question(NAME, A)
    right = response(question, A, TEXTS[A], 300, alias=False)
    other_id = bytes([right[0] ^ 1]) + right[1:]
    other_name = right.replace(b"\x01x\x04test", b"\x01y\x04test")
    other_kind = response(Question(NAME, MX), MX, TEXTS[MX], 300, alias=False)
    question_itself = question.wire()
    assert [question.read(wire) for wire in (other_id, other_name, right[:2] + other_kind[2:], question_itself)] == (
        [None] * 4
    )
    assert isinstance(question.read(right), Found)


def test_a_name_that_comes_back_in_other_letters_is_the_same() -> None:
    question = Question(NAME, A)
    read = question.read(response(question, A, TEXTS[A], 300, alias=False).replace(b"\x01x\x04test", b"\x01X\x04tEsT"))
    assert isinstance(read, dns.message.QueryMessage)
    assert len(read.answer[0]) == len(TEXTS[A])


@pytest.mark.asyncio
@pytest.mark.timeout(20)
async def test_a_server_that_is_being_started_anew_is_waited_for_and_found_by_the_next_round() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as place:
        place.bind(("127.0.0.1", 0))
        address = place.getsockname()
    client = DnsClient([f"127.0.0.1:{address[1]}"], DnsSettings(timeout=0.2, rounds=2))
    started = time.monotonic()
    asking = asyncio.create_task(client.ask(NAME, A))
    await asyncio.sleep(0.1)
    assert not asking.done()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as back:
        back.setblocking(False)
        back.bind(address)
        query, asker = await asyncio.get_running_loop().sock_recvfrom(back, 2048)
        made = dns.message.make_response(dns.message.from_wire(query), recursion_available=True)
        made.answer.append(dns.rrset.from_text(f"{NAME}.", 300, "IN", "A", "8.8.0.1"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            stranger.sendto(made.to_wire().replace(bytes([8, 8, 0, 1]), bytes([9, 9, 9, 9])), asker)
        back.sendto(made.to_wire(), asker)
        answer = await asking
    assert (answer.outcome, [record.to_text() for record in answer.records]) == (Outcome.FOUND, ["8.8.0.1"])
    assert time.monotonic() - started >= 0.2


@pytest.mark.asyncio
@pytest.mark.timeout(20)
async def test_a_stream_of_answers_to_other_questions_stops_neither_the_clock_nor_anybody_else() -> None:
    class Answered(Question):
        """Each time that one is read the next is there."""

        def read(self, wire: bytes) -> None:
            if time.monotonic() < started + 2:
                server.sendto(b"another", asker)

    question = Answered(NAME, A)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        started = time.monotonic()
        asking = asyncio.create_task(question.ask(server.getsockname(), 0.2))
        _, asker = await asyncio.get_running_loop().sock_recvfrom(server, 2048)
        server.sendto(b"another", asker)
        with pytest.raises(TimeoutError):
            await asking
    assert time.monotonic() - started < 1
