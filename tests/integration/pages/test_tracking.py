"""Pixel, links and the hidden link as clients see them, and what is no link of ours."""

from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI

from core.ids import uuid7
from messages.link_tokens import Kind, LinkTokens, coded, payload_of
from outcomes.engagement_writer import EngagementWriter
from outcomes.hits import Hit, read
from pages.tracking import PIXEL
from store.database import Database

EMAIL = UUID("01920000-0000-7000-8000-000000000001")
OURS = "mail.acme.example"
TARGET = "https://shop.example/a?b=1&c=%20#part"


def token(app: FastAPI, kind: Kind = Kind.CLICK, target: str = "", host: str = OURS) -> str:
    tokens: LinkTokens = app.state.deps.tokens
    return tokens.head(kind, payload_of(EMAIL, 2, tokens.place_of(host)), target.encode()) + coded(target.encode())


def kept(app: FastAPI) -> list[Hit]:
    """What waits to be written."""
    writer: EngagementWriter = app.state.deps.engagement
    writer._spool.turn()
    return [hit for segment in writer._spool.closed() for hit in read(segment)]


async def test_the_pixel_is_a_picture_for_every_origin(client: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await client.get(f"/o/{token(app, Kind.OPEN)}.gif", headers={"user-agent": b"Firefox\x80 1"})

    assert (answer.status_code, answer.content, answer.headers["content-type"]) == (200, PIXEL, "image/gif")
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["cache-control"] == "no-store"
    (hit,) = kept(app)
    assert (hit.kind, hit.ref, hit.ip, hit.agent) == (Kind.OPEN, (EMAIL, 2), "203.0.113.9", "Firefox 1")


async def test_a_link_leads_where_it_was_meant_to(client: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await client.get(f"/c/{token(app, target=TARGET)}?utm_x=1&y={'z' * 3000}")

    assert (answer.status_code, answer.headers["location"], answer.content) == (302, TARGET, b"")
    assert [(hit.kind, hit.link, hit.head) for hit in kept(app)] == [(Kind.CLICK, TARGET, False)]


async def test_head_is_answered_and_noted_as_such(client: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await client.head(f"/c/{token(app, target=TARGET)}")

    assert (answer.status_code, answer.headers["location"]) == (302, TARGET)
    assert [hit.head for hit in kept(app)] == [True]


async def test_the_hidden_link_leads_nowhere(client: httpx.AsyncClient, app: FastAPI) -> None:
    answer = await client.get(f"/t/{token(app, Kind.TRAP)}")

    assert (answer.status_code, "location" in answer.headers) == (204, False)
    assert [hit.kind for hit in kept(app)] == [Kind.TRAP]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_other_methods_do_nothing(client: httpx.AsyncClient, app: FastAPI, method: str) -> None:
    answer = await client.request(method, f"/c/{token(app, target=TARGET)}")

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert kept(app) == []


async def test_what_is_no_link_of_ours_leads_nowhere(client: httpx.AsyncClient, app: FastAPI) -> None:
    mine = token(app, target=TARGET)
    evil = coded(b"https://evil.example/")
    forged = [
        mine[:44] + evil,
        mine[:-1],
        mine + "A",
        evil,
        "x" * 60,
        mine[:44],
        "..%2f" * 12,
        "%0d%0aLocation:%20x" * 4,
    ]
    for text in forged:
        answer = await client.get(f"/c/{text}", headers={"accept-language": "de"})
        assert answer.status_code == 404
        assert "location" not in answer.headers
    assert (await client.get(f"/c/{token(app, Kind.OPEN)}")).status_code == 404
    assert kept(app) == []


@pytest.mark.parametrize(
    "target", ["javascript:alert(1)", "//evil.example", "https://a.example/\r\nSet-Cookie: a=b", ""]
)
async def test_even_signed_only_the_web_is_led_to(client: httpx.AsyncClient, app: FastAPI, target: str) -> None:
    answer = await client.get(f"/c/{token(app, target=target)}")

    assert answer.status_code == 404
    assert "set-cookie" not in answer.headers


async def test_nobody_lends_the_tracking_host_of_another(
    client: httpx.AsyncClient, app: FastAPI, database: Database
) -> None:
    async with database.transaction() as connection:
        await connection.execute("INSERT INTO applications (id, name) VALUES (%s, 'shop')", [EMAIL])
        await connection.execute(
            "INSERT INTO domains (id, application_id, name, return_path_domain, tracking_subdomain)"
            " VALUES (%s, %s, 'shop.example', 'bounce.shop.example', 'links')",
            [uuid7(), EMAIL],
        )
    await app.state.deps.tracking_hosts.read()
    theirs, shops = token(app, target=TARGET), token(app, target=TARGET, host="links.shop.example")

    for text, host, status in (
        (shops, "Links.Shop.example", 302),
        (shops, "links.shop.example:8443", 302),
        (shops, "LINKS.shop.example.:443", 302),
        (theirs, "links.shop.example", 404),
        (theirs, "links.shop.example.", 404),
        (theirs, "links.SHOP.example.:8443", 404),
        (shops, OURS, 302),
        (shops, "upstream-of-a-proxy", 302),
    ):
        answer = await client.get(f"/c/{text}", headers={"host": host})
        assert answer.status_code == status, (host, status)
