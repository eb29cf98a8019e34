"""What people do in the sandbox: make and take away rules, forget mail. Each act stands in the audit log.

Other processes hear of a rule within five seconds (`accounts/directory`).
"""

from uuid import UUID

from fastapi import APIRouter, Response

from accounts import capture_rules
from accounts.audit import Entry
from accounts.roles import Right
from console.guard import ConsoleRoute, needs
from console.owners import chosen
from console.sandbox.routes import show_list, the_one
from console.shown import plural
from console.visit import Visiting
from core.addresses import AddressError
from core.refusal import Refused, invalid, not_found
from sandbox import mailbox
from sandbox.mailbox import Wanted

router = APIRouter(route_class=ConsoleRoute)


@router.post("/sandbox/rules")
@needs(Right.SENDING_CHANGE)
async def add(visit: Visiting) -> Response:
    """Mail to these addresses stays here from now on, whatever key sends it."""
    try:
        pattern = _pattern(visit.field("pattern"))
        async with visit.given.database.transaction() as connection:
            owner = (await chosen(connection, visit)).chosen
            rule = await capture_rules.add(connection, owner, pattern)
            entry = Entry("rule.add", str(rule.id), None, {"name": rule.pattern}, owner)
            await visit.note(connection, entry)
    except Refused as error:
        return await show_list(visit, error)
    return visit.go(f"/sandbox?application={owner}", f"{rule.pattern}: its mail stays here, within five seconds.")


@router.post("/sandbox/rules/{rule_id}/delete")
@needs(Right.SENDING_CHANGE)
async def remove(visit: Visiting, rule_id: UUID) -> Response:
    """Mail accepted from now on leaves again."""
    async with visit.given.database.transaction() as connection:
        owner = (await chosen(connection, visit)).chosen
        known = (await capture_rules.rules(connection, owner)).entries
        rule = next((one for one in known if one.id == rule_id), None)
        if rule is None or not await capture_rules.remove(connection, owner, rule_id):
            raise not_found("there is no such rule")
        entry = Entry("rule.delete", str(rule_id), {"name": rule.pattern}, None, owner)
        await visit.note(connection, entry)
    return visit.go(f"/sandbox?application={owner}", f"{rule.pattern}: new mail leaves again, within five seconds.")


@router.post("/sandbox/clear")
@needs(Right.SENDING_CHANGE)
async def clear(visit: Visiting) -> Response:
    """Forget all captured mail of an application."""
    async with visit.given.database.transaction() as connection:
        owner = (await chosen(connection, visit)).chosen
        count = await mailbox.clear(connection, Wanted(owner))
        await visit.note(connection, Entry("sandbox.clear", str(owner), None, {"mails": count}, owner))
    return visit.go(f"/sandbox?application={owner}", f"{plural(count, 'mail is', 'mails are')} forgotten.")


@router.post("/sandbox/{mail_id}/delete")
@needs(Right.SENDING_CHANGE)
async def forget(visit: Visiting, mail_id: UUID) -> Response:
    """Forget one mail. Its email and timeline stay."""
    async with visit.given.database.transaction() as connection:
        mail, _ = await the_one(connection, visit, mail_id)
        await mailbox.delete(connection, Wanted(mail.application_id), mail_id)
        await visit.note(connection, Entry("sandbox.delete", str(mail_id), application_id=mail.application_id))
    return visit.go(f"/sandbox?application={mail.application_id}", "That mail is forgotten.")


def _pattern(text: str) -> str:
    if not text:
        raise invalid("pattern", "say whose mail")
    try:
        return capture_rules.folded(text)
    except AddressError as error:
        raise invalid("pattern", error.reason.rstrip(".")) from None
