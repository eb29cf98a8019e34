"""Relay egress against real servers that other people wrote: aiosmtpd with AUTH, by STARTTLS and by TLS."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import trustme
from aiosmtpd.smtp import SMTP, Envelope, Session

from mta.deliver import Courier, Delivery
from mta.guard import PUBLIC, Guard, networks
from mta.model import EgressIp, Host, Phase, RelayLimits, Route, Trouble
from tests.integration.mta.couriers import BODY, courier, mail
from tests.relay import LOGIN, Relay, serving

ROUTE = Route("x.test", "gmail", (Host("mx.x.test", "127.0.0.9", 10),), "gmail")
LIMITS = RelayLimits(connections=2)
HERE = Guard(networks(["127.0.0.0/8"]))


@dataclass(frozen=True)
class Sender:
    """A courier and the relay it may use."""

    courier: Courier
    port: int
    scheme: str

    async def send(self, to: str = "bob@x.test", data: bytes = BODY, login: str = LOGIN) -> Delivery:
        via = f"{self.scheme}://{login}@localhost:{self.port}"
        return await self.courier.deliver(ROUTE, EgressIp("vendor", "", "out.test", via, LIMITS), mail(to, data))


@asynccontextmanager
async def between(
    relay: Relay, certificate: trustme.LeafCert, scheme: str, ca_file: Path, where: Guard = HERE
) -> AsyncIterator[Sender]:
    """A server for this scheme and a courier that trusts `ca_file`; the courier leaves first."""
    async with serving(relay, certificate, scheme) as port, courier(25, ca_file=ca_file, relays_at=where) as made:
        yield Sender(made, port, scheme)


@pytest.fixture
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(tmp_path: Path, ca: trustme.CA) -> Path:
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@pytest.fixture
def good(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("localhost")


@pytest.mark.parametrize("scheme", ["smtp+tls", "smtps"])
async def test_mail_goes_out_through_it_and_the_connection_is_kept(
    scheme: str, good: trustme.LeafCert, ca_file: Path
) -> None:
    relay = Relay()
    async with between(relay, good, scheme, ca_file) as sender:
        first = await sender.send(data=b"Subject: hi\r\n\r\n.dot\r\n")
        second = await sender.send("eve@x.test")
    assert (first.response.code, first.response.enhanced, first.response.text) == (250, "2.0.0", "Ok: queued as 4F1")
    assert first.host_name == "localhost"
    assert first.tls.endswith("verified")
    assert second.reuse_count == 1
    assert [envelope.rcpt_tos for envelope in relay.taken] == [["bob@x.test"], ["eve@x.test"]]
    assert relay.taken[0].content == b"Subject: hi\r\n\r\n.dot\r\n"
    assert relay.passwords == 1


@pytest.mark.parametrize(
    ("said", "code", "usable"),
    [
        ("550 5.1.1 no such user", 550, True),
        ("451 4.7.1 slow down", 451, True),
        ("421 4.7.0 too many messages", 421, False),
    ],
)
async def test_what_it_says_of_a_recipient_is_the_answer(
    said: str, code: int, usable: bool, good: trustme.LeafCert, ca_file: Path
) -> None:
    relay = Relay()
    relay.rcpt = said
    async with between(relay, good, "smtp+tls", ca_file) as sender:
        refused = await sender.send()
        relay.rcpt = "250 OK"
        taken = await sender.send()
    assert (refused.response.phase, refused.response.code) == (Phase.RCPT, code)
    assert taken.response.code == 250
    assert taken.reuse_count == (1 if usable else 0)


@pytest.mark.parametrize("said", ["530 5.7.0 Authentication required", "554 5.7.1 Relaying denied"])
async def test_a_relay_that_does_not_want_us_is_to_blame_and_not_the_mail(
    said: str, good: trustme.LeafCert, ca_file: Path
) -> None:
    relay = Relay()
    relay.rcpt = said
    async with between(relay, good, "smtp+tls", ca_file) as sender:
        refused = await sender.send()
    assert refused.response.trouble is Trouble.PROXY
    assert said in refused.response.text


async def test_a_wrong_password_makes_the_relay_unusable_and_is_not_shown(
    good: trustme.LeafCert, ca_file: Path
) -> None:
    relay = Relay()
    async with between(relay, good, "smtp+tls", ca_file) as sender:
        refused = await sender.send(login="shop:secret")
    assert (refused.response.phase, refused.response.trouble) == (Phase.CONNECT, Trouble.PROXY)
    assert "refuses the login: 535" in refused.response.text
    assert "secret" not in refused.response.text


@pytest.mark.parametrize("scheme", ["smtp+tls", "smtps"])
async def test_no_password_for_a_server_that_cannot_prove_its_name(scheme: str, ca: trustme.CA, ca_file: Path) -> None:
    relay = Relay()
    for certificate in (trustme.CA().issue_cert("localhost"), ca.issue_cert("other.test")):
        async with between(relay, certificate, scheme, ca_file) as sender:
            refused = await sender.send()
        assert refused.response.trouble is Trouble.PROXY
    assert relay.passwords == 0


async def test_no_password_without_tls(good: trustme.LeafCert, ca_file: Path) -> None:
    relay = Relay()
    async with between(relay, good, "smtp", ca_file) as sender:
        refused = await replace(sender, scheme="smtp+tls").send()
    assert refused.response.trouble is Trouble.PROXY
    assert "STARTTLS" in refused.response.text
    assert relay.passwords == 0


async def test_one_that_is_not_there_is_unusable(good: trustme.LeafCert, ca_file: Path) -> None:
    async with between(Relay(), good, "smtp+tls", ca_file) as sender:
        refused = await replace(sender, port=9).send()
    assert refused.response.trouble is Trouble.PROXY
    assert refused.response.text.startswith("relay smtp+tls://shop:***@localhost:9:")


async def test_silence_after_the_final_dot_leaves_open_whether_it_was_taken(
    good: trustme.LeafCert, ca_file: Path
) -> None:
    class Silent(Relay):
        async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
            await asyncio.sleep(1)
            return "250 late"

    async with between(Silent(), good, "smtp+tls", ca_file) as sender:
        unknown = await sender.send()
    assert (unknown.response.phase, unknown.response.trouble) == (Phase.DOT, Trouble.TIMEOUT)


async def test_a_relay_behind_us_is_not_spoken_to(good: trustme.LeafCert, ca_file: Path) -> None:
    relay = Relay()
    async with between(relay, good, "smtp+tls", ca_file, PUBLIC) as sender:
        refused = await sender.send()
    assert (refused.response.phase, refused.response.trouble) == (Phase.CONNECT, Trouble.PROXY)
    assert "not a public address, nor in a network that POSTLANE_SERVER_NETWORKS names" in refused.response.text
    assert not relay.passwords


async def test_never_more_connections_than_its_owner_allows(good: trustme.LeafCert, ca_file: Path) -> None:
    relay = Relay()
    async with between(relay, good, "smtp+tls", ca_file) as sender:
        done = await asyncio.gather(*(sender.send() for _ in range(12)))
    assert {delivery.response.code for delivery in done} == {250}
    assert relay.passwords == LIMITS.connections


async def test_an_address_it_cannot_carry_stays_here(good: trustme.LeafCert, ca_file: Path) -> None:
    relay = Relay()
    async with between(relay, good, "smtp+tls", ca_file) as sender:
        refused = await sender.send("jürgen@x.test")
    assert refused.response.trouble is Trouble.NO_SMTPUTF8
    assert not relay.taken


@asynccontextmanager
async def saying(answers: dict[str, str]) -> AsyncIterator[tuple[int, list[bytes]]]:
    """A server without TLS that says these things, and else 250; its port, and the bodies that it took."""
    bodies: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 relay\r\n")
        while line := await reader.readline():
            answer = answers.get(line[:4].decode(), "250 ok")
            writer.write(answer.encode("latin-1") + b"\r\n")
            if line == b"DATA\r\n" and answer.startswith("354"):
                bodies.append(await reader.readuntil(b"\r\n.\r\n"))
                writer.write(answers.get("dot", "250 taken").encode("latin-1") + b"\r\n")
            if line == b"QUIT\r\n":
                break
        writer.close()

    server = await asyncio.start_server(converse, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1], bodies
    server.close()


@pytest.mark.parametrize(
    ("answers", "seen", "taken"),
    [
        ({"DATA": "250 ok"}, [(Phase.DATA, Trouble.PROTOCOL)] * 2, 0),
        ({"DATA": "354 go", "dot": "250 taken\r\n250 taken"}, [(Phase.DOT, None), (Phase.DATA, Trouble.PROTOCOL)], 1),
        ({"RCPT": "250 ok\r\n250 ok", "DATA": "354 go"}, [(Phase.DATA, Trouble.PROTOCOL)] * 2, 0),
        ({"DATA": "354 go", "dot": "354 again"}, [(Phase.DOT, Trouble.PROTOCOL)] * 2, 2),
        ({"MAIL": "354 go"}, [(Phase.MAIL, Trouble.PROTOCOL)] * 2, 0),
    ],
)
async def test_a_success_in_the_wrong_place_is_no_delivery(
    answers: dict[str, str], seen: list[tuple[Phase, Trouble | None]], taken: int
) -> None:
    async with saying(answers) as (port, bodies), courier(25, relays_at=HERE) as made:
        vendor = EgressIp("vendor", "", "out.test", f"smtp://127.0.0.1:{port}", LIMITS)
        done = [await made.deliver(ROUTE, vendor, mail()) for _ in seen]
    assert [(delivery.response.phase, delivery.response.trouble) for delivery in done] == seen
    assert len(bodies) == taken


@pytest.mark.parametrize(
    ("answers", "code", "text"),
    [
        ({"DATA": "354 go", "dot": "250 re\xe7u\0"}, 250, "re\ufffdu?"),
        ({"RCPT": "550-5.1.1 pas\r\n550 5.1.1 l\xe0"}, 550, "pas l\ufffd"),
        ({"RCPT": "550 Relaying denied \xe9\x1b[2J"}, 0, "relay smtp://127.0.0.1: 550 Relaying denied \ufffd?[2J"),
    ],
)
async def test_what_it_says_can_be_stored_and_shown_whatever_octets_it_has(
    answers: dict[str, str], code: int, text: str
) -> None:
    """Such a reply was a crash: mail that was taken counted as uncertain, and was sent again."""
    async with saying(answers) as (port, _), courier(25, relays_at=HERE) as made:
        vendor = EgressIp("vendor", "", "out.test", f"smtp://127.0.0.1:{port}", LIMITS)
        response = (await made.deliver(ROUTE, vendor, mail())).response
    assert (response.code, response.text.replace(f":{port}", "")) == (code, text)
