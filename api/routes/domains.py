"""`/domains`: the sender domains of an application, their DNS records, and the check whether those are published.

Thin: names and rules here, storage in `accounts/repository`, records in `accounts/records`, the check in
`accounts/verify`. Every route wants full access and sees only the caller's own domains.
"""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Response

from accounts import advice, repository, rotation
from accounts.directory import Caller
from accounts.domain import Domain, DomainTracking
from accounts.names import return_path_name, sender_domain_name, tracking_name
from accounts.repository import DomainRequest
from accounts.verify import CHECK_SECONDS, Installation, fresh_resolver, verify_domain
from api.auth import FullAccess, KeyedRoute
from api.deps import Deps, deps
from api.errors import ApiError, invalid_field
from api.openapi import errors
from api.schemas.domains import (
    CreateDomain,
    DomainAdviceList,
    DomainAnswer,
    DomainDeleted,
    DomainList,
    DomainReference,
    UpdateDomain,
)
from core.addresses import AddressError
from core.objectives import REPORT
from core.paging import Page, Window
from web.answers import json_answer
from web.faces.domains import advice_face, domain_detail, domain_face
from web.faces.references import deleted, reference
from web.objectives import serves
from web.paging import listed, window

router = APIRouter(prefix="/domains", tags=["Domains"], route_class=KeyedRoute)

With = Annotated[Deps, Depends(deps)]


@router.post(
    "",
    summary="Create a domain",
    status_code=201,
    responses=errors("conflict"),
    response_model=DomainAnswer,
)
async def create_domain(body: CreateDomain, who: FullAccess, given: With) -> Response:
    """Registers a domain, makes its DKIM keys, and lists the DNS records to publish."""
    _refuse_what_we_lack(body)
    name = _domain_name(body.name)
    return_path = _return_path(name, body.custom_return_path or given.settings.return_path_label)
    taken = ApiError("conflict", f"The domain {name} is already registered.")
    async with given.database.connection() as connection:
        if await repository.domain_named(connection, who.application_id, name) is not None:
            raise taken
    tracking = _tracking(body, DomainTracking(), (name, return_path), given)
    request = DomainRequest(who.application_id, name, return_path, await repository.make_keys(), tracking)
    async with given.database.transaction() as connection:
        created = await repository.create_domain(connection, given.secret, request)
    if created is None:
        raise taken
    given.directory.forget()
    return json_answer(domain_detail(created, given.settings.hostname, given.settings.public_name), 201)


@router.get("", summary="List domains", response_model=DomainList)
async def list_domains(who: FullAccess, given: With, wanted: Annotated[Window[UUID], Depends(window)]) -> Response:
    """Domains, newest first; all of them when no `limit` is given."""
    async with given.database.connection() as connection:
        found = await repository.domains(connection, who.application_id, wanted)
    return json_answer(listed(found, domain_face))


