"""What the audit log says in words, and where it leads. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import orjson

from accounts.audit import Logged

_LONGEST: Final = 2_000
"""Characters of one value that a page shows."""
_BESIDE: Final = ("also", "among them")
"""Where a line keeps other rows that changed with its own."""
_ITS_OWN: Final = ("id", "application_id", "created_at")
"""What says nothing about a row that stands beside another one."""
_ID: Final = re.compile(r"[0-9a-f-]{36}")
_SAID: Final[Mapping[str, str]] = {
    "session.begin": "Signed in",
    "session.end": "Signed out",
    "campaign.test": "Sent a test of a campaign",
    "campaign.winner": "Chose the winner of a campaign",
    "throttle.override": "Ended a rest",
    "throttle.rest": "Rested an IP",
    "pool.attach": "Put an IP into a pool",
    "pool.detach": "Took an IP out of a pool",
    "pool.weight": "Set a share in a pool",
    "breaker.stop": "Stopped a stream",
    "breaker.end": "Let a stream go on",
    "webhook.rotate": "Made another secret of a webhook",
    "webhook.replay": "Sent events of a webhook again",
    "rule.add": "Made a capture rule",
    "rule.delete": "Removed a capture rule",
    "sandbox.clear": "Forgot captured mail",
    "sandbox.delete": "Forgot a captured mail",
    "sandbox.download": "Took a captured mail as a file",
    "user.link": "Made a sign-in link",
    "user.second_factor": "Changed a second factor",
    "user.password": "Changed a password",
    "user.identity": "Signed in by a provider for the first time",
    "user.unlink": "Forgot an identity",
    "alarm.change_rule": "Changed a rule of alarms",
    "alarm.set_mail": "Set up alarm mail",
    "alarm.delete_mail": "Switched alarm mail off",
    "campaign.archive": "Put a campaign on the web",
    "topic.policy": "Set the policy of a topic",
    "flag.set": "Switched a flag",
    "flag.clear": "Took back the switch of a flag",
}
"""Actions that are no verb with a noun."""
_PAGES: Final[Mapping[str, str]] = {
    "campaign": "/campaigns/", "segment": "/segments/", "template": "/templates/", "contact": "/people/",
    "message": "/messages/", "ip": "/ips/", "plan": "/warmup/plans/", "warmup": "/warmup/",
    "webhook": "/webhooks/", "flag": "/flags?open=",
}  # fmt: skip


def said(action: str) -> str:
    """An action for people: `campaign.start` → Campaign: start."""
    noun, _, verb = action.partition(".")
    told = f"{'IP' if noun == 'ip' else noun.capitalize()}: {verb}" if verb else action
    return _SAID.get(action, told.replace("_", " ").replace("-", " "))


def name_of(line: Logged) -> str:
    """What people call it, where its subject is an id and the line keeps the name; "" otherwise."""
    if _ID.fullmatch(line.subject) is None:
        return ""
    name = (line.after or {}).get("name") or (line.before or {}).get("name")
    return name if isinstance(name, str) else ""


def leads(action: str, subject: str) -> str:
    """The page of what was changed; "" where there is none (any more)."""
    noun, _, verb = action.partition(".")
    counted = " " in subject  # `7 ips`
    if not subject or counted or verb in ("delete", "erase") or noun not in _PAGES:
        return ""
    return _PAGES[noun] + quote(subject, safe="/")


def changes(line: Logged) -> Iterator[tuple[str, str, str]]:
    """(what, before, after), each once; "" where it was not there. Rows that changed with it stand at the end."""
    before, after = line.before or {}, line.after or {}
    for name in {**before, **after}:
        if name not in _BESIDE:
            yield name, _text(before, name), _text(after, name)
    for row in (row for name in _BESIDE for row in after.get(name) or ()):
        yield row["what"].replace("_", " "), _summary(row["before"]), _summary(row["after"])


def _text(values: Mapping[str, Any], name: str) -> str:
    if name not in values:
        return ""
    value = values[name]
    return _cut(value if isinstance(value, str) else orjson.dumps(value, default=str).decode())


def _summary(values: Mapping[str, Any] | None) -> str:
    """A whole row in a cell."""
    told = values or {}
    names = (name for name in told if name not in _ITS_OWN and told[name] not in (None, ""))
    return _cut(", ".join(f"{name} {_text(told, name)}" for name in names))


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
