"""What is found before a campaign begins: its people, what they lack and got before, its words, its domain, its end."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import httpx
import pytest

from audience import topics
from campaigns import trying, work
from campaigns.checking import audience, checks
from campaigns.checking.model import Checks, Code, Finding, Severity
from campaigns.experiment import Experiment
from campaigns.forecast import Hold
from campaigns.forecasting import Tools, by_provider
from campaigns.model import Campaign
from campaigns.plan import Plan
from core.errors import UnavailableError
from core.secrets import InstanceSecret
from mta.from_settings import known_providers, make_resolver
from mta.providers import load_providers
from pages.app import create_app
from store.database import Database
from templates.build import Kind, Source, build
from templates.document import STARTER, written
from tests.integration.campaigns.world import SIMULATED, World, with_words, world_test
from tests.integration.messages.emails import execute, rows, suppress
from warmup import repository as warmups
from warmup.plan import parse

LEAVE = '<a href="{{{RESEND_UNSUBSCRIBE_URL}}}">leave</a>'
TEXT = "Hello. Leave: {{{RESEND_UNSUBSCRIBE_URL}}}"


@pytest.fixture
async def world(database: Database, database_url: str, redis_url: str, tmp_path: Path) -> AsyncIterator[World]:
    async with world_test(database, database_url, redis_url, tmp_path, public_url="https://mail.acme.example") as made:
        yield made


def tools(world: World) -> Tools:
    found = world.lane.settings
    providers = known_providers(found)
    secret = InstanceSecret.from_text(found.secret.get_secret_value())
    return Tools(found, secret, world.database, make_resolver(found, providers), providers)


async def check(world: World, campaign: Campaign) -> Checks:
    return await checks.of_application(tools(world), None, campaign.id)


async def draft(world: World, html: str = LEAVE, text: str | None = TEXT, **changes: Any) -> Campaign:
    """One of which there is nothing to say but about its domain, whose records are not published here."""
    async with world.database.transaction() as connection:
        topic = await topics.default_of(connection, world.lane.application_id)
    return await world.draft(with_words(html=html, text=text), **{"topic_id": topic, **changes})


OF_DOMAIN = {Code.DKIM, Code.SPF, Code.DMARC, Code.RETURN_PATH, Code.DNS_SILENT}


def of(found: Checks) -> dict[Code, Finding]:
    return {one.code: one for one in found.findings if one.code not in OF_DOMAIN}


async def test_of_a_good_campaign_nothing_is_said(world: World) -> None:
    await world.person("ann@one.example")
    found = await check(world, await draft(world))

    assert (of(found), found.can_start) == ({}, True)
    assert {one.code for one in found.findings} >= {Code.DKIM, Code.SPF, Code.DMARC}
    assert (found.people.total, found.people.reached, found.people.exact) == (1, 1, True)
    assert found.forecast is not None and found.forecast.ends_at == found.forecast.starts_at


async def test_all_that_refuses_a_start_is_there_and_a_start_is_refused(world: World) -> None:
    empty = await draft(world, html="", text=None)
    async with world.database.transaction() as connection:
        await connection.execute("UPDATE campaigns SET subject = '', segment_id = NULL WHERE id = %s", [empty.id])
        await connection.execute("UPDATE domains SET status = 'failed'")
    found = await check(world, empty)

    refused = [one.code for one in found.findings if one.severity is Severity.REFUSES]
    assert (refused, found.can_start) == ([Code.SEGMENT, Code.CONTENT, Code.SENDER], False)
    assert [one.code for one in found.findings][:3] == refused
    assert found.forecast is None


async def test_whom_it_cannot_reach_and_what_they_lack_is_counted(world: World) -> None:
    await world.person("ann@one.example", first_name="Ann", city="Rome")
    await world.person("bob@one.example", first_name="Bob")
    await world.person("eve@two.example", "unconfirmed")
    for number in range(3):
        address = f"gone{number}@two.example"
        await world.person(address, first_name="Gone", city="")
        await suppress(world.database, address)
    html = (
        f"{{{{ first_name }}}} {{{{ contact.city }}}} {{{{ town }}}} {{{{ email }}}} {{{{ x | default('y') }}}}{LEAVE}"
    )
    found = await check(world, await draft(world, html))

    assert (found.people.total, found.people.reached) == (6, 2)
    assert found.people.skipped == {"unconfirmed": 1, "manual": 3}
    assert found.people.lacking == {"first_name": 1, "city": 5}
    said = of(found)
    assert said.keys() == {Code.UNREACHABLE, Code.UNKNOWN_VARIABLES, Code.MISSING_VARIABLES}
    assert said[Code.UNREACHABLE].found == "Only 2 of 6 people may get it: 3 manual, 1 unconfirmed."
    assert said[Code.UNKNOWN_VARIABLES].found == "Nobody has `town`: no mail can be made."
    lacking = [one for one in found.findings if one.code is Code.MISSING_VARIABLES]
    assert [one.people for one in lacking] == [5, 1]
    assert lacking[0].found == "`city` has no default, and 5 of 6 people have none: their mail cannot be made."


async def test_a_property_with_a_fallback_is_lacked_by_nobody(world: World) -> None:
    await world.person("ann@one.example")
    await execute(world.database, "UPDATE contact_properties SET fallback_value = '\"Rome\"'")

    assert of(await check(world, await draft(world, f"{{{{ city }}}}{LEAVE}"))) == {}


async def test_an_empty_segment_and_a_segment_that_cannot_be_asked_are_said(world: World) -> None:
    found = await check(world, await draft(world))
    await execute(world.database, 'UPDATE segments SET filter = \'{"property": "gone", "equals": 1}\'')
    broken = await check(world, await draft(world))

    assert of(found)[Code.AUDIENCE].found == "Nobody is in its segment."
    assert of(broken)[Code.AUDIENCE].found.startswith("Its people cannot be asked for")


async def test_the_words_are_looked_at_as_somebody_gets_them(world: World) -> None:
    await world.person("ann@one.example", first_name="Ann")
    hidden = "{% if first_name %}<p>Hello</p>{% else %}" + LEAVE + "{% endif %}"
    html = f'{hidden}<img src="http://127.0.0.1:1/a.png"><a href="shop.example">x</a>{"x" * 105_000}'
    found = await check(world, await draft(world, html, ""))

    assert of(found).keys() == {
        Code.UNSUBSCRIBE_LINK, Code.TEXT_PART, Code.WEIGHT, Code.IMAGES_WITHOUT_ALT, Code.LINK_ADDRESSES,
        Code.DEAD_LINKS,
    }  # fmt: skip
    assert "http://127.0.0.1:1/a.png (port 1 is not for HTTP)" in of(found)[Code.DEAD_LINKS].found


async def test_a_campaign_that_nobody_wrote_cannot_begin(world: World) -> None:
    await world.person("ann@one.example")
    html = build(Source(Kind.BLOCKS, written(STARTER), "Hi")).html
    found = of(await check(world, await draft(world, html)))

    assert "2 texts of new blocks were never written over" in found[Code.UNWRITTEN].found
    assert found[Code.CONTENT].severity is Severity.REFUSES
    assert found[Code.CONTENT].found == "It cannot begin: html: a link or button has no address: `https://`."
    assert "https://" in found[Code.CONTENT].advice
    finished = of(await check(world, await draft(world, html.replace('"https://"', '"https://shop.example/"'))))
    assert Code.CONTENT not in finished


async def test_findings_of_one_variant_say_which(world: World) -> None:
    await world.person("ann@one.example")
    tested = Experiment(variants=({"html": "<p>Nothing to leave by</p>"},))
    found = await check(world, await draft(world, experiment=tested))

    assert of(found)[Code.UNSUBSCRIBE_LINK].found == "Variant 1: The HTML has no visible link to unsubscribe."


async def test_every_language_is_looked_at(world: World) -> None:
    await world.person("ann@one.example")
    german = {"de": {"html": f"<p>{{{{ town }}}}</p><img src='http://127.0.0.1:1/a.png' alt=''>{LEAVE}", "text": TEXT}}
    found = of(await check(world, await draft(world, languages=german)))

    assert found.keys() == {Code.UNKNOWN_VARIABLES, Code.DEAD_LINKS}
    plain = {"de": {"html": "<p>Nothing to leave by</p>", "text": TEXT}}
    (one,) = of(await check(world, await draft(world, languages=plain))).values()
    assert one.found == "Variant 0 (de): The HTML has no visible link to unsubscribe."


async def test_a_campaign_without_a_topic_or_public_pages_is_told_so(world: World) -> None:
    await world.person("ann@one.example")
    campaign = await draft(world, topic_id=None)
    given = tools(world)
    plain = replace(given, settings=given.settings.model_copy(update={"public_url": ""}))

    assert of(await checks.of_application(plain, None, campaign.id)).keys() == {Code.TOPIC, Code.ONE_CLICK}


async def test_who_got_the_same_before_is_counted(world: World) -> None:
    words = " ".join(f"word{n}" for n in range(200))
    await world.person("ann@one.example")
    await world.person("unknown@one.example")
    first = await draft(world, f"<p>{words}</p>{LEAVE}")
    await world.do("start", first)
    await world.person("late@one.example")
    await work.begin(world.database)
    await world.send()
    nearly = await draft(world, f"<p>{words} and one more</p>{LEAVE}")
    other = await draft(world, f"<p>{words[::-1]}</p>{LEAVE}")

    (found,) = [one for one in (await check(world, nearly)).findings if one.code is Code.SENT_BEFORE]
    assert found.people == 1 and found.found.startswith("1 of 3 people got nearly the same on ")
    assert 'not got campaign "Spring"' in found.advice
    assert Code.SENT_BEFORE not in of(await check(world, other))
    assert (await rows(world.database, "SELECT cardinality(shingles) > 100 FROM campaign_contents")) == [(True,)]


async def test_the_end_is_that_of_the_ramp_of_the_pools_ip(world: World) -> None:
    for number in range(30):
        await world.person(f"p{number}@one.example")
    plan = parse({"name": "slow", "stages": [10, 20, 40], "weights": {"*": 1.0}})
    async with world.database.transaction() as connection:
        await warmups.start(connection, "127.0.1.9", plan)
    campaign = await draft(world)
    found = (await check(world, campaign)).forecast

    assert found is not None and found.ends_at is not None and found.held_by is Hold.RAMP
    assert timedelta(hours=1) < found.ends_at - found.starts_at < timedelta(days=3)
    assert [(one.provider, one.people) for one in found.providers] == [("other", 30)]
    await world.do("start", campaign)
    await work.begin(world.database)
    assert (await check(world, campaign)).forecast is not None
    await execute(world.database, "UPDATE campaign_recipients SET state = 'delivered'")
    assert (await check(world, campaign)).forecast is None


async def test_mail_that_never_ends_is_a_finding(world: World) -> None:
    await world.person("ann@one.example")
    await execute(world.database, "UPDATE egress_ips SET active = false WHERE address = '127.0.1.9'")
    found = await check(world, await draft(world))

    assert (
        of(found)[Code.NEVER_ENDS].found
        == "Mail is not out within 90 days for other (1 people): held by no IP that may send."
    )


async def test_people_in_their_own_zones_end_with_the_last_of_them(world: World) -> None:
    await world.person("ann@one.example")
    await world.person("bob@one.example")
    await execute(world.database, "UPDATE contacts SET time_zone = 'Pacific/Honolulu' WHERE address LIKE 'bob%%'")
    local = datetime.fromisoformat("2030-07-01T09:00")
    found = (await check(world, await draft(world, plan=Plan(local=local)))).forecast

    assert found is not None
    assert (found.ends_at, found.held_by) == (datetime(2030, 7, 1, 19, tzinfo=UTC), Hold.TIMES)


async def test_of_many_people_a_part_is_asked_whether_they_may_get_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fourth is unconfirmed, and that is about what comes out."""
    monkeypatch.setattr(audience, "ASKED", 1000)
    await execute(
        world.database,
        "WITH made AS (INSERT INTO contacts (id, application_id, address, email, status) SELECT gen_random_uuid(), %s,"
        " n || '@one.example', n || '@one.example', CASE n %% 4 WHEN 0 THEN 'unconfirmed' ELSE 'confirmed' END"
        " FROM generate_series(1, 4000) n RETURNING id)"
        " INSERT INTO segment_members (segment_id, contact_id, status) SELECT %s, id, 'confirmed' FROM made",
        [world.lane.application_id, world.segment_id],
    )
    found = (await check(world, await draft(world))).people

    assert (found.total, found.exact) == (4000, False)
    assert 2600 < found.reached < 3400 and found.reached + found.skipped["unconfirmed"] == 4000
    assert found.by_domain == {"one.example": pytest.approx(found.reached, abs=1)}


