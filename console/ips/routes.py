"""`/ips`: the heat map IP by provider, why an IP stands as it does, and what an operator does about it.

`?open=ADDRESS SITE` opens the panel of one cell. Thin: `pools/ips`, `pools/throttle_administration` and
`pools/administration` check and store, as they do for the API and the command line.
"""

from datetime import timedelta
from ipaddress import ip_address
from typing import Final
from urllib.parse import urlencode

from fastapi import APIRouter, Response

from accounts.audit import Entry as Audit
from accounts.audit import Values
from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.ips import words
from console.ips.figures import Why, one_ip, whole_board, why
from console.menu import Entry
from console.noun import Noun
from console.outcomes import by_hour
from console.rendering import page
from console.sites import shown_site
from console.visit import Visit, Visiting
from core.refusal import Refused, invalid
from mta.connect import reachable
from mta.from_settings import providers_of
from mta.model import EgressIp
from mta.providers import site_named
from mta.via import masked
from pools import administration, ips, throttle_administration
from pools.ip_status import IpStatus
from pools.ip_values import egress_ip, normal_address, usable
from pools.model import EVERYWHERE
from pools.reputation import reputation
from pools.throttle_repository import Key, ThrottleRow
from warmup.status import openings

router = APIRouter(route_class=ConsoleRoute)


async def jump(visit: Visit, text: str) -> str | None:
    """The page of an IP of ours."""
    try:
        ip_address(text)
    except ValueError:
        return None
    async with visit.given.database.connection() as connection:
        known = {row.address for row in await ips.ip_rows(connection)}
    return f"/ips/{normal_address(text)}" if visit.may(Right.MACHINE_SEE) and normal_address(text) in known else None


NOUN = Noun(router, [Entry("Operate", 10, "IPs", "/ips", "ips", Right.MACHINE_SEE)], jump)

_MOST_HOURS: Final = 100_000


@router.get("/ips")
@needs(Right.MACHINE_SEE)
async def show(visit: Visiting) -> Response:
    """The heat map, perhaps with the panel of one cell."""
    return await _map(visit, visit.asked("open"))


@router.get("/ips/new")
@needs(Right.MACHINE_CHANGE)
async def new(visit: Visiting) -> Response:
    """The form that adds one."""
    return await _new(visit)


@router.post("/ips")
@needs(Right.MACHINE_CHANGE)
async def create(visit: Visiting) -> Response:
    """Adds an IP, tried from this host first unless another one sends from it, and puts it into a pool."""
    pool = visit.field("pool")
    try:
        ip = egress_ip(visit.field("address"), visit.field("ehlo_name"), visit.field("bind_address"))
        if visit.field("elsewhere") != "on":
            await usable(ip, reachable, _no_relay)
        async with visit.given.database.transaction() as connection:
            row = await ips.add_ip(connection, ip, visit.given.secret)
            after = {"ehlo_name": row.ehlo_name, "bind_address": row.bind_address, "pool": pool}
            if pool:
                await administration.attach(connection, pool, row.address)
            await visit.note(connection, Audit("ip.create", row.address, after=after))
    except Refused as error:
        return await _new(visit, error)
    return visit.go(f"/ips/{row.address}", f"{row.address} is there. Let it warm up before it carries much.")


@router.get("/ips/{address}")
@needs(Right.MACHINE_SEE)
async def show_ip(address: str, visit: Visiting) -> Response:
    """One IP: providers, pools, reputation, story."""
    return await _ip(visit, address)


@router.post("/ips/{address}/pause")
@needs(Right.MACHINE_CHANGE)
async def pause(address: str, visit: Visiting) -> Response:
    """Nothing more leaves through it until it is resumed."""
    try:
        async with visit.given.database.transaction() as connection:
            row = await ips.pause_ip(connection, address, visit.field("reason"), visit.me.email)
            await visit.note(connection, Audit("ip.pause", row.address, {"active": True}, _paused(row)))
    except Refused as error:
        return await _ip(visit, address, error)
    return visit.go(f"/ips/{row.address}", f"{row.address} is paused. Its mail leaves through the others of its pools.")


@router.post("/ips/{address}/resume")
@needs(Right.MACHINE_CHANGE)
async def resume(address: str, visit: Visiting) -> Response:
    """Ends a pause."""
    async with visit.given.database.transaction() as connection:
        was = await ips.ip_row(connection, address)
        row = await ips.resume_ip(connection, address, visit.me.email, visit.field("reason"))
        await visit.note(connection, Audit("ip.resume", row.address, _paused(was), _paused(row)))
    return visit.go(f"/ips/{row.address}", f"{row.address} sends again.")


@router.post("/ips/{address}/override")
@needs(Right.MACHINE_CHANGE)
async def override(address: str, visit: Visiting) -> Response:
    """Ends a rest."""
    try:
        site = site_named(providers_of(visit.given.settings), visit.field("provider"), also=(EVERYWHERE,))
        async with visit.given.database.transaction() as connection:
            was = await throttle_administration.found(connection, "ip", address, site)
            row = await throttle_administration.override(
                connection, "ip", address, site, visit.field("reason"), visit.me.email
            )
            before = _held(was[0]) if was else None
            await visit.note(connection, Audit("throttle.override", f"{address} {site}", before, _held(row)))
    except Refused as error:
        return await _map(visit, _panel(visit, address), error)
    said = f"{address} tries {shown_site(site)} now. If it is refused again, it rests anew, and longer."
    return visit.go(map_address(f"{address} {site}"), said)


