"""STARTTLS as the courier does it: verified if it can be, else unverified, else plain, and what it remembers."""

import ssl
from pathlib import Path

import pytest

from mta.model import Host, Phase, Route, Trouble
from tests.integration.mta.couriers import FIRST, courier, mail
from tests.smtp_sink import DROP, SILENCE, Certificates, Offer, Rule, SmtpSink

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


@pytest.mark.parametrize(
    ("reply", "code", "trouble"),
    [("421 4.3.2 busy", 421, None), (DROP, 0, Trouble.CLOSED), (SILENCE, 0, Trouble.TIMEOUT)],
)
async def test_a_connection_that_ends_at_starttls_says_nothing_about_tls(
    certificates: Certificates, ca_file: Path, reply: str, code: int, trouble: Trouble | None
) -> None:
    rule = Rule("starttls", reply, times=1)
    async with SmtpSink(rule, offer=Offer(starttls="good"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            ended = (await out.deliver(TO, FIRST, mail())).response
            assert (ended.phase, ended.code, ended.trouble) == (Phase.STARTTLS, code, trouble)
            assert (await out.deliver(TO, FIRST, mail())).tls == "TLSv1.3 verified"
        assert [bool(got.tls) for got in sink.mails] == [True]


async def test_a_server_with_trouble_in_the_handshake_and_after_it_has_no_broken_tls(
    certificates: Certificates, ca_file: Path
) -> None:
    """It hung up in the handshake, and took no plain text either: it was going down."""
    rules = Rule("connect", "220 hi", times=1), Rule("connect", "421 4.3.2 going down", times=1)
    async with (
        SmtpSink(*rules, offer=Offer(starttls="drop"), certificates=certificates) as sink,
        courier(sink.port, ca_file=ca_file) as out,
    ):
        assert (await out.deliver(TO, FIRST, mail())).response.code == 421
        sink.offer = Offer(starttls="good")
        assert (await out.deliver(TO, FIRST, mail())).tls == "TLSv1.3 verified"


class WantsTls(SmtpSink):
    """Takes no mail in plain text."""

    reply = "530 5.7.0 Must issue a STARTTLS command first"

    def rule_for(self, phase: str, local: str, source: str, ehlo: str) -> Rule | None:
        number = self.journal.commands[-1][0] if self.journal.commands else 0
        encrypted = (number, "STARTTLS") in self.journal.commands
        return Rule("mail", self.reply) if phase == "mail" and not encrypted else None


@pytest.mark.parametrize("reply", [WantsTls.reply, "451 5.7.3 STARTTLS is required to send mail", "550 TLS required"])
async def test_who_demands_tls_gets_the_same_mail_with_it_although_it_was_broken_before(
    certificates: Certificates, ca_file: Path, reply: str
) -> None:
    async with SmtpSink(offer=Offer(starttls="garbage"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file, messages_per_connection=1) as out:
            assert (await out.deliver(TO, FIRST, mail())).tls == "none (handshake failed)"
            sink.offer, sink.__class__ = Offer(starttls="good"), WantsTls
            sink.reply = reply  # type: ignore[attr-defined]
            deliveries = [await out.deliver(TO, FIRST, mail()) for _ in range(2)]
        assert [(one.response.code, one.tls) for one in deliveries] == [(250, "TLSv1.3 verified")] * 2
        assert sink.journal.connections == 2 + 2 + 1


async def test_who_demands_tls_and_cannot_speak_it_makes_the_mail_wait(
    certificates: Certificates, ca_file: Path
) -> None:
    async with WantsTls(offer=Offer(starttls="garbage"), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            for kind, why in (("garbage", "no handshake"), ("declined", "declines"), ("", "offers no")):
                sink.offer = Offer(starttls=kind)
                response = (await out.deliver(TO, FIRST, mail())).response
                assert (response.phase, response.trouble) == (Phase.STARTTLS, Trouble.TLS)
                assert f"mx0.test {why}" in response.text
            sink.offer = Offer(starttls="good")
            assert (await out.deliver(TO, FIRST, mail())).tls == "TLSv1.3 verified"
        assert len(sink.mails) == 1


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
