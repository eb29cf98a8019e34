"""`/forms`: made, shown, changed, deleted; what cannot be is refused with its field."""

import httpx
import pytest

from core.ids import uuid7
from core.settings import Settings

FORM = {"name": "Footer", "from": "Acme <hello@acme.example>"}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"public_url": "https://mail.acme.example"})


async def test_a_form_is_made_shown_changed_and_deleted(client: httpx.AsyncClient) -> None:
    texts = {"de": {"title": "Brief", "consent": "Ja."}}
    body = {**FORM, "fields": [{"key": "first_name", "required": True}], "language": "de", "texts": texts}
    made = (await client.post("/forms", json=body)).json()["id"]
    shown = (await client.get(f"/forms/{made}")).json()
    assert (shown["from"], shown["url"]) == (FORM["from"], f"https://mail.acme.example/s/{made}")
    assert shown["texts"]["de"]["title"] == "Brief"
    assert 'name="first_name" maxlength="200" required' in shown["embed"]
    assert shown["figures"] == {"waiting": 0, "confirmed": 0, "unsent": 0}

    assert (await client.patch(f"/forms/{made}", json={"name": "Shop", "texts": {}})).status_code == 200
    listed = (await client.get("/forms")).json()["data"]
    assert [(one["name"], one["texts"], one["language"]) for one in listed] == [("Shop", {}, "de")]
    assert (await client.delete(f"/forms/{made}")).json() == {"object": "form", "id": made, "deleted": True}
    assert (await client.get(f"/forms/{made}")).status_code == 404


async def test_what_cannot_be_is_refused(client: httpx.AsyncClient) -> None:
    for change, field in (
        ({"from": "Acme <hello@new.example>"}, "from"),
        ({"from": "nobody"}, "from"),
        ({"topics": [str(uuid7())]}, "topics[0]"),
        ({"segment_id": str(uuid7())}, "segment_id"),
        ({"fields": [{"key": "shoe"}]}, "fields[0].key"),
        ({"fields": [{"key": "first_name"}, {"key": "first_name"}]}, "fields"),
        ({"origins": ["https://www.acme.example/path"]}, "origins[0]"),
        ({"texts": {"english": {}}}, "texts"),
    ):
        answer = await client.post("/forms", json={**FORM, **change})
        assert answer.status_code == 422, answer.text
        assert field in answer.json()["message"]
