"""`/alarms`: what a person has to look at, what raises it, who is told, and streams that were stopped.

Thin: `alarms/` stores and decides. Every route wants an operator's key. An alarm whose cause is gone closes by itself.
"""

from datetime import timedelta
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response

from alarms import breakers, mail_settings, repository, rule_settings
from alarms.mail_settings import PORTS, Smarthost
from alarms.rules import rule_named
from api.auth import Operator
from api.openapi import errors
from api.operating import OperatorRoute, Part, With, by, known_site
from api.schemas.alarms import (
    AlarmAnswer,
    AlarmCleared,
    AlarmDetail,
    AlarmList,
    AlarmMailAnswer,
    AlarmMailDeleted,
    AlarmRuleAnswer,
    AlarmRuleList,
    BreakerAnswer,
    BreakerEnded,
    BreakerList,
    ChangeRule,
    SetAlarmMail,
    Snooze,
    StopStream,
    Streams,
)
from messages.stopped import let_go
from pools.assignments import subject_named
from web.answers import json_answer
from web.faces.alarms import (
    alarm_detail,
    alarm_face,
    alarm_mail_face,
    breaker_ended,
    breaker_face,
    cleared,
    rule_face,
)
from web.paging import listed, page_of

router = APIRouter(prefix="/alarms", tags=["Alarms"], route_class=OperatorRoute)


@router.get("", summary="List alarms", response_model=AlarmList)
async def list_alarms(
    who: Operator,
    given: With,
    wanted: Part,
    days: Annotated[int, Query(ge=0, le=400, description="Also those that were over in so many days.")] = 0,
) -> Response:
    """Open alarms, oldest first; then, if asked for, those that are over, newest first."""
    async with given.database.connection() as connection:
        found = await repository.open_alarms(connection)
        if days:
            found += await repository.past_alarms(connection, days)
    return json_answer(listed(page_of(found, lambda alarm: str(alarm.id), wanted), alarm_face))


# Rules


@router.get("/rules", summary="List the rules of alarms", response_model=AlarmRuleList)
async def list_rules(who: Operator, given: With, wanted: Part) -> Response:
    """What is judged by the clock, with the values in force."""
    async with given.database.connection() as connection:
        found = list((await rule_settings.rules(connection)).values())
    return json_answer(listed(page_of(found, lambda state: state.rule.kind.value, wanted), rule_face))


@router.patch("/rules/{rule}", summary="Change a rule", response_model=AlarmRuleAnswer, responses=errors("not_found"))
async def change_rule(rule: str, body: ChangeRule, who: Operator, given: With) -> Response:
    """Sets values of a rule; null gives the default back. `enabled` 0 switches it off."""
    known = rule_named(rule)
    async with given.database.transaction() as connection:
        state = await rule_settings.change(connection, known, body.settings, by(who))
    return json_answer(rule_face(state))


# Breakers


@router.get("/breakers", summary="List stopped streams", response_model=BreakerList)
async def list_breakers(who: Operator, given: With, wanted: Part) -> Response:
    """Streams of applications that may send nothing to a provider just now."""
    async with given.database.connection() as connection:
        found = await breakers.holding(connection)
    return json_answer(listed(page_of(found, lambda one: one.id, wanted), breaker_face))


@router.post(
    "/breakers",
    summary="Stop a stream at a provider",
    status_code=201,
    response_model=BreakerAnswer,
    responses=errors("not_found"),
)
async def stop_stream(body: StopStream, who: Operator, given: With) -> Response:
    """Stops a stream at a provider. Its mail waits, and says why; every worker knows within seconds."""
    provider = known_site(given, body.provider, field="provider")
    async with given.database.transaction() as connection:
        key = (await subject_named(connection, "application", body.application), body.stream, provider)
        await breakers.trip(connection, key, body.hours, body.reason, by(who), again=True)
        found = {one.id: one for one in await breakers.holding(connection)}
    return json_answer(breaker_face(found["/".join(map(str, key))]), 201)


