"""Working through mail that came back, a batch at a time: what each says, about which message, and what follows.

A batch is leased, understood in a thread, and decided and recorded in one transaction together with the marks on its
mails: the same mail twice does nothing, whoever repeats it, and a process that is killed leaves mail that is due again.
One mail that brings a bug to light is tried apart from the others.

`outcomes/reading` understands, `outcomes/proving` proves, `outcomes/judging` decides, `outcomes/late` records;
`outcomes/inbound` owns the table.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from prometheus_client import Counter

from core.clock import Clock
from core.errors import UnavailableError
from core.logs import get_logger
from core.secrets import InstanceSecret
from messages.model import MessageRef
from mta import return_path
from mta.loops import Loop, Txt, load_loops
from mta.rule_book import RuleBook
from outcomes.inbound import (
    MOST_OF_MESSAGE,
    Earlier,
    Finished,
    InboundMail,
    claim_inbound,
    drop_inbound,
    earlier_mails,
    finish_inbound,
    put_off,
)
from outcomes.judging import WAIT_FOR_OUTCOME, Decision, Result, decide
from outcomes.late import KnownMessage, Told, find_messages, messages_of, record_news, take_turn
from outcomes.proving import proofs, wait_for_key
from outcomes.reading import Reading, read
from outcomes.received import tell_received
from outcomes.unsubscribing import is_unsubscribing, work_off
from store.database import Connection, Database
from suppression.rules import BY_DEFAULT, SoftBounceRule

__all__ = ["WAIT_FOR_OUTCOME", "ReportTools", "Result", "Sweeper", "sweep", "work_through"]

_log = get_logger(__name__)

REPORTS = Counter("postlane_inbound_reports_total", "Mails at return paths worked through, by result", ["result"])

BATCH: Final = 200
"""Mails of one transaction: understood in some 60 ms, recorded in as many."""
LEASE: Final = timedelta(seconds=60)
"""Longer than a batch takes, asking for keys of feedback loops included."""
LOOK_AGAIN: Final = timedelta(seconds=15)
"""At a report that overtook the outcome it speaks about."""
GATHER_SECONDS: Final = 0.4
"""Between two sweeps: what comes meanwhile shares a batch, whose statements cost as much as reading twenty mails."""
MOST_ANSWERS: Final = 10
"""Of people and their programs to one message that its application is told of."""
_FLOODS: Final = frozenset({Result.REPEATED, Result.IGNORED, Result.UNSUBSCRIBED, Result.UNREAD, Result.UNKNOWN})
"""What changes nothing, so that it is kept a bounded number of times for one message. The others bound themselves."""


async def _no_txt(_name: str) -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class ReportTools:
    """What working through reports needs."""

    database: Database
    secret: InstanceSecret
    rules: RuleBook
    clock: Clock
    soft_bounces: SoftBounceRule = BY_DEFAULT
    narrow_complaints: bool = False
    """A complaint forbids only the mail of the application that it is about."""
    txt: Txt = _no_txt
    """Keys of feedback loops. Without it, none is proven."""
    loops: tuple[Loop, ...] = field(default_factory=load_loops)


@dataclass(frozen=True, slots=True)
class _Case:
    """One mail on its way to its decision."""

    reading: Reading
    loop: str = ""
    """The feedback loop that provably sent it."""
    unasked: bool = False
    """Nobody could be asked whether one did."""


@dataclass(slots=True)
class _Batch:
    """What is known of the messages of a batch, moving on from mail to mail; and what became of the mails."""

    tools: ReportTools
    connection: Connection
    messages: dict[MessageRef, KnownMessage]
    earlier: dict[MessageRef, Earlier]
    waiting: dict[timedelta, list[UUID]] = field(default_factory=dict)
    finished: list[Finished] = field(default_factory=list)
    dropped: list[UUID] = field(default_factory=list)
    """Of the finished ones those that are too much for their message."""
    told: list[tuple[UUID, Told]] = field(default_factory=list)
    answers: list[tuple[Reading, KnownMessage]] = field(default_factory=list)

    def finish(self, finished: Finished, earlier: Earlier) -> None:
        """What became of a mail, and whether it stays."""
        self.finished.append(finished)
        if earlier.mails >= MOST_OF_MESSAGE and Result(finished.result) in _FLOODS:
            self.dropped.append(finished.id)
        else:
            earlier.add(finished.digest, finished.result)


async def sweep(tools: ReportTools, held: set[UUID] | None = None) -> int:
    """Work through all that is due, oldest first. Returns how many mails got their result. Raises
    `DatabaseUnavailableError`. `held` are claimed by us, and nobody works on them: those in whose middle the sweep
    before broke off. It holds the same for the next one."""
    held = held if held is not None else set()
    if held:
        await _let_go(tools, held)
    swept = 0
    while batch := await _claim(tools):
        held.update(mail.id for mail in batch)
        swept += len(await _work(batch, tools))
        held.clear()
        if len(batch) < BATCH:
            break
    return swept


async def _let_go(tools: ReportTools, held: set[UUID]) -> None:
    async with tools.database.transaction() as connection:
        await put_off(connection, list(held), timedelta(0))
    held.clear()


class Sweeper:
    """Sweeps when it is asked to, one sweep at a time. Who asks during one makes it look again, and need not wait."""

    def __init__(self, tools: ReportTools) -> None:
        self._tools = tools
        self._held: set[UUID] = set()
        self._asked = False
        self._sweeping = False

    async def sweep(self) -> None:
        """See that all is worked through that is due now. Raises `DatabaseUnavailableError`."""
        self._asked = True
        if self._sweeping:
            return
        self._sweeping = True
        try:
            while self._asked:
                self._asked = False
                await sweep(self._tools, self._held)
                await asyncio.sleep(GATHER_SECONDS)
        finally:
            self._sweeping = False


async def work_through(identifier: UUID, tools: ReportTools) -> Result | None:
    """Work through one mail. None: it is not due, or it is not yet time."""
    return (await _work(await _claim(tools, identifier), tools)).get(identifier)


async def _claim(tools: ReportTools, only: UUID | None = None) -> list[InboundMail]:
    async with tools.database.transaction() as connection:
        return await claim_inbound(connection, BATCH, LEASE, only)


async def _work(batch: Sequence[InboundMail], tools: ReportTools) -> dict[UUID, Result]:
    """The results of those that got one."""
    if not batch:
        return {}
    tools.rules.refresh()
    try:
        results = await _work_together(batch, tools)
    except UnavailableError:
        raise
    except Exception as error:
        # A bug that one mail brings to light must not hold up the others; the mail waits, and is looked at again.
        if len(batch) == 1:
            _log.error("report_failed", inbound=str(batch[0].id), exc_info=error)
            return {}
        return {key: result for mail in batch for key, result in (await _work([mail], tools)).items()}
    for result in results.values():
        REPORTS.labels(result.value).inc()
    _log.info("reports_worked_through", mails=len(batch), results=len(results))
    return results


async def _work_together(batch: Sequence[InboundMail], tools: ReportTools) -> dict[UUID, Result]:
    leaving = [mail for mail in batch if is_unsubscribing(tools.secret, mail)]
    others = [mail for mail in batch if mail not in leaving]
    readings = await asyncio.to_thread(lambda: [read(mail, tools.secret) for mail in others])
    loops = await proofs(readings, tools.loops, tools.txt)
    cases = [_Case(one, loop or "", loop is None) for one, loop in zip(readings, loops, strict=True)]
    async with tools.database.transaction() as connection:
        await take_turn(connection)
        return await _settle(cases, leaving, connection, tools)


async def _settle(
    cases: Sequence[_Case], leaving: Sequence[InboundMail], connection: Connection, tools: ReportTools
) -> dict[UUID, Result]:
    """Decide and record, within the caller's transaction."""
    refs = {case.reading.mail.id: ref for case in cases if (ref := await _ref(case, connection)) is not None}
    left = {mail.id: _left(tools.secret, mail) for mail in leaving}
    earlier = await earlier_mails(connection, {*refs.values(), *left.values()})
    batch = _Batch(tools, connection, await find_messages(connection, list(refs.values())), earlier)
    for case in cases:
        _judge(batch, case, refs.get(case.reading.mail.id))
    for mail in leaving:
        known = await work_off(connection, tools.secret, mail)
        result = Result.UNSUBSCRIBED if known else Result.UNKNOWN
        batch.finish(Finished(mail.id, result.value, ref=left[mail.id]), earlier[left[mail.id]])
    return await _record(batch)


