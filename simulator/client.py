"""Talks to a running practice internet through its control endpoint: reads mailboxes and counts, sets rules.

For scripts, tests, the demo and `postlane simulator`. All functions block for a moment (one loopback round trip) and
take the state that `read_state` gives; from within an event loop use `call_async`. They raise
`SimulatorUnavailableError` when nobody answers and `RefusedError` when a request makes no sense.
"""

import asyncio
import base64
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.errors import PostlaneError
from simulator.state import SimulatorState, SimulatorUnavailableError, read_state

__all__ = [
    "ReceivedMail",
    "RefusedError",
    "SimulatorState",
    "SimulatorUnavailableError",
    "call",
    "call_async",
    "clear_rules",
    "counts",
    "judge_ips",
    "judge_no_ips",
    "keep_ledger",
    "mailbox",
    "read_state",
    "recipients",
    "reputation",
    "reset",
    "rules",
    "set_rule",
    "throttle",
    "trust_webhooks",
    "wait_for_state",
    "webhooks",
]
_SECONDS = 10.0
_LARGEST_ANSWER = 256 * 1024 * 1024


class RefusedError(PostlaneError):
    """The simulator understood the request and refuses it; the text says why."""


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """One mail in a simulated mailbox. Times in seconds since the epoch."""

    number: int
    received_at: float
    recipient: str
    mail_from: str
    provider: str
    client: str
    ip: str
    ehlo_name: str
    tls: bool
    octets: int
    message_id: str
    sender: str
    """The From header, decoded."""
    subject: str
    data: bytes = b""
    """The mail as it came, dot-stuffing removed; only when asked for."""


def wait_for_state(path: Path, seconds: float = 10.0) -> SimulatorState:
    """The state as soon as its simulator answers. Raises SimulatorUnavailableError after `seconds`.

    A file that a killed simulator left behind is not believed: the one it names has to answer, and with its own pid.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            state = read_state(path)
            if call(state, "info")["pid"] == state.pid:
                return state
            raise SimulatorUnavailableError(f"{path} speaks of another process")
        except SimulatorUnavailableError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def call(state: SimulatorState, op: str, **fields: object) -> dict[str, Any]:
    """One request and its answer."""
    try:
        with socket.create_connection((state.control_address, state.control_port), timeout=_SECONDS) as connection:
            connection.sendall(_request(op, fields))
            with connection.makefile("rb") as stream:
                line = stream.readline(_LARGEST_ANSWER)
    except OSError as error:
        raise SimulatorUnavailableError(f"the practice internet does not answer: {error}") from error
    return _answer(line)


async def call_async(state: SimulatorState, op: str, **fields: object) -> dict[str, Any]:
    """`call` for use inside an event loop, also the simulator's own."""
    try:
        async with asyncio.timeout(_SECONDS):
            reader, writer = await asyncio.open_connection(
                state.control_address, state.control_port, limit=_LARGEST_ANSWER
            )
            writer.write(_request(op, fields))
            line = await reader.readline()
            writer.close()
    except OSError as error:  # TimeoutError included
        raise SimulatorUnavailableError(f"the practice internet does not answer: {error}") from error
    return _answer(line)


def mailbox(state: SimulatorState, address: str, *, raw: bool = False) -> list[ReceivedMail]:
    """The mails kept of one mailbox, oldest first (at most 50); with `raw` also their bytes."""
    return [_mail(view) for view in call(state, "mailbox", address=address, raw=raw)["mails"]]


def counts(state: SimulatorState) -> list[dict[str, str | int]]:
    """One row per provider and client: `provider`, `client`, then how often each outcome occurred."""
    return list(call(state, "counts")["counts"])


def recipients(state: SimulatorState, pattern: str = "*") -> dict[str, int]:
    """Accepted mails per address that matches (`*` and `?`); at most 100,000 addresses."""
    return dict(call(state, "recipients", pattern=pattern)["recipients"])


def set_rule(state: SimulatorState, behaviour: str, **fields: str | float | int | None) -> str:
    """Put a rule in force; its name. Fields as in `simulator.rules.Rule`, and `for_seconds` in place of `until`."""
    rule = {"behaviour": behaviour, **{key: value for key, value in fields.items() if value is not None}}
    return str(call(state, "rule.set", rule=rule)["name"])


def throttle(
    state: SimulatorState,
    provider: str,
    client: str = "*",
    *,
    for_seconds: float | None = None,
    mails: int | None = None,
) -> str:
    """Let a provider throttle a client (IP, EHLO name, or pattern) for a time, a number of mails, or until cleared."""
    return set_rule(state, "throttle", provider=provider, client=client, for_seconds=for_seconds, mails=mails)


def rules(state: SimulatorState) -> list[dict[str, Any]]:
    """The rules in force, each with how often it `answered`."""
    return list(call(state, "rule.list")["rules"])


def clear_rules(state: SimulatorState, name: str | None = None) -> int:
    """Take one rule, or all, out of force; how many there were."""
    return int(call(state, "rule.clear", name=name)["cleared"])


def judge_ips(
    state: SimulatorState,
    *,
    day_seconds: float = 86_400.0,
    seed: int = 1,
    strictness: float = 1.0,
    complaints: float = 0.0,
) -> dict[str, Any]:
    """Let the providers judge client IPs, each of them new, a day passing in `day_seconds`; what is in force now."""
    fields = {"day_seconds": day_seconds, "seed": seed, "strictness": strictness, "complaints": complaints}
    return call(state, "reputation.set", on=True, **fields)


def judge_no_ips(state: SimulatorState) -> None:
    """End that; what was thought of IPs is forgotten."""
    call(state, "reputation.set", on=False)


def reputation(state: SimulatorState) -> dict[str, Any]:
    """`on`; and then the settings, simulated `days` passed, and `opinions` as in `simulator.reputation.Opinion`."""
    return call(state, "reputation")


def keep_ledger(state: SimulatorState, path: Path | None) -> None:
    """Start a ledger file (read it with `simulator.ledger.read_ledger`), or stop writing one."""
    call(state, "ledger", path=str(path.absolute()) if path is not None else None)


def webhooks(state: SimulatorState, path: str = "*") -> list[dict[str, Any]]:
    """What the practice application was told at paths like this pattern, oldest first; see `simulator.receiver.Told`.
    How it answers is said by the path."""
    return list(call(state, "webhooks", path=path)["webhooks"])


def trust_webhooks(state: SimulatorState, secret: str) -> None:
    """Let it take what is signed with this secret, besides those it knows."""
    call(state, "webhooks.trust", secret=secret)


def reset(state: SimulatorState) -> None:
    """Forget rules, counts, mailboxes, greylist and webhooks; IPs are judged no more."""
    call(state, "reset")


def _request(op: str, fields: Mapping[str, object]) -> bytes:
    return json.dumps({"op": op, **fields}).encode() + b"\n"


def _answer(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise SimulatorUnavailableError("the practice internet hung up")
    answer: dict[str, Any] = json.loads(line)
    if not answer.pop("ok"):
        raise RefusedError(answer["error"])
    return answer


def _mail(view: dict[str, Any]) -> ReceivedMail:
    view["sender"] = view.pop("from")
    return ReceivedMail(**{**view, "data": base64.b64decode(view.get("data", ""))})
