"""`/images`: stored once, measured, bounded, and an application's own."""

import asyncio
import base64

import httpx
import pytest

from core.settings import Settings
from tests.integration.api.account import Account
from tests.unit.templates.test_pictures import GIF, JPEG, PNG


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": "https://mail.acme.example", "image_megabytes": 1})


def body(data: bytes, name: str = "logo.png") -> dict[str, str]:
    return {"name": name, "content": base64.b64encode(data).decode()}


async def test_an_image_is_stored_once_listed_and_deleted(client: httpx.AsyncClient, account: Account) -> None:
    answers = await asyncio.gather(*[client.post("/images", json=body(PNG)) for _ in range(4)])
    made = answers[0].json()
    assert {answer.json()["id"] for answer in answers} == {made["id"]}
    assert (made["object"], made["type"], made["width"], made["height"], made["size"]) == (
        "image", "image/png", 1, 1, len(PNG),
    )  # fmt: skip
    assert made["url"].startswith("https://mail.acme.example/i/")
    assert made["url"].endswith(".png")
    again = await client.post("/images", json=body(PNG, "other.png"))
    assert (again.status_code, again.json()) == (200, made)
    assert (await client.post("/images", json=body(JPEG, "b.jpg"))).json()["url"].endswith(".jpg")

    listed = (await client.get("/images")).json()["data"]
    assert [one["name"] for one in listed] == ["b.jpg", "logo.png"]
    stranger = {"authorization": f"Bearer {account.stranger}"}
    assert (await client.get(f"/images/{made['id']}", headers=stranger)).status_code == 404
    assert (await client.delete(f"/images/{made['id']}", headers=stranger)).status_code == 404
    assert (await client.get(f"/images/{made['id']}")).json() == made
    gone = await client.delete(f"/images/{made['id']}")
    assert gone.json() == {"object": "image", "id": made["id"], "deleted": True}
    assert (await client.get(f"/images/{made['id']}")).status_code == 404


async def test_what_is_no_image_or_too_much_is_refused(client: httpx.AsyncClient) -> None:
    for wanted, status, said in (
        (body(b"<svg onload='alert(1)'>"), 422, "is no PNG"),
        (body(PNG, "a\nb"), 422, "`name`"),
        ({"name": "x", "content": "what?"}, 422, "base64"),
        ({"name": "x", "content": "\x80"}, 422, "base64"),
        ({"name": "x"}, 422, "`content`"),
        (body(PNG + bytes(1024 * 1024)), 409, "POSTLANE_IMAGE_MEGABYTES"),
        (body(GIF + bytes(4 * 1024 * 1024)), 413, "larger"),
    ):
        answer = await client.post("/images", json=wanted)
        assert (answer.status_code, said in answer.json()["message"]) == (status, True), answer.text
    assert (await client.get("/images")).json()["data"] == []