async def _record(batch: _Batch) -> dict[UUID, Result]:
    connection = batch.connection
    for wait, waiting in batch.waiting.items():
        await put_off(connection, waiting, wait)
    marked = await finish_inbound(connection, batch.finished)
    await record_news(connection, [told for mail, told in batch.told if mail in marked], batch.tools.soft_bounces)
    await tell_received(connection, [answer for answer in batch.answers if answer[0].mail.id in marked])
    await drop_inbound(connection, [mail for mail in batch.dropped if mail in marked])
    return {one.id: Result(one.result) for one in batch.finished if one.id in marked}


def _judge(batch: _Batch, case: _Case, ref: MessageRef | None) -> None:
    """Decide about one mail, and let the next one know."""
    reading, now = case.reading, batch.tools.clock.now()
    wait = wait_for_key(reading.mail.received_at, now) if case.unasked else None
    if wait is not None:
        batch.waiting.setdefault(wait, []).append(reading.mail.id)
        return
    message = batch.messages.get(ref) if ref is not None else None
    earlier = batch.earlier[ref] if ref is not None else Earlier()
    decision = _decide(batch.tools, case, message, earlier)
    if decision.result is None:
        batch.waiting.setdefault(LOOK_AGAIN, []).append(reading.mail.id)
        return
    if message is not None and decision.news is not None:
        batch.told.append((reading.mail.id, (message, decision.news)))
        batch.messages[message.ref] = message.after(decision.news)
    if message is not None and decision.result is Result.IGNORED and earlier.ignored < MOST_ANSWERS:
        batch.answers.append((reading, message))
    batch.finish(_finished(case, message, decision), earlier)


