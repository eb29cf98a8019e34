"""All that is looked at before a campaign begins, in one list of findings, with the forecast of its end.

First PostgreSQL is asked, then the network, side by side and each within its time: DNS for the domain and for the
providers of the people, the web for the links. A finding that refuses is what a start would be refused with, and the
start asks again (`steering.obstacles`); everything else is for whoever sends it to judge.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final
from uuid import UUID

from accounts import repository as accounts
from accounts.verify import Installation, fresh_resolver, look
from audience import contacts, properties
from audience.audiences import FOR_A_COUNT
from audience.topics import DEFAULT_NAME
from campaigns import people, repository, speaking, steering
from campaigns.checking import alike, audience, domain, wording
from campaigns.checking.links import MOST, LinkProbe, asked_links
from campaigns.checking.model import Checks, Code, Finding, People, Severity, warns
from campaigns.forecast import HELD, Forecast, forecast
from campaigns.forecasting import Sending, Tools, by_provider, given, of_running, sending
from campaigns.model import Campaign
from campaigns.states import CampaignState
from core.addresses import AddressError, parse_mailbox
from core.refusal import Refused, conflict
from messages.personal import variables
from mta.guard import networks
from store.database import Connection

_BEFORE: Final = (CampaignState.DRAFT, CampaignState.SCHEDULED)
_UNDER_WAY: Final = (CampaignState.SENDING, CampaignState.PAUSED, CampaignState.STOPPED)
_CODES: Final[Mapping[str, Code]] = {
    "segment_id": Code.SEGMENT, "from": Code.SENDER, "subject": Code.SUBJECT, "html": Code.CONTENT,
    "text": Code.CONTENT, "preview_text": Code.CONTENT,
}  # fmt: skip
"""By the field that a start is refused for."""
_MOST_NAMED: Final = 10
_FEW: Final = 0.5
"""Of an audience: if not even so many may get it, that is said."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What the database says."""

    campaign: Campaign
    """As if it began now."""
    now: datetime
    findings: Sequence[Finding]
    people: People
    zones: Mapping[str, int]
    domain_id: UUID | None
    sending: Sending


_under_way: set[UUID] = set()
"""Applications that this process looks for. One check asks a hundred strangers: nobody makes us ask thousands."""


async def check(tools: Tools, campaign: Campaign) -> Checks:
    """Everything about a campaign that can be known now. Raises Refused: its application's last check is not over."""
    if campaign.application_id in _under_way:
        raise conflict(
            "a check of your broadcasts is under way", "Ask again when it is over, in half a minute at most."
        )
    _under_way.add(campaign.application_id)
    try:
        return await _checked(tools, campaign)
    finally:
        _under_way.discard(campaign.application_id)


async def reach(tools: Tools, campaign: Campaign) -> People:
    """How many people it would go to now, of how many. Raises Refused: it has no segment, or that takes too long."""
    async with tools.database.transaction() as connection:
        await connection.execute(FOR_A_COUNT)
        begun, _ = await _begun(connection, campaign)
        return await audience.counted(connection, begun, ())


async def _begun(connection: Connection, campaign: Campaign) -> tuple[Campaign, datetime]:
    """As if it began now, and when that is."""
    row = await (await connection.execute(_NOW_AND_TOPIC, [campaign.application_id])).fetchone()
    assert row is not None, "it has a row"
    now, default = row
    begun = replace(campaign, started_at=campaign.started_at or now, topic_id=campaign.topic_id or default)
    return begun, now


async def _checked(tools: Tools, campaign: Campaign) -> Checks:
    async with tools.database.transaction() as connection:
        await connection.execute(FOR_A_COUNT)
        read = await _read(connection, tools, campaign)
    about_links, about_domain, outlook = await asyncio.gather(
        _links(tools, campaign), _domain(tools, campaign, read.domain_id), _outlook(tools, campaign, read)
    )
    findings = [*read.findings, *about_links, *about_domain, *_never(outlook, read.sending)]
    findings.sort(key=lambda one: one.severity is Severity.WARNS)
    return Checks(campaign.id, read.people, findings, outlook)


