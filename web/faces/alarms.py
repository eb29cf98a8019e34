"""Alarms, their rules, breakers and how they are told, as JSON. Pure."""

from collections.abc import Sequence

from alarms.advice import meaning, what_to_do
from alarms.breakers import Breaker
from alarms.mail_settings import AlarmMail
from alarms.model import Alarm, AlarmChange
from alarms.rule_settings import RuleState
from alarms.rules import all_settings
from alarms.telling import News
from web.faces.references import reference


def alarm_face(alarm: Alarm) -> dict[str, object]:
    """An alarm as `AlarmAnswer`."""
    return {
        "object": "alarm",
        "id": alarm.id,
        "kind": alarm.kind,
        "severity": alarm.severity,
        "subject": alarm.subject,
        "detail": alarm.detail,
        "meaning": meaning(alarm.kind),
        "what_to_do": what_to_do(alarm.kind),
        "raised_at": alarm.raised_at,
        "last_at": alarm.last_at,
        "count": alarm.count,
        "acknowledged_at": alarm.acknowledged_at,
        "acknowledged_by": alarm.acknowledged_by or None,
        "snoozed_until": alarm.snoozed_until,
        "cleared_at": alarm.cleared_at,
    }


def alarm_detail(alarm: Alarm, changes: Sequence[AlarmChange]) -> dict[str, object]:
    """An alarm with its story, as `AlarmDetail`."""
    told = [
        {"at": one.at, "change": one.change, "severity": one.severity, "detail": one.detail, "by": one.by or None}
        for one in changes
    ]
    return {**alarm_face(alarm), "changes": told}


def cleared(alarm: Alarm) -> dict[str, object]:
    """An alarm that was closed, as `AlarmCleared`."""
    return reference("alarm", alarm.id) | {"cleared": True}


def news_face(news: News) -> dict[str, object]:
    """A change of an alarm as webhooks tell it."""
    return {
        "alarm_id": news.alarm_id,
        "kind": news.kind,
        "severity": news.severity,
        "subject": news.subject,
        "detail": news.detail,
        "meaning": meaning(news.kind),
        "what_to_do": what_to_do(news.kind),
        "change": news.change,
        "by": news.by or None,
    }


def rule_face(state: RuleState) -> dict[str, object]:
    """A rule as `AlarmRuleAnswer`."""
    return {
        "object": "alarm_rule",
        "id": state.rule.kind.value,
        "title": state.rule.title,
        "settings": [
            {
                "name": name,
                "value": state.values[name],
                "default": setting.default,
                "lowest": setting.low,
                "highest": setting.high,
                "meaning": setting.meaning,
            }
            for name, setting in all_settings(state.rule).items()
        ],
        "changed_at": state.changed_at,
        "by": state.by or None,
    }


def breaker_face(breaker: Breaker) -> dict[str, object]:
    """A breaker as `BreakerAnswer`."""
    return {
        "object": "breaker",
        "id": breaker.id,
        "application_id": breaker.application_id,
        "application": breaker.application,
        "stream": breaker.lane,
        "provider": breaker.provider,
        "since": breaker.since,
        "until": breaker.until,
        "reason": breaker.reason,
        "by": breaker.by,
    }


def breaker_ended(breaker_id: str, released: int) -> dict[str, object]:
    """A breaker that an operator ended, as `BreakerEnded`."""
    return {"object": "breaker", "id": breaker_id, "ended": True, "released": released}


def alarm_mail_face(how: AlarmMail | None) -> dict[str, object]:
    """How alarms are told by mail, as `AlarmMailAnswer`."""
    if how is None:
        return {
            "object": "alarm_mail", "recipients": [], "sender": None, "host": None, "port": None, "tls": None,
            "login": None, "has_password": False, "last_at": None, "trouble": None,
        }  # fmt: skip
    through = bool(how.host)
    return {
        "object": "alarm_mail",
        "recipients": how.recipients,
        "sender": how.sender,
        "host": how.host or None,
        "port": how.port if through else None,
        "tls": how.tls if through else None,
        "login": how.login or None,
        "has_password": how.has_password,
        "last_at": how.last_at,
        "trouble": how.trouble or None,
    }