def _decide(tools: ReportTools, case: _Case, message: KnownMessage | None, earlier: Earlier) -> Decision:
    if case.reading.digest in earlier.digests:
        return Decision(Result.REPEATED, "the same report came before")
    now = tools.clock.now()
    return decide(case.reading, message, case.loop, tools.rules, now, narrow=tools.narrow_complaints)


def _left(secret: InstanceSecret, mail: InboundMail) -> MessageRef:
    """The message whose unsubscribe address it came to."""
    named = return_path.parse_unsubscribe(secret, mail.envelope_to)
    assert named is not None
    return MessageRef(*named)


async def _ref(case: _Case, connection: Connection) -> MessageRef | None:
    """The message that a mail is about: by its token; by the Message-ID when a known loop proves to quote it, and only
    one recipient can be meant."""
    reading = case.reading
    if reading.ref is not None or not case.loop or reading.quoted_email is None:
        return reading.ref
    return await messages_of(connection, reading.quoted_email, reading.recipients)


def _finished(case: _Case, message: KnownMessage | None, decision: Decision) -> Finished:
    assert decision.result is not None
    reading = case.reading
    placed_by = reading.placed_by or ("message_id" if message is not None else "")
    return Finished(
        reading.mail.id,
        decision.result.value,
        kind=reading.kind.value if reading.kind else "",
        ref=message.ref if message is not None else reading.ref,
        placed_by=placed_by,
        author=reading.author,
        subject=reading.subject,
        detail=_in_words(case, decision),
        digest=reading.digest,
    )


def _in_words(case: _Case, decision: Decision) -> str:
    if case.loop:
        return f"{decision.detail} (proven by its signature: {case.loop})"
    return f"{decision.detail} (nobody answered for the key of its signature)" if case.unasked else decision.detail
