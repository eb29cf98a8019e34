"""`/segments`, `/audiences` and the policies of topics."""

from typing import Any

import httpx
import pytest
import resend

from tests.integration.api.account import Account
from tests.integration.api.conftest import Server

CONTACTS = "/contacts"


async def made(client: httpx.AsyncClient, path: str, **body: Any) -> str:
    answer = await client.post(path, json=body)
    assert answer.status_code == 201, answer.text
    identifier: str = answer.json()["id"]
    return identifier


@pytest.fixture
async def people(client: httpx.AsyncClient) -> None:
    """Three contacts, of whom two have a country."""
    await made(client, "/contact-properties", key="country", type="string")
    for name, values in (("ann", {"country": "DE"}), ("bob", {"country": "AT"}), ("eve", {})):
        await made(client, CONTACTS, email=f"{name}@example.com", first_name=name, properties=values)


async def test_a_segment_with_a_filter_from_first_to_last(client: httpx.AsyncClient, people: None) -> None:
    segment = await made(client, "/segments", name=" Germans ", filter='country = "DE" or first_name = "eve"')
    shown = (await client.get(f"/segments/{segment}")).json()
    assert (shown["object"], shown["name"]) == ("segment", "Germans")
    assert shown["filter_text"] == 'country = "DE" or first_name = "eve"'
    assert shown["filter"]["rules"][0] == {
        "type": "rule", "field": "properties.country", "operator": "eq", "value": "DE",
    }  # fmt: skip
    assert (await client.get(f"/segments/{segment}/count")).json()["count"] == 2
    inside = (await client.get(f"/segments/{segment}/contacts")).json()["data"]
    assert [one["email"] for one in inside] == ["eve@example.com", "ann@example.com"]

    changed = await client.patch(f"/segments/{segment}", json={"id": segment, "filter": shown["filter"]["rules"][0]})
    assert changed.json() == {"object": "segment", "id": segment}
    assert (await client.get(f"/segments/{segment}/count")).json()["count"] == 1
    assert [one["name"] for one in (await client.get("/segments")).json()["data"]] == ["Germans"]
    assert (await client.delete(f"/segments/{segment}")).json()["deleted"] is True
    assert (await client.get(f"/segments/{segment}")).status_code == 404


async def test_a_filter_is_tried_before_it_is_stored(client: httpx.AsyncClient, people: None) -> None:
    found = (await client.post("/segments/preview", json={"filter": "country is set", "limit": 1})).json()

    assert (found["count"], [one["email"] for one in found["data"]]) == (2, ["bob@example.com"])
    assert found["filter_text"] == "country is set"


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("contry = 3", "at character 1: there is no property `contry`: is `country` meant?"),
        ("country =", "at character 10: expected"),
        ({"type": "and", "rules": [{"field": "country", "operator": "gt", "value": 3}]}, "filter.rules[0]: `country`"),
        ('subscribed to "Nothing"', 'no topic of the marketing stream called "Nothing"'),
        ({"a": "\x00"}, "expected the `type`"),
        (3, "filter"),
    ],
)
async def test_what_is_no_filter_is_refused_with_its_place(
    client: httpx.AsyncClient, people: None, given: object, told: str
) -> None:
    for path, body in (("/segments", {"name": "x"}), ("/segments/preview", {})):
        answer = await client.post(path, json={**body, "filter": given})
        assert answer.status_code == 422
        assert told in answer.json()["message"]


async def test_filters_keep_to_what_they_name(client: httpx.AsyncClient, people: None) -> None:
    """By ids: a topic that has another name is the same, and shows with the name it has."""
    vip = await made(client, "/segments", name="VIP")
    topic = await made(client, "/topics", name="News", default_subscription="opt_in")
    asking = await made(client, "/segments", name="a", filter='in list "vip" or not subscribed to "news"')
    await client.post(f"{CONTACTS}/ann@example.com/segments/{vip}")
    await client.patch(f"{CONTACTS}/bob@example.com/topics", json=[{"id": topic, "subscription": "opt_out"}])
    await client.patch(f"/topics/{topic}", json={"name": "Letters"})

    assert (await client.get(f"/segments/{asking}/count")).json()["count"] == 2
    shown = (await client.get(f"/segments/{asking}")).json()
    assert shown["filter_text"] == 'in list "VIP" or not subscribed to "Letters"'
    refused = await client.delete(f"/segments/{vip}")
    assert (refused.status_code, "who is in this list" in refused.text) == (409, True)
    assert (await client.patch(f"/segments/{vip}", json={"filter": "opened"})).status_code == 409


