"""STARTTLS as the courier does it: verified if it can be, else unverified, else plain, and what it remembers."""

import ssl
from pathlib import Path

import pytest

from mta.model import Host, Phase, Route, Trouble
from tests.integration.mta.couriers import FIRST, courier, mail
from tests.smtp_sink import Certificates, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

TO = Route("x.test", "other", (Host("mx0.test", "127.0.0.1", 10),))


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    """A CA, and a certificate of mx0.test."""
    return Certificates("mx0.test")


@pytest.fixture
def ca_file(certificates: Certificates, tmp_path: Path) -> Path:
    """The CA as an operator would give it."""
    path = tmp_path / "ca.pem"
    certificates.ca.cert_pem.write_to_path(str(path))
    return path


@pytest.mark.parametrize(
    ("kind", "host", "expected", "connections"),
    [
        ("good", "mx0.test", "TLSv1.3 verified", 1),
        ("good", "other.test", "TLSv1.3 unverified", 2),
        ("self-signed", "mx0.test", "TLSv1.3 unverified", 2),
        ("declined", "mx0.test", "none", 1),
        ("garbage", "mx0.test", "none (handshake failed)", 2),
        ("drop", "mx0.test", "none (handshake failed)", 2),
        ("silence", "mx0.test", "none (handshake failed)", 2),
        ("injected", "mx0.test", "none (handshake failed)", 2),
    ],
)
async def test_each_kind_of_server_gets_the_mail(
    certificates: Certificates, ca_file: Path, kind: str, host: str, expected: str, connections: int
) -> None:
    to = Route("x.test", "other", (Host(host, "127.0.0.1", 10),))
    async with SmtpSink(offer=Offer(starttls=kind), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            for expected_reuse in range(3):
                delivery = await out.deliver(to, FIRST, mail())
                assert (delivery.response.code, delivery.tls) == (250, expected)
                assert delivery.reuse_count == expected_reuse
        assert sink.journal.connections == connections
        assert [bool(got.tls) for got in sink.mails] == [expected.startswith("TLS")] * 3


@pytest.mark.parametrize(("kind", "starttls_said"), [("self-signed", 3), ("garbage", 1)])
async def test_the_next_session_knows(certificates: Certificates, kind: str, starttls_said: int) -> None:
    async with SmtpSink(offer=Offer(starttls=kind), certificates=certificates) as sink:
        async with courier(sink.port, messages_per_connection=1) as out:
            for _ in range(2):
                assert (await out.deliver(TO, FIRST, mail())).response.code == 250
        assert sink.journal.connections == 3
        assert [line for _, line in sink.journal.commands].count("STARTTLS") == starttls_said


async def test_a_tls_1_2_server_is_called_so(certificates: Certificates, ca_file: Path) -> None:
    own = Certificates("mx0.test")
    own.good.maximum_version = ssl.TLSVersion.TLSv1_2
    own.ca.cert_pem.write_to_path(str(ca_file))
    async with SmtpSink(offer=Offer(starttls="good"), certificates=own) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            assert (await out.deliver(TO, FIRST, mail())).tls == "TLSv1.2 verified"
        assert [got.tls for got in sink.mails] == ["TLSv1.2"]


async def test_a_server_that_dies_after_the_handshake_is_reached_in_plain_text(
    certificates: Certificates, ca_file: Path
) -> None:
    class DiesInTls(SmtpSink):
        def rule_for(self, phase: str, local: str, source: str, ehlo: str) -> Rule | None:
            told = [line for _, line in self.journal.commands]
            if phase == "ehlo" and told[-2:] == ["STARTTLS", "EHLO out1.test"]:
                return Rule("ehlo", "drop")
            return super().rule_for(phase, local, source, ehlo)

    async with DiesInTls(offer=Offer(starttls="good"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            delivery = await out.deliver(TO, FIRST, mail())
        assert (delivery.response.code, delivery.tls) == (250, "none (handshake failed)")
        assert sink.journal.connections == 2


@pytest.mark.parametrize("size", [10, 100_000, 3_000_000])
async def test_bodies_of_all_sizes_through_tls(certificates: Certificates, ca_file: Path, size: int) -> None:
    data = b"x" * size + b"\r\n"
    async with SmtpSink(offer=Offer(starttls="good"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            delivery = await out.deliver(TO, FIRST, mail(data=data))
        assert (delivery.response.code, delivery.tls) == (250, "TLSv1.3 verified")
        assert sink.mails[0].data == data


async def test_troubles_inside_tls_are_those_of_their_phase(certificates: Certificates, ca_file: Path) -> None:
    async with SmtpSink(offer=Offer(starttls="good"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            unknown = await out.deliver(TO, FIRST, mail("dot-drop@x.test"))
            assert (unknown.response.phase, unknown.response.trouble) == (Phase.DOT, Trouble.CLOSED)
            assert unknown.tls == "TLSv1.3 verified"
            assert (await out.deliver(TO, FIRST, mail())).tls == "TLSv1.3 verified"
        assert sink.journal.connections == 2