@router.delete(
    "/breakers/{application_id}/{stream}/{provider:path}",
    summary="Let a stopped stream go on",
    response_model=BreakerEnded,
    responses=errors("conflict"),
)
async def end_breaker(application_id: UUID, stream: Streams, provider: str, who: Operator, given: With) -> Response:
    """Lets a stream go on: what waited for it is due at once. What was counted before does not stop it again."""
    async with given.database.transaction() as connection:
        released = await let_go(connection, (application_id, stream, provider), by(who))
    return json_answer(breaker_ended(f"{application_id}/{stream}/{provider}", released))


# Mail


@router.get("/mail", summary="Get the settings of alarm mail", response_model=AlarmMailAnswer)
async def get_mail(who: Operator, given: With) -> Response:
    """Who is told by mail, and how."""
    async with given.database.connection() as connection:
        return json_answer(alarm_mail_face(await mail_settings.alarm_mail(connection)))


@router.put("/mail", summary="Set up alarm mail", response_model=AlarmMailAnswer)
async def set_mail(body: SetAlarmMail, who: Operator, given: With) -> Response:
    """Tells these people from now on, through a mail server that lets us in, or through our own transactional lane."""
    tls = body.tls or "starttls"
    server = (
        Smarthost(body.host, body.port or PORTS[tls], tls, body.login or "", body.password or "") if body.host else None
    )
    async with given.database.transaction() as connection:
        how = await mail_settings.set_alarm_mail(connection, body.recipients, body.sender, server, given.secret)
    return json_answer(alarm_mail_face(how))


@router.delete("/mail", summary="Switch alarm mail off", response_model=AlarmMailDeleted, responses=errors("not_found"))
async def delete_mail(who: Operator, given: With) -> Response:
    """Tells nobody by mail."""
    async with given.database.transaction() as connection:
        await mail_settings.forget_alarm_mail(connection)
    return json_answer({"object": "alarm_mail", "deleted": True})


# One alarm


@router.get("/{alarm_id}", summary="Get an alarm", response_model=AlarmDetail, responses=errors("not_found"))
async def get_alarm(alarm_id: UUID, who: Operator, given: With) -> Response:
    """An alarm, open or over, with what happened to it."""
    async with given.database.connection() as connection:
        alarm = await repository.find_alarm(connection, alarm_id)
        changes = await repository.story(connection, alarm_id)
    return json_answer(alarm_detail(alarm, changes))


@router.post(
    "/{alarm_id}/acknowledge", summary="Acknowledge an alarm", response_model=AlarmAnswer, responses=errors("not_found")
)
async def acknowledge(alarm_id: UUID, who: Operator, given: With) -> Response:
    """Somebody looks after it: nobody is told again, unless it gets worse."""
    async with given.database.transaction() as connection:
        return json_answer(alarm_face(await repository.acknowledge(connection, alarm_id, by(who))))


@router.post("/{alarm_id}/snooze", summary="Snooze an alarm", response_model=AlarmAnswer, responses=errors("not_found"))
async def snooze(alarm_id: UUID, body: Snooze, who: Operator, given: With) -> Response:
    """Nobody is told of it for so long, unless it gets worse. When it is still open then, it is told anew."""
    lasting = timedelta(minutes=body.minutes)
    async with given.database.transaction() as connection:
        return json_answer(alarm_face(await repository.snooze(connection, alarm_id, lasting, by(who))))


@router.post("/{alarm_id}/clear", summary="Close an alarm", response_model=AlarmCleared, responses=errors("not_found"))
async def clear_alarm(alarm_id: UUID, who: Operator, given: With) -> Response:
    """Closes an alarm. When the same thing happens again, it is raised again."""
    async with given.database.transaction() as connection:
        alarm = await repository.close_alarm(connection, alarm_id, by(who))
    return json_answer(cleared(alarm))