async def _read(connection: Connection, tools: Tools, campaign: Campaign) -> _Read:
    begun, now = await _begun(connection, campaign)
    pages = bool(tools.settings.public_url)
    findings = [_refusing(one) for one in await _obstacles(connection, campaign, pages)]
    if campaign.topic_id is None:
        findings.append(_no_topic(await _default_topic(connection, campaign.application_id)))
    found, more = await _of_people(connection, begun, before=campaign.state in _BEFORE)
    domain_id = await _domain_id(connection, campaign)
    local = campaign.plan.local is not None and found.total > 0
    zones = await audience.bounded(connection, audience.by_zone(connection, begun)) if local else None
    leaving = await sending(connection, tools.secret, campaign, domain_id)
    words = await _words(connection, begun)
    one_click = wording.one_click(tools.settings.public_url)
    return _Read(begun, now, [*findings, *more, *words, *one_click], found, zones or {}, domain_id, leaving)


_NOW_AND_TOPIC: Final = "SELECT now(), (SELECT id FROM topics WHERE application_id = %s AND is_default)"


_DEFAULT_TOPIC: Final = "SELECT name FROM topics WHERE application_id = %s AND is_default"
"""Made with the first mail that needs it: until then it has the name that it will get."""


async def _default_topic(connection: Connection, application_id: UUID) -> str:
    row = await (await connection.execute(_DEFAULT_TOPIC, [application_id])).fetchone()
    return row[0] if row is not None else DEFAULT_NAME


async def _obstacles(connection: Connection, campaign: Campaign, pages: bool) -> list[Refused]:
    return await steering.obstacles(connection, campaign, pages=pages) if campaign.state in _BEFORE else []


async def _of_people(connection: Connection, campaign: Campaign, *, before: bool) -> tuple[People, list[Finding]]:
    """The people, and what is to say of them: how few there are, what they lack, what they got already."""
    if not _goes_to_somebody(campaign) or not before:
        return People(), []
    try:
        required = await asyncio.to_thread(wording.required, list(speaking.every(campaign).values()))
        wanted = await audience.variables(connection, campaign, required)
        found = await audience.counted(connection, campaign, wanted.of_people)
        again = await alike.findings(connection, campaign, found.total)
    except Refused as error:
        advice = error.hint or "Look at the segment with `postlane segments show`."
        return People(), [warns(Code.AUDIENCE, f"Its people cannot be asked for: {error.reason}.", advice)]
    return found, [*_reached(found), *_lacking(found), *again]


async def _words(connection: Connection, campaign: Campaign) -> list[Finding]:
    """What is said of the words as the first person found would get them."""
    known = await audience.bounded(connection, _somebodys(connection, campaign)) or {}
    return await asyncio.to_thread(wording.remarks_for, speaking.every(campaign), known)


async def _somebodys(connection: Connection, campaign: Campaign) -> Mapping[str, object]:
    """Variables of somebody of the audience; none of nobody."""
    if not _goes_to_somebody(campaign):
        return {}
    try:
        asked, names = await people.question(connection, campaign)
    except Refused:
        return {}
    row = await (await connection.execute(f"SELECT p.id FROM ({asked}) p LIMIT 1", names)).fetchone()
    if row is None:
        return {}
    who = (await contacts.by_ids(connection, [row[0]])).get(row[0])
    return variables(who, await properties.known(connection, campaign.application_id)) if who is not None else {}


def _goes_to_somebody(campaign: Campaign) -> bool:
    return campaign.segment_id is not None or campaign.follow is not None


async def _domain_id(connection: Connection, campaign: Campaign) -> UUID | None:
    try:
        name = parse_mailbox(campaign.words.sender).domain
    except AddressError:
        return None
    found = await accounts.domain_named(connection, campaign.application_id, name)
    return found.id if found is not None else None


async def _links(tools: Tools, campaign: Campaign) -> list[Finding]:
    """Links that lead nowhere, and those that could not be asked."""
    every = speaking.every(campaign).values()
    found_in = [await asyncio.to_thread(asked_links, one.html or "", one.text or "") for one in every]
    urls = list(dict.fromkeys(url for found in found_in for url in found))
    probe = LinkProbe(tools.resolver, networks(tools.settings.webhook_networks))
    troubles = await probe.troubles(urls)
    dead = {url: trouble for url, trouble in troubles.items() if trouble}
    found = []
    if dead:
        told = "; ".join(f"{url[:100]} ({why})" for url, why in list(dead.items())[:_MOST_NAMED])
        advice = "Mend them, or look at them in a browser: some servers turn machines away."
        found.append(warns(Code.DEAD_LINKS, f"{len(dead)} of {len(urls)} links do not answer: {told}.", advice))
    if len(troubles) < len(urls):
        told = f"{len(urls) - len(troubles)} of {len(urls)} links were not looked at in time."
        found.append(
            warns(Code.UNCHECKED_LINKS, told, f"Check again; of more than {MOST} links look at some yourself.")
        )
    return found


