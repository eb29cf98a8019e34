"""`/addresses/check` against a DNS server of the test's own."""

from collections.abc import AsyncIterator

import httpx
import pytest

from core.settings import Settings
from tests.dns_table import DnsTable

RECORDS: dict[tuple[str, str], list[str] | int | None] = {
    ("good.example", "MX"): ["10 mx.good.example."],
    ("never.example", "MX"): ["0 ."],
    ("parked.example", "A"): ["192.0.2.1"],
    ("mailinator.com", "MX"): ["10 mx.mailinator.com."],
    ("broken.example", "MX"): 2,
}


@pytest.fixture
async def dns() -> AsyncIterator[DnsTable]:
    async with DnsTable(dict(RECORDS)) as table:
        yield table


@pytest.fixture
def settings(settings: Settings, dns: DnsTable) -> Settings:
    return settings.model_copy(update={"dns_servers": (dns.address,)})


async def test_addresses_are_checked(client: httpx.AsyncClient) -> None:
    await client.post("/suppressions", json={"email": "Left@good.example", "scope": "marketing"})
    texts = [
        "ann@good.example", "info@good.example", "left@good.example", "a@never.example", "a@parked.example",
        "a@broken.example", "a@outlok.com", "a@mailinator.com", "nobody",
    ]  # fmt: skip
    answer = await client.post("/addresses/check", json={"addresses": texts})
    found = answer.json()["data"]

    assert answer.status_code == 200, answer.text
    assert [one["given"] for one in found] == texts
    assert [[problem["code"] for problem in one["problems"]] for one in found] == [
        [], ["role"], ["suppressed"], ["null_mx"], ["no_mx"], [], ["no_domain", "typo"], ["disposable"], ["syntax"],
    ]  # fmt: skip
    assert [one["deliverable"] for one in found] == [True, True, True, False, False, None, False, True, False]
    assert found[6]["suggestion"] == "a@outlook.com"
    assert found[8]["email"] is None


async def test_odd_requests_are_refused(client: httpx.AsyncClient) -> None:
    for body in ({}, {"addresses": []}, {"addresses": ["x"] * 101}, {"addresses": [7]}, {"addresses": "a@b.example"}):
        assert (await client.post("/addresses/check", json=body)).status_code == 422, body