class Mail:
    """MX records as a table; None is silence."""

    def __init__(self, **hosts: str | None) -> None:
        self._hosts = hosts

    async def mx(self, name: str) -> list[tuple[int, str]]:
        host = self._hosts.get(name.partition(".")[0], "")
        if host is None:
            raise UnavailableError("no DNS server answered")
        return [(10, host)] if host else []


async def test_the_provider_of_a_domain_is_whoever_keeps_its_mail_servers() -> None:
    servers = Mail(gmail="gmail-smtp-in.l.google.com", firm="aspmx.l.google.com", own="mx.own.example", silent=None)
    people = {"gmail.com": 50, "firm.example": 5, "own.example": 3, "silent.example": 2, "none.example": 1}

    assert await by_provider(servers, load_providers(), people) == {"gmail": 55, "other": 6}
    assert await by_provider(servers, load_providers(), {}) == {}


def test_many_small_domains_are_not_rounded_away() -> None:
    judged = {(None, "d1.example"): 90, ("manual", "d2.example"): 10}
    found = audience.put_together({f"d{n}.example": 4 for n in range(1000)}, judged, {}, exact=False)

    assert found.reached == sum(found.by_domain.values()) == 3600


def test_figures_of_a_part_are_drawn_up_to_the_whole() -> None:
    judged = {(None, "a.example"): 60, ("manual", "a.example"): 20, ("unconfirmed", "b.example"): 20}
    found = audience.put_together({"a.example": 800, "b.example": 200}, judged, {"city": 7}, exact=False)

    assert (found.total, found.reached, found.skipped) == (1000, 600, {"manual": 200, "unconfirmed": 200})
    assert (found.by_domain, found.lacking) == ({"a.example": 480, "b.example": 120}, {"city": 7})