async def _domain(tools: Tools, campaign: Campaign, domain_id: UUID | None) -> list[Finding]:
    """What is wrong with the sender's domain. Of mail that never leaves nothing is asked."""
    if domain_id is None or campaign.capture:
        return []
    ours = Installation(tools.settings.hostname, tools.secret, tools.settings.public_url)
    looked = await look(tools.database, fresh_resolver(tools.settings), ours, domain_id)
    return domain.findings(looked) if looked is not None else []


async def _outlook(tools: Tools, campaign: Campaign, read: _Read) -> Forecast | None:
    if campaign.state in _UNDER_WAY:
        return await of_running(tools, campaign)
    if campaign.state not in _BEFORE or not read.people.reached:
        return None
    found = await by_provider(tools.resolver, tools.providers, read.people.by_domain)
    made = given(campaign, found, read.sending.ips, tools.providers, read.now, read.zones)
    return await asyncio.to_thread(forecast, made)


def _never(outlook: Forecast | None, leaving: Sending) -> list[Finding]:
    late = [one for one in outlook.providers if one.ends_at is None] if outlook is not None else []
    if not late:
        return []
    names = ", ".join(f"{one.provider} ({one.people:,} people)" for one in late[:_MOST_NAMED])
    pool = f"the pool {leaving.pool}" if leaving.pool else "the marketing lane, which has no pool"
    why = f"held by {HELD[late[0].held_by]}" if late[0].held_by else "it is too much"
    told = f"Mail is not out within 90 days for {names}: {why}."
    return [
        warns(Code.NEVER_ENDS, told, f"Look at the IPs of {pool}: `postlane pools show`, `postlane warmup status`.")
    ]


def _refusing(error: Refused) -> Finding:
    """What a start is refused with."""
    code = _CODES.get(error.field.partition(".")[0])
    if error.code == steering.NOBODY_CAN_HAVE:
        told = f"{error.reason[:1].upper()}{error.reason[1:]}."
        return Finding(Code.UNKNOWN_VARIABLES, Severity.REFUSES, told, error.hint)
    if code is None:
        named = {"Segment not found": Code.SEGMENT, "Topic not found": Code.TOPIC}
        code = named.get(error.reason, Code.OTHER)
    told = f"{error.field}: {error.reason}" if error.field else error.reason
    return Finding(code, Severity.REFUSES, f"It cannot begin: {told.rstrip('.')}.", error.hint or "Mend that first.")


def _no_topic(name: str) -> Finding:
    told = f"It has no topic, so it counts as the application's default topic, “{name}”."
    return warns(Code.TOPIC, told, "Give it one: people can leave a type of mail then, instead of all of it.")


def _reached(found: People) -> list[Finding]:
    if not found.total:
        return [warns(Code.AUDIENCE, "Nobody is in its segment.", "Put people in, or choose another segment.", 0)]
    if found.reached >= found.total * _FEW:
        return []
    reasons = sorted(found.skipped.items(), key=lambda one: -one[1])
    why = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in reasons)
    about = "" if found.exact else "about "
    told = f"Only {about}{found.reached:,} of {found.total:,} people may get it: {why}."
    return [
        warns(Code.UNREACHABLE, told, "The page on segments says what each reason means.", found.total - found.reached)
    ]


def _lacking(found: People) -> list[Finding]:
    most = sorted(found.lacking.items(), key=lambda one: -one[1])[:_MOST_NAMED]
    return [
        Finding(
            Code.MISSING_VARIABLES,
            Severity.REFUSES if n == found.total else Severity.WARNS,
            f"`{name}` has no default, and {n:,} of {found.total:,} people have none: their mail cannot be made.",
            f'Write {{{{ {name} | default("you") }}}}, or give the property a fallback.',
            n,
        )
        for name, n in most
    ]


async def of_application(tools: Tools, application_id: UUID | None, campaign_id: UUID) -> Checks:
    """The same of a campaign by its id. Raises Refused: there is none."""
    async with tools.database.connection() as connection:
        campaign = await repository.get(connection, application_id, campaign_id)
    return await check(tools, campaign)
