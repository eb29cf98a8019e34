"""Looks at public pages: what the console asks for is shown, in its frame alone, and nothing can be done there."""

from datetime import timedelta
from typing import Any

import httpx

from audience import forms
from audience.forms import FormFacts
from core.clock import SystemClock
from core.ids import uuid7
from core.secrets import InstanceSecret
from store.database import Database
from tests.integration.pages.conftest import SECRET, Reader
from web.previews import GOOD_FOR, Preview, PreviewSeal, What, preview

HOME = "https://console.acme.example"
SEAL = PreviewSeal(InstanceSecret.from_text(SECRET))


def _look(what: What, identifier: object, reader: Reader, **changes: object) -> str:
    facts: dict[str, Any] = {
        "what": what,
        "id": identifier,
        "application_id": reader.account.application_id,
        "framed_by": HOME,
    }
    facts |= {"until": SystemClock().now() + GOOD_FOR} | changes
    return SEAL.address(Preview(**facts))


async def test_a_form_is_shown_as_it_would_look(client: httpx.AsyncClient, reader: Reader, database: Database) -> None:
    async with database.transaction() as connection:
        made = await forms.create(
            connection, reader.account.application_id, FormFacts("Footer", "Acme <hello@acme.example>")
        )
    answer = await client.get(_look(What.FORM, made.id, reader) + "?lang=de")
    hosted = await client.get(f"/s/{made.id}?lang=de")

    assert answer.status_code == 200
    assert "<script" not in answer.text
    assert 'lang="de"' in answer.text
    assert answer.text.partition("<main>")[2] == hosted.text.partition("<main>")[2], "it is the page itself"
    policy = answer.headers["content-security-policy"]
    assert f"frame-ancestors {HOME}" in policy
    assert "form-action 'none'" in policy
    assert "frame-ancestors 'none'" in hosted.headers["content-security-policy"], "nobody else frames the real one"


async def test_a_topic_is_shown_to_somebody_who_has_chosen_nothing(client: httpx.AsyncClient, reader: Reader) -> None:
    answer = await client.get(_look(What.TOPIC, reader.topics["Events"].id, reader))

    assert answer.status_code == 200
    assert "you@example.com" in answer.text
    assert "ann@example.com" not in answer.text
    assert "Events" in answer.text


async def test_what_is_none_of_ours_is_not_shown(client: httpx.AsyncClient, reader: Reader) -> None:
    good = _look(What.TOPIC, reader.topics["News"].id, reader)
    old = _look(What.TOPIC, reader.topics["News"].id, reader, until=SystemClock().now() - timedelta(seconds=1))
    other = PreviewSeal(InstanceSecret.from_text("6" * 64))
    foreign = preview(What.TOPIC, reader.topics["News"].id, reader.account.application_id, HOME, SystemClock().now())
    assert foreign is not None

    for path in (
        old, good[:-1], f"{good}A", other.address(foreign), "/preview/x", f"/preview/{'A' * 700}",
        _look(What.TOPIC, uuid7(), reader), _look(What.FORM, uuid7(), reader),
    ):  # fmt: skip
        assert (await client.get(path)).status_code == 404, path


def test_a_frame_of_which_no_policy_can_speak_gets_no_look() -> None:
    for origin in (
        "",
        "javascript:x",
        "https://a.example; script-src *",
        "https://a.example/path",
        "https://ä.example",
    ):
        assert preview(What.FORM, uuid7(), uuid7(), origin, SystemClock().now()) is None, origin
    assert preview(What.FORM, uuid7(), uuid7(), "http://127.0.0.1:8027", SystemClock().now()) is not None
