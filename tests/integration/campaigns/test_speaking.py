"""What people get of a campaign: in their language, with tags in the links, and with its page on the web."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from campaigns import repository, steering, trying
from campaigns.archive import Access, switched
from campaigns.experiment import Experiment
from campaigns.trying import Whose
from campaigns.utm import Utm
from core.refusal import Refused
from messages import personal
from store.database import Database
from templates.plain import text_of_html
from tests.integration.campaigns.world import World, with_words, world_test
from tests.integration.messages.emails import execute, rows

WEB = switched(Access.LINK, "https://mail.acme.example")
GERMAN = {"subject": "Neues", "html": "<p>Hallo {{ first_name | default('du') }}</p>"}


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path) as found:
        yield found


async def contents(world: World) -> dict[tuple[int, str], tuple[str, str | None, str | None]]:
    found = await rows(world.database, "SELECT variant, language, subject, html, body FROM campaign_contents")
    return {(variant, language): (subject, html, text) for variant, language, subject, html, text in found}


async def test_everybody_gets_it_in_their_language_or_as_near_as_there_is(world: World) -> None:
    tags = {"ann": "de-AT", "bob": "de", "eve": "zh-Hant-TW", "ida": "fr", "joe": None}
    for name, tag in tags.items():
        contact = await world.person(f"{name}@example.com")
        await execute(world.database, "UPDATE contacts SET language = %s WHERE id = %s", [tag, contact])
    chinese = {"subject": "新聞", "text": "你好"}
    await world.started(with_words(preview_text="Soon"), languages={"de": GERMAN, "zh-Hant": chinese})
    await world.feed()
    got = await rows(world.database, 'SELECT "to"[1], subject FROM emails')

    assert dict(got) == {
        "ann@example.com": "Neues",
        "bob@example.com": "Neues",
        "eve@example.com": "新聞",
        "ida@example.com": "News for you",
        "joe@example.com": "News for you",
    }
    made = await contents(world)
    subject, html, text = made[0, "de"]
    assert (subject, html) == ("Neues", GERMAN["html"]), "no preview text of another language"
    assert text == text_of_html(GERMAN["html"]), "nor a text"
    assert made[0, "zh-Hant"] == ("新聞", None, "你好")


async def test_tags_are_in_the_links_of_what_is_sent_for_each_variant(world: World) -> None:
    words = with_words(html='<a href="https://shop.example/">x</a>', text="https://shop.example/")
    tested = Experiment(({"subject": "B"},))
    await world.started(words, experiment=tested, utm=Utm("news", "email"))
    made = await contents(world)

    for number in (0, 1):
        query = f"utm_source=news&utm_medium=email&utm_content=variant-{number}"
        _, html, text = made[number, ""]
        assert html == f'<a href="https://shop.example/?{query.replace("&", "&amp;")}">x</a>'
        assert text == f"https://shop.example/?{query}"
    assert (await world.campaign(await world.draft(words))).words.html == words.html, "not in what its author wrote"


async def test_the_address_of_its_page_is_in_the_mail_while_the_page_is_on(world: World) -> None:
    words = with_words(html='<a href="{{ archive_url }}">in the browser</a>', text="{{ archive_url }}")
    ann = await world.person("ann@example.com")
    with pytest.raises(Refused, match="page on the web is off"):
        await world.started(words)
    sent = await world.started(words, archive=WEB)
    ((content,),) = await rows(world.database, "SELECT id FROM campaign_contents WHERE campaign_id = %s", [sent.id])
    async with world.database.connection() as connection:
        seen = await trying.preview(connection, await world.campaign(sent), Whose())
        html, text = await personal.shown(connection, content, ann)

    assert text == seen.text == f"https://mail.acme.example/a/{sent.id}"
    assert html == seen.html == f'<a href="https://mail.acme.example/a/{sent.id}">in the browser</a>'


async def test_a_page_that_needs_a_person_is_refused(world: World) -> None:
    words = with_words(html="<p>Dear {{ first_name }}</p>")
    with pytest.raises(Refused, match="no person to fill in"):
        await world.started(words, archive=WEB)
    sent = await world.started(words)
    async with world.database.transaction() as connection:
        known = await repository.get(connection, None, sent.id)
        with pytest.raises(Refused, match="no person to fill in"):
            await steering.put_on_web(connection, known, WEB)


async def test_it_is_looked_at_in_any_language_and_variant(world: World) -> None:
    draft = await world.draft(languages={"de": GERMAN})
    ann = await world.person("ann@example.com", first_name="Ann")
    async with world.database.connection() as connection:
        german = await trying.preview(connection, draft, Whose(ann, "de-AT"))
        own = await trying.preview(connection, draft, Whose(language="fr"))
        with pytest.raises(Refused, match="variants 0 to 0"):
            await trying.preview(connection, draft, Whose(variant=1))

    assert (german.language, german.subject, german.html) == ("de", "Neues", "<p>Hallo Ann</p>")
    assert (own.language, own.subject) == ("", "News for you")


async def test_an_experiment_says_nothing_that_some_languages_would_not(world: World) -> None:
    with pytest.raises(Refused, match="differ in `from` alone"):
        await world.draft(languages={"de": GERMAN}, experiment=Experiment(({"subject": "B"},)))
    sender = Experiment(({"from": "Ann <news@acme.example>"},))

    assert (await world.draft(languages={"de": GERMAN}, experiment=sender)).languages == {"de": GERMAN}
