"""What a campaign says is written in a template of its own, and what is previewed of it is what is sent."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from campaigns import repository, sources, steering, trying, work
from campaigns.model import Campaign
from campaigns.trying import Whose
from core.refusal import Refused
from store.database import Database
from templates import document, service
from templates.build import Kind, Source
from templates.model import DEFAULT, Edit, LanguageEdit, Template, Variable, Writing
from tests.integration.campaigns.world import World, with_words, world_test

LINK = "https://shop.example/?a=1&b={{ email | urlencode }}"
BLOCKS: list[dict[str, Any]] = [
    {"type": "heading", "text": "Grüße, {{ first_name | default('you') }} & all <b>"},
    {"type": "text", "html": "<p>Only for {{ email }} in {{ city | default('town') }}</p>"},
    {"type": "columns", "columns": [{"blocks": [{"type": "button", "text": "Go", "href": LINK}]}, {"blocks": []}]},
    {"type": "footer", "text": "Acme, Main Street 1"},
]
SIGNED = re.compile(r"https://mail\.acme\.example/u/[\w.~-]+")
WRITING = Writing({DEFAULT: Source(Kind.BLOCKS, document.written({"blocks": BLOCKS}))})


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(
        database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example"
    ) as made:  # fmt: skip
        yield made


async def begun(world: World, writing: Writing = WRITING, **facts: Any) -> tuple[Campaign, Template]:
    """A draft that is written from a template of its own."""
    draft = await world.draft(with_words(html=None, text=None), open_tracking=False, click_tracking=False, **facts)
    async with world.database.transaction() as connection:
        made = await sources.begin(connection, draft, writing)
        await steering.follow(connection, made)
    return await world.campaign(draft), made


async def previewed(world: World, campaign: Campaign, person: UUID) -> trying.Preview:
    async with world.database.connection() as connection:
        return await trying.preview(connection, campaign, Whose(person))


def parts(raw: bytes) -> tuple[str, str]:
    """The HTML and the text of a mail that arrived, decoded; lines end as a mail ends them."""
    mail = message_from_bytes(raw, policy=policy.default)
    found = {part.get_content_type(): part.get_payload(decode=True) for part in mail.walk() if not part.is_multipart()}
    return found["text/html"].decode().replace("\r\n", "\n"), found["text/plain"].decode().replace("\r\n", "\n")


@pytest.mark.parametrize("link", [True, False])
async def test_what_is_previewed_is_byte_for_byte_what_is_sent(world: World, link: bool) -> None:
    """But for each recipient's own link, which is signed when the mail leaves."""
    ann = await world.person("ann@one.example", first_name='Ann <i>"&', city="Wien")
    blocks = [*BLOCKS[:3], BLOCKS[3] | ({} if link else {"unsubscribe": ""})]
    writing = Writing({DEFAULT: Source(Kind.BLOCKS, document.written({"blocks": blocks}))})
    campaign, _ = await begun(world, writing)
    shown = await previewed(world, campaign, ann)
    assert "Grüße, Ann &lt;i&gt;&#34;&amp; &amp; all &lt;b&gt;" in (shown.html or "")

    await world.do("start", campaign)
    await work.begin(world.database)
    await world.send()

    html, text = parts(world.lane.mails_to("ann@one.example")[0].data)
    signed = SIGNED.findall(html)
    assert len(signed) == (1 if link else 0)
    for name in signed:
        html, text = (part.replace(name, "{{{UNSUBSCRIBE_URL}}}") for part in (html, text))
    assert html == shown.html
    assert text.rstrip("\n") == (shown.text or "").rstrip("\n")


async def test_a_campaign_says_what_its_template_says_and_forgets_it(world: World) -> None:
    campaign, source = await begun(world)
    assert "Grüße" in (campaign.words.html or "")
    async with world.database.transaction() as connection:
        edit = Edit(
            content=LanguageEdit((Kind.HTML, "<p>Other</p>")),
            languages={"de": LanguageEdit((Kind.HTML, "<p>Anders</p>"), "Neu")},
        )
        changed = await service.update(connection, source.application_id, str(source.id), edit)
        await steering.follow(connection, changed)
        assert (await sources.of(connection, await repository.get(connection, None, campaign.id))) == changed
    said = await world.campaign(campaign)
    assert (said.words.html, said.words.subject) == ("<p>Other</p>", campaign.words.subject)
    assert said.languages["de"]["html"] == "<p>Anders</p>"
    assert said.languages["de"]["subject"] == "Neu"

    async with world.database.transaction() as connection:
        copied = await steering.duplicate(connection, said)
        source_of_copy = await sources.of(connection, copied)
        assert source_of_copy is not None
        assert source_of_copy.id != source.id
        assert source_of_copy.campaign_id == copied.id

    async with world.database.transaction() as connection:
        draft = steering.draft_of(said)
        elsewhere = await steering.update(connection, said, replace(draft, words=replace(draft.words, html="mine")))
        assert await sources.of(connection, elsewhere) is None, "it was written elsewhere since"
    await world.do("remove", said)
    async with world.database.connection() as connection:
        assert await service.of_campaign(connection, campaign.id) is None


async def test_what_has_begun_is_not_written_any_more(world: World) -> None:
    await world.person("ann@one.example")
    campaign, source = await begun(world)
    await world.do("start", campaign)
    async with world.database.transaction() as connection:
        with pytest.raises(Refused, match="only a draft can be changed"):
            await steering.follow(connection, source)
    assert (await world.campaign(campaign)).words.html == campaign.words.html


async def test_a_campaign_begins_as_a_template_stands_with_its_fallbacks(world: World) -> None:
    writing = Writing(
        {DEFAULT: Source(Kind.HTML, "<p>{{ CODE }}</p>")}, variables=(Variable("CODE", fallback="A1"),)
    )  # fmt: skip
    ann = await world.person("ann@one.example")
    campaign, _ = await begun(world, writing)
    assert (await previewed(world, campaign, ann)).html == "<p>A1</p>"