@router.get("/{domain_id}", summary="Get a domain", responses=errors("not_found"), response_model=DomainAnswer)
async def get_domain(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """A domain with its records, and how they stood at the last check."""
    found = await _own(domain_id, who, given)
    return json_answer(domain_detail(found, given.settings.hostname, given.settings.public_name))


@router.get(
    "/{domain_id}/advice",
    summary="Explain what receivers look up",
    responses=errors("not_found"),
    response_model=DomainAdviceList,
)
async def look_around(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """What receivers look up besides: DMARC's policy, BIMI, MTA-STS, TLS reports. Asked now, in at most five seconds;
    nothing of it is a condition of sending."""
    domain = await _own(domain_id, who, given)
    found = await advice.look_around(given.resolver, domain.name, [], CHECK_SECONDS)
    return json_answer(listed(Page(found), advice_face))


@router.patch(
    "/{domain_id}",
    summary="Update a domain",
    responses=errors("not_found"),
    response_model=DomainReference,
)
async def update_domain(domain_id: UUID, body: UpdateDomain, who: FullAccess, given: With) -> Response:
    """Changes what is tracked in its mail; workers know within a minute. What this server cannot do is refused."""
    _refuse_what_we_lack(body)
    domain = await _own(domain_id, who, given)
    wanted = _tracking(body, domain.tracking, (domain.name, domain.return_path_domain), given)
    async with given.database.transaction() as connection:
        if wanted != domain.tracking and not await repository.set_tracking(connection, domain_id, wanted):
            raise _unknown(domain_id)
    return json_answer(reference("domain", domain.id))


@router.post(
    "/{domain_id}/verify", summary="Verify a domain", responses=errors("not_found"), response_model=DomainReference
)
@serves(REPORT)
async def verify(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """Checks the records now, in at most five seconds; read the result from the domain."""
    await _own(domain_id, who, given)
    lookup = fresh_resolver(given.settings)
    ours = Installation(given.settings.hostname, given.secret, given.settings.public_url)
    if await verify_domain(given.database, lookup, ours, domain_id, by=None) is None:
        raise _unknown(domain_id)
    given.directory.forget()
    return json_answer(reference("domain", domain_id))


@router.post(
    "/{domain_id}/rotation",
    summary="Rotate the keys of a domain",
    status_code=201,
    responses=errors("not_found", "conflict"),
    response_model=DomainAnswer,
)
async def rotate(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """Makes new keys, whose records are published beside the old ones. Mail is signed with the old keys until a check
    of the domain finds the new records; the old ones have to stay a week longer, as `rotation` says."""
    domain = await _own(domain_id, who, given)
    keys = await repository.make_keys()
    async with given.database.transaction() as connection:
        after = await rotation.begin(connection, given.secret, domain, keys)
    return json_answer(domain_detail(after, given.settings.hostname, given.settings.public_name), 201)


@router.delete(
    "/{domain_id}/rotation",
    summary="Cancel the rotation of keys",
    responses=errors("not_found", "conflict"),
    response_model=DomainAnswer,
)
async def give_up(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes the keys that were coming. What mail is signed with does not change."""
    domain = await _own(domain_id, who, given)
    async with given.database.transaction() as connection:
        after = await rotation.give_up(connection, domain)
    return json_answer(domain_detail(after, given.settings.hostname, given.settings.public_name))


@router.delete("/{domain_id}", summary="Delete a domain", responses=errors("not_found"), response_model=DomainDeleted)
async def delete_domain(domain_id: UUID, who: FullAccess, given: With) -> Response:
    """Deletes a domain, its DKIM keys, and the API keys that were bound to it."""
    async with given.database.transaction() as connection:
        if not await repository.delete_domain(connection, who.application_id, domain_id):
            raise _unknown(domain_id)
    given.directory.forget()
    return json_answer(deleted("domain", domain_id))


async def _own(domain_id: UUID, who: Caller, given: Deps) -> Domain:
    async with given.database.connection() as connection:
        found = await repository.domain(connection, who.application_id, domain_id)
    if found is None:
        raise _unknown(domain_id)
    return found


def _unknown(domain_id: UUID) -> ApiError:
    return ApiError("not_found", f"There is no domain {domain_id}.")


def _domain_name(text: str) -> str:
    try:
        return sender_domain_name(text)
    except AddressError as error:
        reason = error.reason.replace("The part after the @-sign", "It")
        raise invalid_field(f"The `name` field is not a domain such as shop.example: {reason}") from None


def _return_path(name: str, label: str) -> str:
    try:
        return return_path_name(name, label)
    except AddressError as error:
        raise invalid_field(f"The `custom_return_path` field is not a label below {name}: {error.reason}") from None


def _tracking(
    body: CreateDomain | UpdateDomain, before: DomainTracking, names: tuple[str, str], given: Deps
) -> DomainTracking:
    """What is tracked from now on. `names` are those of the domain and of its return path."""
    opens = before.opens if body.open_tracking is None else body.open_tracking
    clicks = before.clicks if body.click_tracking is None else body.click_tracking
    label = body.tracking_subdomain if "tracking_subdomain" in body.model_fields_set else before.subdomain
    if not given.settings.public_url:
        for field in ("open_tracking", "click_tracking", "tracking_subdomain"):
            if getattr(body, field):
                raise invalid_field(
                    f"The `{field}` field cannot be set: this server has no public pages that a tracked link could "
                    "lead to (the operator sets POSTLANE_PUBLIC_URL)."
                )
    return DomainTracking(opens, clicks, _tracking_label(label, names) if label else None)


def _tracking_label(label: str, names: tuple[str, str]) -> str:
    name, return_path = names
    try:
        return tracking_name(name, label, return_path).removesuffix(f".{name}")
    except AddressError as error:
        raise invalid_field(f"The `tracking_subdomain` field is not a label below {name}: {error.reason}") from None


def _refuse_what_we_lack(body: CreateDomain | UpdateDomain) -> None:
    """Saying yes to what is then not done would be worse than an error."""
    if body.tls == "enforced":
        raise invalid_field(
            "The `tls` field cannot be `enforced`: this server sends with TLS wherever the receiver has it. "
            "Leave the field out, or say `opportunistic`."
        )
