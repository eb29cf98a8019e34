"""`/ips`: our sending addresses, how each stands and why, and its reputation.

Thin: rules and storage are in `pools/ips`, the picture in `pools/ip_status`, the story in `pools/ip_history`. Every
route wants an operator's key. Whether this host can send from an IP is tried before the transaction: it opens sockets.
"""

from datetime import timedelta
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Query, Response

from api.auth import Operator
from api.deps import Deps
from api.errors import invalid_field
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, by, known_site
from api.schemas.ips import (
    CreateIp,
    ImportedAnswer,
    IpAnswer,
    IpDeleted,
    IpList,
    Pause,
    PostReputation,
    ReputationAnswer,
    StoryAnswer,
    UpdateIp,
)
from mta.connect import reachable
from mta.from_settings import own_servers
from mta.model import EgressIp
from mta.relay import relay_trouble
from mta.via import is_relay
from pools import ips, reputation_repository
from pools.ip_history import MOST, history, now_lines
from pools.ip_status import ip_status, ip_statuses
from pools.ip_values import IpChange, LimitsChange, changed, egress_ip, usable
from pools.reputation_repository import GRADES, Imported
from web.answers import json_answer
from web.faces.ips import imported_face, ip_face, reputation_face, story_face
from web.faces.references import deleted
from web.paging import listed, page_of

router = APIRouter(prefix="/ips", tags=["IPs"], route_class=OperatorRoute)

_OLDEST_FIGURE: Final = timedelta(days=3650)

Days = Annotated[int, Query(ge=1, le=reputation_repository.MOST_DAYS, description="Days of evidence to look at.")]


@router.post("", summary="Create an IP", status_code=201, response_model=IpAnswer, responses=errors("conflict"))
async def create_ip(body: CreateIp, who: Operator, given: With) -> Response:
    """Adds an IP, or a relay: somebody's mail server that takes mail after a login. It is tried first: this host must
    be able to bind it, to reach its proxy or to log in to the relay, unless `elsewhere`."""
    named = body.ehlo_name or (given.settings.hostname if is_relay(body.via) else "")
    ip = egress_ip(body.address, named, body.bind_address, body.via, _limits(body))
    await _tried(ip, body.elsewhere, given)
    async with given.database.transaction() as connection:
        row = await ips.add_ip(connection, ip, given.secret)
        return json_answer(ip_face(await ip_status(connection, row.address)), 201)


@router.get("", summary="List IPs", response_model=IpList)
async def list_ips(who: Operator, given: With, wanted: Part) -> Response:
    """All IPs: state, pools, warm-up stage, today's cap and use by provider, rests."""
    async with given.database.connection() as connection:
        found = page_of(await ip_statuses(connection), lambda one: one.ip.address, wanted)
    return json_answer(listed(found, ip_face))


@router.get("/{address}", summary="Get an IP", response_model=IpAnswer, responses=errors("not_found"))
async def get_ip(address: str, who: Operator, given: With) -> Response:
    """An IP by its address."""
    async with given.database.connection() as connection:
        return json_answer(ip_face(await ip_status(connection, address)))


@router.patch("/{address}", summary="Update an IP", response_model=IpAnswer, responses=errors("not_found"))
async def update_ip(address: str, body: UpdateIp, who: Operator, given: With) -> Response:
    """Changes EHLO name, bound address or proxy of an IP; login and limits of a relay."""
    async with given.database.connection() as connection:
        row = await ips.ip_row(connection, address)
    ip = changed(row.egress(given.secret), IpChange(body.ehlo_name, body.bind_address, body.via, _limits(body)))
    await _tried(ip, body.elsewhere, given)
    async with given.database.transaction() as connection:
        await ips.change_ip(connection, ip, given.secret)
        return json_answer(ip_face(await ip_status(connection, row.address)))


@router.delete(
    "/{address}", summary="Delete an IP", response_model=IpDeleted, responses=errors("not_found", "conflict")
)
async def delete_ip(
    address: str,
    who: Operator,
    given: With,
    force: Annotated[bool, Query(description="Also when it is in a pool or warming up.")] = False,
) -> Response:
    """Forgets an IP."""
    async with given.database.transaction() as connection:
        row = await ips.remove_ip(connection, address, force=force)
    return json_answer(deleted("ip", row.address))


