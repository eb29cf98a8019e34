"""`/seeds`: mailboxes of ours at the providers, and where mail to them lands.

Thin: `alarms/seeds` stores; the background worker sends and looks. Every route wants an operator's key. A seed is named
by its address or id.
"""

from fastapi import APIRouter, Response

from alarms import seeds
from alarms.seeds import PORTS, Account, NewSeed
from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, known_site
from api.schemas.seeds import CreateSeed, SeedAnswer, SeedDeleted, SeedDetail, SeedList
from core.objectives import REPORT
from core.queues import Lane
from web.answers import json_answer
from web.faces.references import deleted
from web.faces.seeds import seed_detail, seed_face
from web.objectives import serves
from web.paging import listed, page_of

router = APIRouter(prefix="/seeds", tags=["Seeds"], route_class=OperatorRoute)


@router.get("", summary="List seed accounts", response_model=SeedList)
async def list_seeds(who: Operator, given: With, wanted: Part) -> Response:
    """All seed accounts with where their newest probe landed."""
    async with given.database.connection() as connection:
        found = page_of(await seeds.seeds(connection), lambda seed: str(seed.id), wanted)
    return json_answer(listed(found, seed_face))


@router.post("", summary="Add a seed account", status_code=201, response_model=SeedAnswer, responses=errors("conflict"))
async def add_seed(body: CreateSeed, who: Operator, given: With) -> Response:
    """Adds a mailbox; its first probe is sent within a minute."""
    provider, tls = known_site(given, body.provider, field="provider"), body.tls or "tls"
    account = Account(body.host, body.port or PORTS[tls], tls, body.login or body.address, body.password)
    wanted = NewSeed(body.address, provider, account, body.sender, Lane(body.stream), body.every_minutes)
    async with given.database.transaction() as connection:
        seed = await seeds.add(connection, wanted, given.secret)
    return json_answer(seed_face(seed), 201)


@router.get("/{seed}", summary="Get a seed account", response_model=SeedDetail, responses=errors("not_found"))
async def get_seed(seed: str, who: Operator, given: With) -> Response:
    """A seed account with its last probes."""
    async with given.database.connection() as connection:
        found = await seeds.find(connection, seed)
        probes = await seeds.probes(connection, found.id)
    return json_answer(seed_detail(found, probes))


@router.delete("/{seed}", summary="Delete a seed account", response_model=SeedDeleted, responses=errors("not_found"))
async def remove_seed(seed: str, who: Operator, given: With) -> Response:
    """Forgets a seed account and its probes."""
    async with given.database.transaction() as connection:
        found = await seeds.remove(connection, seed)
    return json_answer(deleted("seed", found.id))


@router.post(
    "/{seed}/probe",
    summary="Send a probe to a seed account",
    response_model=SeedAnswer,
    responses=errors("not_found", "conflict"),
)
@serves(REPORT)
async def probe_seed(seed: str, who: Operator, given: With) -> Response:
    """Sends the next probe within a minute."""
    async with given.database.transaction() as connection:
        return json_answer(seed_face(await seeds.probe_now(connection, seed)))


@router.post("/{seed}/pause", summary="Pause a seed account", response_model=SeedAnswer, responses=errors("not_found"))
async def pause_seed(seed: str, who: Operator, given: With) -> Response:
    """Sends no probes to it until it is resumed."""
    async with given.database.transaction() as connection:
        return json_answer(seed_face(await seeds.set_active(connection, seed, active=False)))


@router.post(
    "/{seed}/resume", summary="Resume a seed account", response_model=SeedAnswer, responses=errors("not_found")
)
async def resume_seed(seed: str, who: Operator, given: With) -> Response:
    """Sends probes to it again, the first one within a minute."""
    async with given.database.transaction() as connection:
        return json_answer(seed_face(await seeds.set_active(connection, seed, active=True)))