@router.post("/ips/{address}/rest")
@needs(Right.MACHINE_CHANGE)
async def rest(address: str, visit: Visiting) -> Response:
    """Rests it at a provider for some hours, whatever the provider says."""
    try:
        site = site_named(providers_of(visit.given.settings), visit.field("provider"), also=(EVERYWHERE,))
        until = visit.now + _lasting(visit.field("hours"))
        key = Key("ip", address, site)
        async with visit.given.database.transaction() as connection:
            was = await throttle_administration.found(connection, "ip", address, site)
            row = await throttle_administration.rest(
                connection, key, until, visit.field("reason"), visit.me.email, visit.now
            )
            before = _held(was[0]) if was else {"state": "healthy"}
            await visit.note(connection, Audit("throttle.rest", f"{row.key.subject} {site}", before, _held(row)))
    except Refused as error:
        return await _map(visit, _panel(visit, address), error)
    return visit.go(map_address(f"{row.key.subject} {site}"), f"{row.key.subject} rests at {shown_site(site)}.")


@router.post("/ips/{address}/weight")
@needs(Right.MACHINE_CHANGE)
async def weigh(address: str, visit: Visiting) -> Response:
    """Sets its share in a pool."""
    pool = visit.field("pool")
    try:
        async with visit.given.database.transaction() as connection:
            was = await administration.one_pool(connection, pool)
            row = await administration.set_weight(connection, pool, normal_address(address), _weight(visit))
            change = Audit("pool.weight", row.name, _weights(was), _weights(row))
            await visit.note(connection, change)
    except Refused as error:
        return await _ip(visit, address, error)
    return visit.go(f"/ips/{address}", f"The share of {address} in pool {row.name} is {_weight(visit)} now.")


@router.post("/ips/{address}/move")
@needs(Right.MACHINE_CHANGE)
async def move(address: str, visit: Visiting) -> Response:
    """Takes it out of one pool (`from`) and puts it into another (`to`); one of them may be "" for none."""
    source, target = visit.field("from"), visit.field("to")
    ip = normal_address(address)
    try:
        if not source and not target:
            raise invalid("to", "choose a pool")
        async with visit.given.database.transaction() as connection:
            if source:
                was = await administration.one_pool(connection, source)
                left = await administration.detach(connection, source, ip)
                await visit.note(connection, Audit("pool.detach", left.name, _weights(was), _weights(left)))
            if target:
                was = await administration.one_pool(connection, target)
                joined = await administration.attach(connection, target, ip)
                await visit.note(connection, Audit("pool.attach", joined.name, _weights(was), _weights(joined)))
    except Refused as error:
        return await _ip(visit, address, error)
    to = f"is in pool {target} now" if target else f"has left pool {source}"
    return visit.go(f"/ips/{ip}", f"{ip} {to}. Workers know within five seconds.")


async def _map(visit: Visit, open_at: str, error: Refused | None = None) -> Response:
    address, _, site = open_at.partition(" ")
    async with visit.given.database.connection() as connection:
        seen = await whole_board(connection)
        panel = await why(connection, address, site or EVERYWHERE) if address else None
        more = await openings(connection, visit.now)
    return page(
        visit, "ips/map.html", 422 if error else 200, seen=seen, panel=panel, error=error, words=words,
        limits=_limits(visit, panel), shown_site=shown_site, EVERYWHERE=EVERYWHERE,
        at=map_address, more=more,
    )  # fmt: skip


async def _ip(visit: Visit, address: str, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        seen = await one_ip(connection, address, visit)
        more = await openings(connection, visit.now)
    scores = [(site, evidence, reputation(evidence)) for site, evidence in seen.evidence.items()]
    return page(
        visit, "ips/ip.html", 422 if error else 200, seen=seen, one=seen.why.status, error=error, words=words,
        chart=by_hour(seen.hours, of_ip=True), scores=scores, via=_via(seen.why.status), shown_site=shown_site,
        EVERYWHERE=EVERYWHERE, more=more,
    )  # fmt: skip


async def _new(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        pools = [pool.name for pool in await administration.all_pools(connection)]
    return page(visit, "ips/new.html", 422 if error else 200, error=error, pools=pools)


async def _no_relay(_: EgressIp) -> str:
    """The form makes no relays: their passwords are for the command line."""
    return ""


def _limits(visit: Visit, panel: Why | None) -> object:
    return providers_of(visit.given.settings).limits_of_site(panel.site) if panel else None


def _via(one: IpStatus) -> str:
    return masked(one.ip.via)


def map_address(key: str = "") -> str:
    """The map, with the panel of one cell (`ADDRESS SITE`), or closed."""
    return f"/ips?{urlencode({'open': key})}" if key else "/ips"


def _panel(visit: Visit, address: str) -> str:
    return f"{address} {visit.field('provider')}"


def _lasting(hours: str) -> timedelta:
    """Before a time is made of it: there is none for NaN. How much is too long, the service says."""
    try:
        wanted = float(hours)
    except ValueError:
        wanted = 0
    if not 0 < wanted < _MOST_HOURS:
        raise invalid("hours", "say for how many hours")
    return timedelta(hours=wanted)


def _weight(visit: Visit) -> int:
    try:
        return int(visit.field("weight"))
    except ValueError:
        raise invalid("weight", "it must be a whole number from 0 to 1000") from None


def _paused(row: ips.IpRow) -> Values:
    return {"active": row.active, "paused_reason": row.paused_reason}


def _held(row: ThrottleRow) -> Values:
    found = row.condition
    return {"state": found.state.value, "rest_until": found.rest_until, "rate": found.rate, "rule": found.rule}


def _weights(row: administration.PoolRow) -> Values:
    return {member.address: member.weight for member in row.members}