@router.post(
    "/{address}/pause", summary="Pause an IP", response_model=IpAnswer, responses=errors("not_found", "conflict")
)
async def pause_ip(address: str, body: Pause, who: Operator, given: With) -> Response:
    """Sends nothing more through an IP until it is resumed; its mail leaves through the others of its pools."""
    async with given.database.transaction() as connection:
        row = await ips.pause_ip(connection, address, body.reason, by(who))
        return json_answer(ip_face(await ip_status(connection, row.address)))


@router.post(
    "/{address}/resume", summary="Resume an IP", response_model=IpAnswer, responses=errors("not_found", "conflict")
)
async def resume_ip(address: str, who: Operator, given: With) -> Response:
    """Ends a pause."""
    async with given.database.transaction() as connection:
        row = await ips.resume_ip(connection, address, by(who))
        return json_answer(ip_face(await ip_status(connection, row.address)))


@router.get(
    "/{address}/why", summary="Explain how an IP stands", response_model=StoryAnswer, responses=errors("not_found")
)
async def why(
    address: str,
    who: Operator,
    given: With,
    provider: Annotated[
        str | None, Query(max_length=300, description="Only this provider, or `mx:<server>` of a small one.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST, description="Most changes to return.")] = 50,
) -> Response:
    """How an IP stands, and the last changes with their rule and reply: throttles, pauses, warm-up; newest first."""
    site = known_site(given, provider) if provider else ""
    async with given.database.connection() as connection:
        found = await ip_status(connection, address)
        changes = await history(connection, found.ip.address, site, limit)
    return json_answer(story_face(found, site, now_lines(found, site, given.clock.now()), changes))


@router.get(
    "/{address}/reputation",
    summary="Get the reputation of an IP",
    response_model=ReputationAnswer,
    responses=errors("not_found"),
)
async def get_reputation(address: str, who: Operator, given: With, days: Days = 7) -> Response:
    """A score from 0 to 100 at each provider by our own evidence, and beside it the figures that others gave."""
    async with given.database.connection() as connection:
        row = await ips.ip_row(connection, address)
        found = await reputation_repository.evidence(connection, row.address, days)
        imported = await reputation_repository.latest_imports(connection, row.address)
    return json_answer(reputation_face(row.address, days, found, imported))


@router.post(
    "/{address}/reputation",
    summary="Add a reputation figure of an IP",
    status_code=201,
    response_model=ImportedAnswer,
    responses=errors("not_found"),
)
async def post_reputation(address: str, body: PostReputation, who: Operator, given: With) -> Response:
    """Keeps a figure of Sender Score, SNDS, Postmaster or whoever, beside our own score."""
    provider = known_site(given, body.provider, field="provider", everywhere=True)
    now = given.clock.now()
    at = body.at or now
    if at.tzinfo is None or not now - _OLDEST_FIGURE <= at <= now + timedelta(days=1):
        raise invalid_field("The `at` field needs a time zone, and may not lie in the future or ten years back.")
    figure = GRADES.get(body.figure.lower()) if isinstance(body.figure, str) else body.figure
    if figure is None:
        raise invalid_field(f"The `figure` field is not valid: it must be 0 to 100, or one of {', '.join(GRADES)}.")
    note = body.note or (body.figure if isinstance(body.figure, str) else "")
    async with given.database.transaction() as connection:
        row = await ips.ip_row(connection, address)
        wanted = Imported(row.address, provider, body.source, figure, note, at)
        made = await reputation_repository.add_import(connection, wanted)
    return json_answer(imported_face(made), 201)


def _limits(body: CreateIp | UpdateIp) -> LimitsChange:
    return LimitsChange(body.connections, body.messages_per_second, body.messages_per_hour)


async def _tried(ip: EgressIp, elsewhere: bool, given: Deps) -> None:
    if not elsewhere:
        asked = partial(relay_trouble, ca_file=given.settings.tls_verify_store, guard=own_servers(given.settings))
        await usable(ip, reachable, asked)
