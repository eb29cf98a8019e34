"""`/domains`: what must stand in DNS for mail to leave, and whether it does; new keys, tracking, feedback loops.

Thin: `accounts/verify`, `rotation`, `registering` and `advice`, as for the API and the command line. DNS is asked with
no transaction open, and five seconds at most.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import advice, counting, finding, registering, repository, rotation
from accounts.advice import Advice
from accounts.audit import Entry
from accounts.domain import Domain, DomainTracking, domain_audit
from accounts.records import operator_spf
from accounts.repository import DomainRequest
from accounts.roles import Right
from accounts.verify import CHECK_SECONDS, Installation, fresh_resolver, records_of, verify_domain
from console import menu, owners
from console.domains import words
from console.domains.guides import guides
from console.guard import ConsoleRoute, needs
from console.listing import listed, window
from console.noun import Noun
from console.rendering import page
from console.visit import Visit, Visiting
from core.refusal import Refused, conflict, not_found
from messages import waiting
from pools import assignments
from store import figures
from store.database import Connection
from store.figures import Question

router = APIRouter(route_class=ConsoleRoute)

_DAYS: Final = 7


@router.get("/domains")
@needs(Right.SENDING_SEE)
async def list_domains(visit: Visiting) -> Response:
    """All that somebody sees, or those of one application."""
    return await _list(visit)


@router.post("/domains")
@needs(Right.SENDING_CHANGE)
async def create(visit: Visiting) -> Response:
    """Registers a domain and makes its keys."""
    given = visit.given
    try:
        name = registering.named(visit.field("name"))
        below = registering.returning(name, visit.field("return_path") or given.settings.return_path_label)
        keys = await repository.make_keys()
        async with given.database.transaction() as connection:
            owner = (await owners.chosen(connection, visit)).chosen
            made = await repository.create_domain(connection, given.secret, DomainRequest(owner, name, below, keys))
            if made is None:
                raise conflict(f"the domain {name} is already registered", "It is in the list.")
            await _note(visit, connection, "domain.create", None, made)
    except Refused as error:
        return await _list(visit, error)
    return visit.go(f"/domains/{made.id}", f"{made.name} is added. Publish its records, then have them checked.")


@router.get("/domains/{domain_id}")
@needs(Right.SENDING_SEE)
async def show(visit: Visiting, domain_id: UUID) -> Response:
    """The records of one, and how they stood at the last look."""
    return await _one(visit, domain_id)


@router.get("/domains/{domain_id}/around")
@needs(Right.SENDING_SEE)
async def around(visit: Visiting, domain_id: UUID) -> Response:
    """The same page with what receivers look up besides, asked now."""
    async with visit.given.database.connection() as connection:
        domain = await _seen(visit, connection, domain_id)
        ips = await advice.egress_names(connection) if visit.may(Right.MACHINE_SEE) else []
    found = await advice.look_around(visit.given.tools.resolver, domain.name, ips, CHECK_SECONDS)
    return await _one(visit, domain_id, found=found)


@router.post("/domains/{domain_id}/check")
@needs(Right.SENDING_CHANGE)
async def check(visit: Visiting, domain_id: UUID) -> Response:
    """Looks at the records now. New keys whose records are found sign from then on."""
    given = visit.given
    async with given.database.connection() as connection:
        before = await _seen(visit, connection, domain_id)
    ours = Installation.of(given.settings)
    after = await verify_domain(given.database, fresh_resolver(given.settings), ours, domain_id, by=visit.actor)
    if after is None:
        raise _gone()
    if before.coming and before.coming == after.keys:
        said = "The new keys sign from now on. Leave the old records for a week."
    else:
        records = records_of(after, given.settings.hostname, given.settings.public_name)
        good = sum(words.status_of(one, after) == "verified" for one in records)
        said = f"Looked just now: {good} of {len(records)} records are there."
    return visit.go(f"/domains/{domain_id}", said)


@router.post("/domains/{domain_id}/tracking")
@needs(Right.SENDING_CHANGE)
async def track(visit: Visiting, domain_id: UUID) -> Response:
    """What is tracked in its mail, and where tracked links lead first."""
    wanted = DomainTracking(
        visit.field("opens") == "on", visit.field("clicks") == "on", visit.field("tracking_subdomain") or None
    )
    try:
        async with visit.given.database.transaction() as connection:
            before = await _seen(visit, connection, domain_id)
            url = visit.given.settings.public_url
            wanted = registering.tracked(wanted, before.name, before.return_path_domain, url)
            await repository.set_tracking(connection, domain_id, wanted)
            after = await _seen(visit, connection, domain_id)
            await _note(visit, connection, "domain.update", before, after)
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _one(visit, domain_id, error)
    return visit.go(f"/domains/{domain_id}", "What is tracked is changed; workers know within a minute.")


@router.post("/domains/{domain_id}/rotate")
@needs(Right.SENDING_CHANGE)
async def rotate(visit: Visiting, domain_id: UUID) -> Response:
    """Makes new keys. Nothing is signed with them before their records are found."""
    keys = await repository.make_keys()
    async with visit.given.database.transaction() as connection:
        before = await _seen(visit, connection, domain_id)
        after = await rotation.begin(connection, visit.given.secret, before, keys)
        await _note(visit, connection, "domain.rotate", before, after)
    return visit.go(f"/domains/{domain_id}#keys", "New keys are made. Publish their records beside the old ones.")


@router.post("/domains/{domain_id}/rotate/cancel")
@needs(Right.SENDING_CHANGE)
async def give_up(visit: Visiting, domain_id: UUID) -> Response:
    """Forgets the new keys."""
    async with visit.given.database.transaction() as connection:
        before = await _seen(visit, connection, domain_id)
        after = await rotation.give_up(connection, before)
        await _note(visit, connection, "domain.give_up", before, after)
    return visit.go(f"/domains/{domain_id}#keys", "The new keys are gone. Their records may be removed.")


@router.get("/domains/{domain_id}/delete")
@needs(Right.SENDING_CHANGE)
async def ask(visit: Visiting, domain_id: UUID) -> Response:
    """What deleting it would mean, with its numbers."""
    async with visit.given.database.connection() as connection:
        domain = await _seen(visit, connection, domain_id)
        keys = (await repository.keys(connection, domain.application_id)).entries
        waits = await waiting.of_domain(connection, domain.application_id, domain_id)
        delivered = await _delivered(connection, visit, domain)
    bound = sum(key.domain_id == domain_id for key in keys)
    follows = words.follows(waits, bound, delivered, waiting.MOST, domain.name)
    return page(visit, "domains/delete.html", domain=domain, follows=follows)


@router.post("/domains/{domain_id}/delete")
@needs(Right.SENDING_CHANGE)
async def delete(visit: Visiting, domain_id: UUID) -> Response:
    """Deletes a domain, its keys, and the API keys bound to it."""
    async with visit.given.database.transaction() as connection:
        domain = await _seen(visit, connection, domain_id)
        await repository.delete_domain(connection, domain.application_id, domain_id)
        await assignments.forget_gone(connection)
        await _note(visit, connection, "domain.delete", domain, None)
    return visit.go("/domains", f"{domain.name} is deleted. Its records may be removed from DNS.")


async def _list(visit: Visit, error: Refused | None = None) -> Response:
    settings, wanted = visit.given.settings, window(visit)
    async with visit.given.database.connection() as connection:
        names = await owners.owners(connection, visit)
        chosen = owners.asked_for(visit, names)
        mine = chosen or list(names)
        found = await repository.domains_of(connection, mine, wanted) if names else None
        counted = await counting.domains(connection, mine)
    rows = listed(visit, found, wanted, lambda one: one.id) if found else None
    lacks = {
        one.id: words.lacks(one, records_of(one, settings.hostname, settings.public_name))
        for one in (rows.rows if rows else ())
    }
    answered = words.may_send(counted) if rows else "From none yet: there is no application."
    return page(
        visit, "domains/list.html", 422 if error else 200, list=rows, names=names, options=owners.options_of(names),
        chosen=str(chosen[0]) if chosen else "", lacks=lacks, answered=answered, error=error,
        label=settings.return_path_label,
    )  # fmt: skip


async def _one(
    visit: Visit, domain_id: UUID, error: Refused | None = None, *, found: Sequence[Advice] | None = None
) -> Response:
    settings = visit.given.settings
    async with visit.given.database.connection() as connection:
        domain = await _seen(visit, connection, domain_id)
        names = await owners.owners(connection, visit)
        addresses = await repository.sending_addresses(connection) if visit.may(Right.MACHINE_SEE) else []
    records = records_of(domain, settings.hostname, settings.public_name)
    return page(
        visit, "domains/one.html", 422 if error else 200, domain=domain, words=words, error=error,
        records=words.wrong_first(records, domain),
        coming=[one for one in records if words.is_coming(one)],
        answered=words.what_to_publish(domain, records), owner=names.get(domain.application_id, ""),
        rotation=rotation, found=found, guides=guides(domain.name, settings.hostname), settings=settings,
        operator=operator_spf(settings.hostname, addresses) if addresses else None,
    )  # fmt: skip


async def _seen(visit: Visit, connection: Connection, domain_id: UUID) -> Domain:
    """The domain, if it is one that they see. Raises Refused."""
    found = await repository.domain_by_id(connection, domain_id)
    if found is None:
        raise _gone()
    visit.sees(found.application_id)
    return found


def _gone() -> Refused:
    return not_found("there is no such domain")


async def _delivered(connection: Connection, visit: Visit, domain: Domain) -> int:
    since = (visit.now - timedelta(days=_DAYS)).replace(minute=0, second=0, microsecond=0)
    asked = Question(
        since, visit.now, visit.zone, by="domain", keys=(str(domain.id),), hours_kept=visit.kept, now=visit.now
    )
    return (await figures.ask(connection, asked)).totals.measures()["delivered"]


async def _note(visit: Visit, connection: Connection, action: str, before: Domain | None, after: Domain | None) -> None:
    about = after or before
    assert about is not None, "something was changed"
    values = domain_audit(before) if before else None, domain_audit(after) if after else None
    await visit.note(connection, Entry(action, about.name, *values, about.application_id))


async def _jump(visit: Visit, text: str) -> str | None:
    """The name of a domain leads to it."""
    if not visit.may(Right.SENDING_SEE) or "@" in text or "." not in text:
        return None
    async with visit.given.database.connection() as connection:
        found = await finding.domains_called(connection, text.lower(), visit.applications)
    return f"/domains/{found[0]}" if len(found) == 1 else None


NOUN = Noun(router, [menu.Entry("Send", 20, "Domains", "/domains", "domains", Right.SENDING_SEE)], _jump)