async def test_the_links_of_a_test_mail_work(world: World) -> None:
    """Followed as its reader would: to the page behind it, and out of the list with one click."""
    html = f'<a href="https://shop.example/all">all</a> {LEAVE}'
    campaign = await draft(world, html, click_tracking=True, open_tracking=True)
    async with world.database.transaction() as connection:
        await trying.send(connection, campaign, ["ann@one.example"], SIMULATED)
    await world.deliver()
    (mail,) = world.lane.mails_to("ann@one.example")
    part = message_from_bytes(mail.data, policy=policy.default).get_body(("html",))
    click, leave = re.findall(r'href="(https://mail\.acme\.example/[^"]+)"', part.get_content() if part else "")[:2]
    pages = create_app(world.lane.settings)
    async with pages.router.lifespan_context(pages):
        transport = httpx.ASGITransport(app=pages)
        async with httpx.AsyncClient(transport=transport) as http:
            followed = await http.get(click)
            left = await http.post(leave, data={"List-Unsubscribe": "One-Click"})

    assert (followed.status_code, followed.headers["location"]) == (302, "https://shop.example/all")
    assert left.status_code == 200
    chosen = await rows(world.database, "SELECT count(*) FROM choices WHERE address = 'ann@one.example'")
    assert chosen == [(1,)]


async def test_what_takes_too_long_is_given_up_and_said(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer comes without it."""
    await world.person("ann@one.example")
    monkeypatch.setattr(audience, "_COUNT", "SELECT pg_sleep(20){lacking} FROM ({people}) p")
    monkeypatch.setattr(checks, "FOR_A_COUNT", "SELECT set_config('statement_timeout', '2s', true)")
    found = await check(world, await draft(world))

    assert "takes longer than 20 seconds" in of(found)[Code.AUDIENCE].found
    assert found.people.total == 0 and found.forecast is None
