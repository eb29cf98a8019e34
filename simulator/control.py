"""The control endpoint: one JSON object per line in, one per line out, over loopback TCP.

Scripts, tests and `postlane simulator …` read mailboxes and counts here and set rules. Every request has `op`; every
answer has `ok`, and `error` when that is false. Owns no state: it works on the `Mailroom`. The other end is
`simulator/client.py`, where each operation is described as a function.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from email.header import decode_header, make_header
from email.parser import BytesHeaderParser
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from simulator.judging import ReputationSettings
from simulator.mailroom import Mailroom
from simulator.model import StoredMail
from simulator.receiver import Receiver
from simulator.rules import Rule, RuleError, rule_from

_LINE_OCTETS = 256 * 1024
_MOST_RECIPIENTS = 100_000


class ControlServer:
    """Start once, stop once. `info` is what the operation `info` answers."""

    def __init__(self, mailroom: Mailroom, receiver: Receiver, info: Callable[[], dict[str, Any]]) -> None:
        self._mailroom = mailroom
        self._receiver = receiver
        self._info = info
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    async def listen(self, address: str, port: int) -> int:
        """Listen on one address; the port. Raises OSError."""
        self._server = await asyncio.start_server(self._serve, address, port, limit=_LINE_OCTETS)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the socket and all connections."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._clients):
                writer.close()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            while line := await reader.readline():
                answer = json.dumps(self.handle(line), ensure_ascii=True)
                writer.write(answer.encode() + b"\n")
                await writer.drain()
        except (ConnectionError, ValueError):  # ValueError: a line over the limit
            return
        finally:
            self._clients.discard(writer)
            writer.close()

    def handle(self, line: bytes) -> dict[str, Any]:
        """The answer to one request line. Bad requests are answered, not raised."""
        try:
            request = json.loads(line)
        except ValueError:
            return _error("not JSON")
        if not isinstance(request, dict):
            return _error("must be an object")
        operation = _OPERATIONS.get(str(request.get("op")))
        if operation is None:
            return _error(f"op: one of {', '.join(_OPERATIONS)}")
        try:
            return {"ok": True, **operation(self, request)}
        except (RuleError, OSError) as error:
            return _error(str(error))

    def _op_info(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return self._info()

    def _op_counts(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"counts": self._mailroom.counts.rows()}

    def _op_mailbox(self, request: Mapping[str, Any]) -> dict[str, Any]:
        address = str(request.get("address", "")).lower()
        mails = self._mailroom.mailboxes.of(address)
        raw = request.get("raw") is True
        return {
            "address": address,
            "total": self._mailroom.mailboxes.totals.get(address, 0),
            "mails": [_view(mail, raw=raw) for mail in mails],
        }

    def _op_recipients(self, request: Mapping[str, Any]) -> dict[str, Any]:
        pattern = str(request.get("pattern", "*")).lower()
        boxes = self._mailroom.mailboxes
        found = {address: total for address, total in boxes.totals.items() if fnmatchcase(address, pattern)}
        listed = dict(list(found.items())[:_MOST_RECIPIENTS])
        return {
            "recipients": listed,
            "addresses": len(found),
            "mails": sum(found.values()),
            "unlisted": boxes.unlisted,
        }

    def _op_rule_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        fields = request.get("rule")
        if not isinstance(fields, dict):
            raise RuleError("rule: must be an object")
        fields = dict(fields)
        lasting = fields.pop("for_seconds", None)
        if isinstance(lasting, int | float) and not isinstance(lasting, bool):
            fields["until"] = self._mailroom.now() + lasting
        elif lasting is not None:
            raise RuleError("for_seconds: must be a number")
        return {"name": self._mailroom.rules.add(rule_from(fields)).name}

    def _op_rule_clear(self, request: Mapping[str, Any]) -> dict[str, Any]:
        name = request.get("name")
        if name is None:
            return {"cleared": self._mailroom.rules.clear()}
        return {"cleared": int(self._mailroom.rules.remove(str(name)))}

    def _op_rule_list(self, request: Mapping[str, Any]) -> dict[str, Any]:
        in_force = self._mailroom.rules.in_force(self._mailroom.now())
        return {"rules": [_rule_view(rule, answered) for rule, answered in in_force]}

    def _op_ledger(self, request: Mapping[str, Any]) -> dict[str, Any]:
        path = request.get("path")
        self._mailroom.keep_ledger(Path(str(path)) if path is not None else None)
        return {"path": path}

    def _op_reputation_set(self, request: Mapping[str, Any]) -> dict[str, Any]:
        if request.get("on") is not True:
            self._mailroom.judge_ips(None)
            return {"on": False}
        settings = ReputationSettings(
            day_seconds=_positive(request, "day_seconds", 86_400.0),
            seed=int(_positive(request, "seed", 1.0)),
            strictness=_positive(request, "strictness", 1.0),
            complaints=_rate(request, "complaints"),
        )
        self._mailroom.judge_ips(settings)
        return {"on": True, **asdict(settings)}

    def _op_reputation(self, request: Mapping[str, Any]) -> dict[str, Any]:
        judging, now = self._mailroom.judging, self._mailroom.now()
        if judging is None:
            return {"on": False, "opinions": []}
        opinions = [asdict(one) for one in judging.opinions(now)]
        return {"on": True, **asdict(judging.settings), "days": round(judging.days(now), 2), "opinions": opinions}

    def _op_webhooks(self, request: Mapping[str, Any]) -> dict[str, Any]:
        path = str(request.get("path", "*"))
        return {"webhooks": [asdict(one) for one in self._receiver.told() if fnmatchcase(one.path, path)]}

    def _op_webhooks_trust(self, request: Mapping[str, Any]) -> dict[str, Any]:
        try:
            self._receiver.trust(str(request.get("secret", "")))
        except ValueError:
            raise RuleError("secret: must be whsec_ and base64") from None
        return {}

    def _op_reset(self, request: Mapping[str, Any]) -> dict[str, Any]:
        self._mailroom.reset()
        self._receiver.clear()
        return {}


_OPERATIONS: dict[str, Callable[[ControlServer, Mapping[str, Any]], dict[str, Any]]] = {
    "info": ControlServer._op_info,
    "counts": ControlServer._op_counts,
    "mailbox": ControlServer._op_mailbox,
    "recipients": ControlServer._op_recipients,
    "rule.set": ControlServer._op_rule_set,
    "rule.clear": ControlServer._op_rule_clear,
    "rule.list": ControlServer._op_rule_list,
    "ledger": ControlServer._op_ledger,
    "reputation.set": ControlServer._op_reputation_set,
    "reputation": ControlServer._op_reputation,
    "webhooks": ControlServer._op_webhooks,
    "webhooks.trust": ControlServer._op_webhooks_trust,
    "reset": ControlServer._op_reset,
}


def _positive(request: Mapping[str, Any], key: str, default: float) -> float:
    value = request.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e9:
        raise RuleError(f"{key}: must be a number above 0")
    return float(value)


def _rate(request: Mapping[str, Any], key: str) -> float:
    value = request.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
        raise RuleError(f"{key}: must be a part of 1, such as 0.001")
    return float(value)


def _error(text: str) -> dict[str, Any]:
    return {"ok": False, "error": text}


def _rule_view(rule: Rule, answered: int) -> dict[str, Any]:
    fields = asdict(rule)
    fields["stage"] = rule.stage.name.lower() if rule.stage is not None else None
    return {**fields, "answered": answered}


def _view(mail: StoredMail, *, raw: bool) -> dict[str, Any]:
    """One mail for a reader; `raw` adds the bytes as they came, in base64."""
    header = BytesHeaderParser().parsebytes(mail.data)
    view = {
        "number": mail.number,
        "received_at": mail.received_at,
        "recipient": mail.recipient,
        "mail_from": mail.mail_from,
        "provider": mail.provider,
        "client": mail.client,
        "ip": mail.ip,
        "ehlo_name": mail.ehlo_name,
        "tls": mail.tls,
        "octets": len(mail.data),
        "message_id": str(header.get("Message-ID", "")).strip(),
        "from": _readable(header.get("From", "")),
        "subject": _readable(header.get("Subject", "")),
    }
    if raw:
        view["data"] = base64.b64encode(mail.data).decode()
    return view


def _readable(value: object) -> str:
    """A header value with its RFC 2047 words decoded, or as it is when they are broken."""
    text = str(value)
    try:
        return str(make_header(decode_header(text)))
    except (ValueError, LookupError):
        return text
