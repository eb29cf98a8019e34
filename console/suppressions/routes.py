"""`/suppressions`: who gets no mail and why; add, remove with what the locks ask for, history.

`?open=ID` opens the panel of one entry. Thin: who may what is for `suppression/asking`, `wishes` and `removing`, as for
the API and the command line. Whoever is limited to some applications works for one of them at a time (`for`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final
from uuid import UUID

from fastapi import APIRouter, Response

from accounts import repository as accounts
from accounts.audit import Entry as Audit
from accounts.roles import Right
from console.choosing import picked
from console.guard import ConsoleRoute, largest_form, needs
from console.listing import Listed, listed, opened, window
from console.menu import Entry
from console.noun import Noun
from console.owners import options_of, owners
from console.rendering import page
from console.shown import plural
from console.suppressions import words
from console.visit import Visit, Visiting
from core.addresses import AddressError
from core.paging import Page
from core.refusal import Refused, invalid, not_found
from store import figures
from store.database import Connection
from store.figures import Question
from store.tally import Tally
from suppression import adding, history, removing, repository
from suppression.adding import LARGEST_BATCH
from suppression.asking import Asker
from suppression.entries import Addition, Ended, Suppression, suppression_face
from suppression.query import Search
from suppression.reasons import Reason, Source, SuppressionScope
from suppression.scopes import SHARED
from suppression.search import owned, reasons_of, search_for
from suppression.subjects import subject
from suppression.wishes import EVERYBODY, Wish, addition

router = APIRouter(route_class=ConsoleRoute)
NOUN = Noun(router, [Entry("Operate", 40, "Suppressions", "/suppressions", "suppressions", Right.SUPPRESSIONS_SEE)])

_FORM: Final = 2 * 1024 * 1024
"""Bytes: 10,000 addresses, encoded."""
_NAMED: Final = 20
"""Entries that the audit log names; of more it keeps how many."""
_NOT_LOGGED: Final = frozenset({"id", "email", "detail", "note"})
"""What names somebody, who may be erased: it may not stay in the audit log. The history has it, and forgets it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One entry, others about the same address, and what there was."""

    entry: Suppression
    others: Sequence[Suppression]
    ended: Sequence[Ended]
    lock: removing.Lock | None
    """What asks for a reason before it may go, or keeps it."""
    live: bool = True
    """It is in force; else it is shown as it was."""


@router.get("/suppressions")
@needs(Right.SUPPRESSIONS_SEE)
async def show(visit: Visiting) -> Response:
    """The list, searched and by pages, perhaps with one entry open."""
    return await _list(visit, visit.asked("open"))


@router.get("/suppressions/new")
@needs(Right.SUPPRESSIONS_CHANGE)
async def new(visit: Visiting) -> Response:
    """The form that adds."""
    return await _new(visit)


@router.post("/suppressions")
@needs(Right.SUPPRESSIONS_CHANGE)
@largest_form(_FORM)
async def add(visit: Visiting) -> Response:
    """Suppresses addresses, all with the same terms. One wrong one refuses them all, by its number."""
    try:
        wanted = _additions(visit, await _only_for(visit))
        async with visit.given.database.transaction() as connection:
            added = await adding.add(connection, wanted)
            after = _terms(wanted[0]) | {"entries": _some([str(one.id) for one in added])}
            subjects = str(added[0].id) if len(added) == 1 else plural(len(added), "address", "addresses")
            await visit.note(connection, Audit("suppression.add", subjects, after=after))
    except Refused as error:
        return await _new(visit, error)
    new_ones = sum(one.created for one in added)
    stood = f"; {len(added) - new_ones:,} stood already" if new_ones < len(added) else ""
    said = f"{plural(new_ones, 'address is', 'addresses are')} suppressed from now on{stood}."
    return visit.go(f"/suppressions?open={added[0].id}" if len(added) == 1 else "/suppressions", said)


@router.post("/suppressions/{identifier}/remove")
@needs(Right.SUPPRESSIONS_CHANGE)
async def remove(identifier: UUID, visit: Visiting) -> Response:
    """Lets mail through again. A complaint wants a reason."""
    remover = _asker(visit).remover(visit.field("why"))
    try:
        async with visit.given.database.transaction() as connection:
            entry = await repository.get(connection, identifier)
            done = await removing.remove_ids(connection, [identifier], remover)
            if entry is None or not done.removed:
                raise removing.refusal(done.kept) if done.kept else not_found("the entry is not there any more")
            before = {name: one for name, one in suppression_face(entry).items() if name not in _NOT_LOGGED}
            await visit.note(connection, Audit("suppression.remove", str(entry.id), before | {"why": remover.why}))
    except Refused as error:
        if error.kind == "not_found":
            raise
        return await _list(visit, str(identifier), error)
    said = f"{entry.address}: this entry is gone, and the history keeps it."
    return visit.go(f"/suppressions?open={identifier}", said)


async def _list(visit: Visit, open_id: str, error: Refused | None = None) -> Response:
    wanted, who = window(visit), _asker(visit)
    text, trouble = visit.asked("q", 320), None
    try:
        search = owned(_search(visit), who)
    except Refused as refusal:
        search, trouble = owned(Search(), who), refusal
    address = _whole(text)
    async with visit.given.database.connection() as connection:
        found = await repository.page(connection, search, wanted) or Page([])
        about = who.sees(await repository.about(connection, address)) if address else []
        names = {one.id: one.name for one in await accounts.applications(connection)}
        panel = await _panel(connection, open_id, who)
        day = await _day(connection, visit)
    rows = Listed(about) if address else listed(visit, found, wanted, lambda entry: entry.id)
    answered = words.about(address, about, visit.now) if address else words.who_gets_none(day)
    return page(
        visit, "suppressions/list.html", 422 if error else 200, rows=rows, names=names, words=words, panel=panel,
        answered=answered, error=error, trouble=trouble, text=text, reasons=list(words.BECAUSE.items()),
        scopes=[scope.value for scope in SuppressionScope], mine=_mine(visit, names), chosen=str(who.application or ""),
        narrowed=bool(text or visit.asked("reason") or visit.asked("scope")),
        at=partial(opened, visit),
    )  # fmt: skip


async def _panel(connection: Connection, open_id: str, who: Asker) -> Panel | None:
    """The entry that is open, or what it was; None where nothing is."""
    identifier = _uuid(open_id)
    if identifier is None:
        return None
    entry = await repository.get(connection, identifier)
    ended = who.sees_ended(await history.of_entry(connection, identifier))
    if entry is None:
        return Panel(ended[0].entry, [], ended, None, live=False) if ended else None
    seen = who.sees([entry])
    if not seen:
        return None
    others = [one for one in who.sees(await repository.about(connection, entry.address)) if one.id != entry.id]
    was = who.sees_ended(await history.of_subjects(connection, [entry.address]))
    return Panel(seen[0], others, was, removing.lock_on(entry, who.remover("")))


async def _new(visit: Visit, error: Refused | None = None) -> Response:
    async with visit.given.database.connection() as connection:
        names = {one.id: one.name for one in await accounts.applications(connection)}
    every = [(str(key), name) for key, name in names.items()]
    whose = _mine(visit, names) if visit.applications else [(EVERYBODY, "everybody's mail"), *every]
    return page(
        visit, "suppressions/new.html", 422 if error else 200, error=error, whose=whose, limit=LARGEST_BATCH,
        scopes=[(scope.value, f"{scope.value} mail") for scope in SHARED],
    )  # fmt: skip


async def _day(connection: Connection, visit: Visit) -> Tally:
    since = (visit.now - timedelta(hours=24)).replace(minute=0, second=0, microsecond=0)
    asked = Question(
        since, visit.now, visit.zone, applications=visit.applications, hours_kept=visit.kept, now=visit.now
    )
    return (await figures.ask(connection, asked)).totals


def _search(visit: Visit) -> Search:
    reason, scope = visit.asked("reason"), visit.asked("scope")
    reasons = reasons_of(Reason(reason) if reason in list(Reason) else None, None) or ()
    scopes = (SuppressionScope(scope),) if scope in list(SuppressionScope) else ()
    return search_for(visit.asked("q", 320), reasons, scopes)


def _additions(visit: Visit, only_for: str) -> list[Addition]:
    """What the form asks for. Raises Refused naming the field, and the line of a wrong address."""
    lines = [line.strip() for line in visit.field("emails").splitlines() if line.strip()]
    if not 1 <= len(lines) <= LARGEST_BATCH:
        raise invalid("emails", f"give 1 to {LARGEST_BATCH:,} addresses, one a line")
    wish = _wish(visit, only_for)
    who = _asker(visit)
    found: dict[tuple[str, str], Addition] = {}
    for number, line in enumerate(lines, 1):
        try:
            made = addition(line, wish, who, Source.CONSOLE, visit.now)
        except Refused as error:
            if error.field != "email":
                raise
            raise invalid("emails", f"line {number}, {error.reason}") from None
        found[made.key] = made
    return list(found.values())


async def _only_for(visit: Visit) -> str:
    """What the form says, or the id of the application that it names. Raises Refused."""
    text = visit.field("only_for")
    if text in ("", EVERYBODY) or _uuid(text):
        return text
    async with visit.given.database.connection() as connection:
        return picked(options_of(await owners(connection, visit)), text, "only_for")


def _wish(visit: Visit, only_for: str) -> Wish:
    try:
        scope = SuppressionScope(visit.field("scope") or SuppressionScope.ALL)
        days = int(visit.field("days") or 0)
    except ValueError:
        raise invalid("days", "it must be a whole number of days") from None
    if not 0 <= days <= 3650:
        raise invalid("days", "it must be from 1 to 3650, or empty")
    return Wish(
        scope, only_for, detail=visit.field("detail"), note=visit.field("note"),
        expires_in=days * 86_400 if days else None,
    )  # fmt: skip


def _asker(visit: Visit) -> Asker:
    """Everybody's list for who sees all applications; else that of one of theirs. Raises Refused."""
    mine = visit.applications
    if not mine:
        return Asker(visit.me.email)
    named = _uuid(visit.field("for") or visit.field("only_for"))
    if named and named not in mine:  # what the form was for, is not to be done to another
        raise invalid("only_for", "that application is none of yours any more; load the page again")
    wanted = named or _uuid(visit.asked("for"))
    return Asker(visit.me.email, wanted if wanted in mine else mine[0])


def _mine(visit: Visit, names: Mapping[UUID, str]) -> list[tuple[str, str]]:
    return [(str(one), names.get(one, str(one))) for one in visit.applications]


def _whole(text: str) -> str:
    """The address that was searched for, if it is a whole one."""
    try:
        kept = subject(text) if text else ""
    except AddressError:
        return ""
    return "" if kept.startswith("@") else kept


def _terms(one: Addition) -> dict[str, object]:
    entry = one.entry
    return {
        "scope": entry.scope.value, "only_for": one.only_for, "reason": entry.reason.value,
        "expires_at": entry.expires_at,
    }  # fmt: skip


def _some(addresses: Sequence[str]) -> Sequence[str]:
    more = len(addresses) - _NAMED
    return [*addresses[:_NAMED], f"and {more:,} more"] if more > 0 else addresses


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