async def test_a_property_that_is_gone_is_said(client: httpx.AsyncClient, people: None) -> None:
    segment = await made(client, "/segments", name="Germans", filter='country = "DE"')
    (definition,) = (await client.get("/contact-properties")).json()["data"]
    await client.delete(f"/contact-properties/{definition['id']}")

    shown = (await client.get(f"/segments/{segment}")).json()
    assert (shown["filter_text"], "no property" in shown["filter_problem"]) == ('country = "DE"', True)
    counted = await client.get(f"/segments/{segment}/count")
    assert (counted.status_code, "cannot be used any more" in counted.text) == (409, True)


async def test_another_application_sees_none(client: httpx.AsyncClient, account: Account, people: None) -> None:
    segment = await made(client, "/segments", name="Mine", filter="opened")
    other = {"authorization": f"Bearer {account.stranger}"}

    for path in (f"/segments/{segment}", f"/segments/{segment}/count", f"/audiences/{segment}"):
        assert (await client.get(path, headers=other)).status_code == 404
    assert (await client.get("/segments", headers=other)).json()["data"] == []
    found = await client.post("/segments/preview", json={"filter": "never opened"}, headers=other)
    assert found.json()["count"] == 0


def test_the_python_sdk(server: Server, account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resend, "api_url", server.url)
    monkeypatch.setattr(resend, "api_key", account.full)

    segment = resend.Segments.create({"name": "Readers"})
    assert (segment["object"], segment["name"]) == ("segment", "Readers")
    assert resend.Segments.get(segment["id"])["name"] == "Readers"
    assert [one["id"] for one in resend.Segments.list()["data"]] == [segment["id"]]
    assert resend.Segments.remove(segment["id"])["deleted"] is True


async def test_audiences_are_segments(client: httpx.AsyncClient) -> None:
    audience = await made(client, "/audiences", name="Everybody")

    assert (await client.get(f"/audiences/{audience}")).json()["object"] == "audience"
    assert (await client.get(f"/segments/{audience}")).json()["object"] == "segment"
    assert [one["id"] for one in (await client.get("/audiences")).json()["data"]] == [audience]
    assert (await client.delete(f"/audiences/{audience}")).json() == {
        "object": "audience", "id": audience, "deleted": True,
    }  # fmt: skip


async def test_a_topic_has_a_policy(client: httpx.AsyncClient) -> None:
    topic = await made(client, "/topics", name="News", default_subscription="opt_in")
    stands = (await client.get(f"/topics/{topic}/policy")).json()
    assert stands == {
        "object": "topic_policy", "topic_id": topic, "tapering": [], "silent_after_days": 365, "most_per_week": None,
        "reconfirm": False, "is_default": True, "updated_at": None,
    }  # fmt: skip
    wanted = {"tapering": [{"after_days": 60, "send_every": 4}, {"after_days": 30, "send_every": 2}]}
    put = (await client.put(f"/topics/{topic}/policy", json={**wanted, "most_per_week": 3})).json()
    assert [one["after_days"] for one in put["tapering"]] == [30, 60]
    assert put == (await client.get(f"/topics/{topic}/policy")).json()
    assert (put["silent_after_days"], put["most_per_week"], put["is_default"]) == (365, 3, False)
    reset = (await client.put(f"/topics/{topic}/policy", json={"silent_after_days": None})).json()
    assert (reset["tapering"], reset["silent_after_days"], reset["most_per_week"]) == ([], None, None)


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"tapering": [{"after_days": 0, "send_every": 2}]}, "a step begins after"),
        ({"tapering": [{"after_days": 30, "send_every": 1}]}, "every 2nd"),
        ({"tapering": [{"after_days": 30, "send_every": 4}, {"after_days": 60, "send_every": 2}]}, "no less than"),
        ({"tapering": [{"after_days": 30}, {"after_days": 60, "send_every": 2}]}, "no less than"),
        ({"tapering": [{"after_days": 30, "send_every": 2}] * 2}, "two steps"),
        ({"most_per_week": 0}, "most_per_week"),
        ({"silent_after_days": 10**9}, "silent_after_days"),
    ],
)
async def test_policies_that_make_no_sense_are_refused(
    client: httpx.AsyncClient, body: dict[str, Any], told: str
) -> None:
    topic = await made(client, "/topics", name="News", default_subscription="opt_in")
    refused = await client.put(f"/topics/{topic}/policy", json=body)

    assert (refused.status_code, told in refused.json()["message"]) == (422, True)


async def test_transactional_mail_has_no_policy(client: httpx.AsyncClient) -> None:
    topic = await made(client, "/topics", name="Receipts", default_subscription="opt_in", stream="transactional")

    assert (await client.put(f"/topics/{topic}/policy", json={"most_per_week": 3})).status_code == 409
