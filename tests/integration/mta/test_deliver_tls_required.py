"""Providers that take nothing in plain text: encrypted or not at all, and the mail waits."""

from pathlib import Path

import pytest

from mta.deliver import Delivery
from mta.model import Host, Phase, Response, Route, Trouble
from tests.integration.mta.couriers import FIRST, courier, mail
from tests.smtp_sink import Certificates, Offer, Rule, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(30)]

STRICT = Route("strict.test", "strict", (Host("mx.strict.test", "127.0.0.1", 10),))
EASY = Route("easy.test", "other", (Host("mx.easy.test", "127.0.0.1", 10),))


@pytest.fixture(scope="module")
def certificates() -> Certificates:
    """A CA, and a certificate of mx.strict.test."""
    return Certificates("mx.strict.test")


@pytest.fixture
def ca_file(certificates: Certificates, tmp_path: Path) -> Path:
    """The CA as an operator would give it."""
    path = tmp_path / "ca.pem"
    certificates.ca.cert_pem.write_to_path(str(path))
    return path


def waits(delivery: Delivery) -> str:
    """Why no session came about, checked to be a trouble with TLS and no word of the server."""
    assert (delivery.response.phase, delivery.response.trouble) == (Phase.STARTTLS, Trouble.TLS)
    assert (delivery.response.code, delivery.tls) == (0, "")
    return delivery.response.text


@pytest.mark.parametrize(
    ("kind", "tls", "connections"),
    [("good", "TLSv1.3 verified", 1), ("self-signed", "TLSv1.3 unverified", 2)],
)
async def test_mail_goes_encrypted_with_whatever_certificate(
    certificates: Certificates, ca_file: Path, kind: str, tls: str, connections: int
) -> None:
    async with SmtpSink(offer=Offer(starttls=kind), certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            deliveries = [await out.deliver(STRICT, FIRST, mail()) for _ in range(3)]
        assert [(one.response.code, one.tls) for one in deliveries] == [(250, tls)] * 3
        assert sink.journal.connections == connections


@pytest.mark.parametrize(
    ("offer", "why"),
    [
        (Offer(), "offers no STARTTLS"),
        (Offer(starttls="declined"), "declines STARTTLS: "),
        (Offer(starttls="garbage"), "no handshake: "),
        (Offer(starttls="drop"), "no handshake: "),
        (Offer(starttls="silence"), "no handshake: "),
        (Offer(starttls="injected"), "no handshake: data after the answer to STARTTLS"),
    ],
)
async def test_without_tls_nothing_is_sent_not_even_the_second_time(
    certificates: Certificates, ca_file: Path, offer: Offer, why: str
) -> None:
    async with SmtpSink(offer=offer, certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            for _ in range(2):
                told = waits(await out.deliver(STRICT, FIRST, mail()))
                assert told.startswith(f"TLS is required, and mx.strict.test {why}")
            sink.offer = Offer(starttls="good")
            healed = await out.deliver(STRICT, FIRST, mail())
        assert (healed.response.code, healed.tls) == (250, "TLSv1.3 verified")
        assert [bool(got.tls) for got in sink.mails] == [True]
        assert sink.journal.connections == 3


async def test_a_server_that_dies_after_the_handshake_is_not_asked_in_plain_text(
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
            told = waits(await out.deliver(STRICT, FIRST, mail()))
        assert told == "TLS is required, and mx.strict.test ended after the handshake: closed"
        assert sink.journal.connections == 1


async def test_the_next_server_may_have_tls(certificates: Certificates, ca_file: Path) -> None:
    hosts = (Host("mx0.strict.test", "127.0.0.1", 10), Host("mx1.strict.test", "127.0.0.2", 20))
    encrypts = Offer(starttls="self-signed")
    async with (
        SmtpSink() as plain,
        SmtpSink(offer=encrypts, certificates=certificates, address="127.0.0.2", port=plain.port) as good,
        courier(plain.port, ca_file=ca_file) as out,
    ):
        delivery = await out.deliver(Route("strict.test", "strict", hosts), FIRST, mail())
    assert (delivery.response.code, delivery.host_name) == (250, "mx1.strict.test")
    assert (len(plain.mails), len(good.mails)) == (0, 1)


async def test_a_plain_session_of_another_name_of_the_address_is_not_used(
    certificates: Certificates, ca_file: Path
) -> None:
    async with SmtpSink(certificates=certificates) as sink:
        async with courier(sink.port, ca_file=ca_file) as out:
            assert (await out.deliver(EASY, FIRST, mail())).response == Response(Phase.DOT, 250, "2.0.0", "taken")
            waits(await out.deliver(STRICT, FIRST, mail()))
            await out.deliver(EASY, FIRST, mail())
            sink.offer = Offer(starttls="good")
            strict = await out.deliver(STRICT, FIRST, mail())
            easy = await out.deliver(EASY, FIRST, mail())
        assert (strict.response.code, strict.tls, strict.reuse_count) == (250, "TLSv1.3 verified", 0)
        assert (easy.tls, easy.reuse_count) == ("TLSv1.3 verified", 1)
        assert [bool(got.tls) for got in sink.mails] == [False, False, True, True]
