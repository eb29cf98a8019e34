"""The traced mails of one batch: spans of their steps. Most batches have none, and then there is no trail.

deliver              from the claim to the outcome, a child of `accept`; one for each time that a worker takes it up
  claim  route  choose   of the whole batch
  wait   compose  sign   of the part of the batch that the mail was in
  send                   one for each IP that it was tried on
  record                 the commit of its outcome; what an application is told hangs on it
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from core import tracing
from core.queues import Lane
from core.tracing import Place, Span, Value
from messages.model import Claimed, MessageRef
from messages.prepare import Spent
from messages.states import State
from mta.deliver import Delivery
from mta.model import Verdict
from outcomes.kinds import Outcome

_KEPT_SECONDS: Final = 900.0
"""So long an outcome may wait for its commit and keep its place. Some never come to one: they are refused."""
_MOST_DECIDED: Final = 10_000
_FAILED: Final = frozenset({State.BOUNCED, State.EXPIRED, State.FAILED})


class _Decided:
    """Where the outcomes that wait for their commit were made: of at most so many, and the oldest give way."""

    def __init__(self, most: int = _MOST_DECIDED, seconds: float = _KEPT_SECONDS) -> None:
        self._most, self._seconds = most, seconds
        self._places: dict[MessageRef, tuple[Place, float]] = {}

    def keep(self, ref: MessageRef, place: Place, now: float) -> None:
        """Until it is taken, or too old."""
        self._places.pop(ref, None)
        while self._places and (len(self._places) >= self._most or self._oldest() <= now - self._seconds):
            del self._places[next(iter(self._places))]
        self._places[ref] = place, now

    def take(self, ref: MessageRef) -> Place | None:
        """Once."""
        found = self._places.pop(ref, None)
        return found[0] if found else None

    def _oldest(self) -> float:
        return self._places[next(iter(self._places))][1]


_decided: Final = _Decided()
"""Of this process."""


@dataclass(frozen=True, slots=True)
class _Mail:
    claimed: Claimed
    place: Place


class Trail:
    """That of one batch."""

    def __init__(self, lane: Lane, claimed: Iterable[Claimed], asked: float) -> None:
        """`asked`: when these were claimed, by `time.monotonic`."""
        self._lane = lane
        self._begun = tracing.when(asked)
        self._mails = {one.ref: _Mail(one, tracing.within(tracing.root(one.ref.email_id))) for one in claimed}
        self.step("claim", asked)

    def step(self, name: str, started: float) -> None:
        """All that are left have been through this."""
        begun, ended = tracing.when(started), time.time_ns()
        for mail in self._mails.values():
            self._note(name, mail, begun, ended, {})

    def prepared(self, refs: Iterable[MessageRef], spent: Spent, asked: float) -> None:
        """These were composed and signed together. Both go on by turns; here one stands behind the other."""
        together = [self._mails[ref] for ref in refs if ref in self._mails]
        moments = [tracing.when(one) for one in (asked, spent.began, spent.began + spent.composing, spent.ended)]
        for mail in together:
            for n, name in enumerate(("wait", "compose", "sign")):
                self._note(name, mail, moments[n], moments[n + 1], {})

    def sent(self, ref: MessageRef, ip: str, delivery: Delivery, verdict: Verdict) -> None:
        """A server, or what stands for one, has answered."""
        mail = self._mails.get(ref)
        if mail is None:
            return
        response = delivery.response
        about = tracing.known(
            {
                "server.address": delivery.host_name,
                "network.peer.address": delivery.host_address,
                "postlane.ip": ip,
                "postlane.provider": delivery.provider,
                "postlane.tls": delivery.tls,
                "postlane.phase": response.phase.value,
                "postlane.code": response.code or "",
                "postlane.enhanced": response.enhanced,
                "postlane.verdict": verdict.action.value,
                "postlane.rule": verdict.rule,
                "postlane.connecting_ms": round(delivery.ready_milliseconds),
            }
        )
        said = str(response.code) if response.code else response.trouble.value if response.trouble else "no answer"
        trouble = "" if 200 <= response.code < 300 else said
        self._note("send", mail, tracing.when(delivery.started), tracing.when(delivery.ended), about, trouble)

    def decided(self, outcome: Outcome) -> None:
        """This is what came of it."""
        mail = self._mails.pop(outcome.ref, None)
        if mail is None:
            return
        _decided.keep(outcome.ref, mail.place, time.monotonic())
        trouble = outcome.state.value if outcome.state in _FAILED else ""
        self._deliver(mail, outcome.state.value, outcome.attempts, trouble)

    def close(self) -> None:
        """The batch is over: what is left goes back to the queue, untried or to wait for an IP."""
        for mail in self._mails.values():
            self._deliver(mail, "given back", mail.claimed.attempts, "")
        self._mails.clear()

    def _deliver(self, mail: _Mail, state: str, attempts: int, trouble: str) -> None:
        claimed = mail.claimed
        about: dict[str, Value] = {
            "postlane.message_id": str(claimed.ref),
            "postlane.stream": self._lane.value,
            "postlane.recipient_domain": claimed.destination,
            "postlane.state": state,
            "postlane.attempt": attempts,
        }
        parent = tracing.root(claimed.ref.email_id).span
        ended = time.time_ns()
        tracing.note(Span("deliver", mail.place, parent, self._begun, ended, about, "consumer", trouble))

    def _note(self, name: str, mail: _Mail, begun: int, ended: int, about: dict[str, Value], trouble: str = "") -> None:
        kind: tracing.Kind = "client" if name == "send" else "internal"
        tracing.note(Span(name, tracing.within(mail.place), mail.place.span, begun, ended, about, kind, trouble))


def begin(lane: Lane, claimed: Sequence[Claimed], asked: float) -> Trail | None:
    """The trail of a batch; None when nothing in it is traced."""
    if not tracing.on():
        return None
    chosen = [one for one in claimed if tracing.is_traced(one.ref.email_id)]
    return Trail(lane, chosen, asked) if chosen else None


def recorded(outcomes: Sequence[Outcome], seconds: float) -> None:
    """These were committed together. Those of a killed predecessor hang on `accept`."""
    if not tracing.on():
        return
    ended = time.time_ns()
    about = {"postlane.outcomes": len(outcomes)}
    for one in outcomes:
        if one.is_note or not tracing.is_traced(one.ref.email_id):
            continue
        place = tracing.of_moment(one.ref.email_id, one.at.isoformat())
        parent = _decided.take(one.ref) or tracing.root(one.ref.email_id)
        tracing.note(Span("record", place, parent.span, ended - int(seconds * 1e9), ended, about))
