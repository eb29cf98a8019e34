"""One request: where it may go at the moment it goes there, whom it trusts, and what it reads of an answer."""

import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import web
from dns.rdata import from_text
from dns.rdataclass import IN
from dns.rdatatype import AAAA, RdataType

from mta.dns_client import Answer as DnsAnswer
from mta.dns_client import DnsClient, Outcome
from mta.guard import networks
from tests.integration.webhooks.receiver import Receiver, receiving
from webhooks.health import Answer
from webhooks.sending import RESPONSE_BYTES, Sender
from webhooks.targets import Target


class Names(DnsClient):
    """Gives these addresses for every name; several lists are given one after the other."""

    def __init__(self, *turns: list[str]) -> None:
        super().__init__(["127.0.0.1:1"])
        self._turns = list(turns)

    async def ask(self, name: str, kind: RdataType) -> DnsAnswer:
        turn = self._turns[0] if kind is AAAA or len(self._turns) == 1 else self._turns.pop(0)
        records = [from_text(IN, kind, text) for text in turn if (":" in text) == (kind is AAAA)]
        return DnsAnswer(Outcome.FOUND if records else Outcome.NO_DATA, tuple(records), time.monotonic())


@asynccontextmanager
async def sender(
    names: DnsClient, own: tuple[str, ...] = (), tls: ssl.SSLContext | None = None
) -> AsyncIterator[Sender]:
    one = Sender(names, networks(own), tls)
    yield one
    await one.close()


async def post(one: Sender, target: Target) -> Answer:
    return await one.post(target, "webhook-id: 1\r\n", b"{}")


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "fd00::1"]
)
async def test_a_name_that_leads_inside_is_not_followed(receiver: Receiver, address: str) -> None:
    async with sender(Names([address])) as one:
        answer = await post(one, Target("https", "shop.example", receiver.port, "/"))
    assert (answer.status, receiver.got) == (None, [])
    assert "not a public address" in answer.error


async def test_a_name_that_changes_its_mind_is_judged_each_time(receiver: Receiver) -> None:
    """Rebinding: allowed once, it leads elsewhere the next time."""
    async with sender(Names(["127.0.0.1"], ["10.0.0.1"]), ("127.0.0.0/8",)) as one:
        target = Target("http", "shop.example", receiver.port, "/")
        receiver.says(200, Connection="close")
        assert (await post(one, target)).good
        answer = await post(one, target)
    assert "10.0.0.1" in answer.error
    assert len(receiver.got) == 1


@pytest.mark.parametrize(("scheme", "host"), [("https", "127.0.0.1"), ("http", "127.0.0.1"), ("https", "::1")])
async def test_an_address_written_out_is_judged_too(receiver: Receiver, scheme: str, host: str) -> None:
    async with sender(Names([])) as one:
        answer = await post(one, Target(scheme, host, receiver.port, "/"))
    assert "is not" in answer.error
    assert receiver.got == []


async def test_public_addresses_are_not_spoken_to_in_the_clear() -> None:
    async with sender(Names(["8.8.8.8"]), ("127.0.0.0/8",)) as one:
        answer = await post(one, Target("http", "shop.example", 80, "/"))
    assert "POSTLANE_WEBHOOK_NETWORKS" in answer.error


async def test_of_several_addresses_only_those_allowed_are_tried(receiver: Receiver) -> None:
    async with sender(Names(["10.0.0.1", "127.0.0.1", "::1"]), ("127.0.0.0/8",)) as one:
        assert (await post(one, Target("http", "shop.example", receiver.port, "/"))).good


async def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    async with receiving() as proxy:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        async with sender(Names(["127.0.0.1"]), ("127.0.0.0/8",)) as one:
            assert (await post(one, Target("http", "shop.example", receiver.port, "/"))).good
        assert proxy.got == []


async def test_only_the_beginning_of_an_answer_is_read(receiver: Receiver) -> None:
    receiver.answer = lambda _: web.Response(status=500, body=b"\x00\xff" + b"x" * 5_000_000)
    async with sender(Names([]), ("127.0.0.0/8",)) as one:
        answer = await post(one, Target("http", "127.0.0.1", receiver.port, "/"))
    assert (answer.status, len(answer.text)) == (500, RESPONSE_BYTES - 1)
    assert "\x00" not in answer.text


@pytest.mark.parametrize(("names", "said"), [([], "has no address"), (["127.0.0.1"], "connect")])
async def test_why_there_was_no_answer_is_said_in_words(names: list[str], said: str) -> None:
    async with sender(Names(names), ("127.0.0.0/8",)) as one:
        answer = await post(one, Target("http", "shop.example", 1, "/"))
    assert answer.status is None
    assert said in answer.error.lower()


@pytest.mark.parametrize(("host", "good"), [("shop.example", True), ("other.example", False)])
async def test_the_certificate_must_be_of_the_name(host: str, good: bool) -> None:
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("shop.example").configure_cert(server)
    authority.configure_trust(client)
    async with receiving(server) as secure:
        async with sender(Names(["127.0.0.1"]), ("127.0.0.0/8",), client) as one:
            answer = await post(one, Target("https", host, secure.port, "/"))
        assert (answer.good, len(secure.got)) == (good, int(good))
    assert good or "certificate is not good" in answer.error


async def test_a_certificate_of_nobody_we_know_is_refused() -> None:
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("shop.example").configure_cert(server)
    async with receiving(server) as secure, sender(Names(["127.0.0.1"]), ("127.0.0.0/8",)) as one:
        answer = await post(one, Target("https", "shop.example", secure.port, "/"))
    assert "certificate is not good" in answer.error
