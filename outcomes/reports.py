"""Working through mail that came back, a batch at a time: what each says, about which message, and what follows.

A batch is leased, understood in a thread, and decided and recorded in one transaction together with the marks on its
mails: the same mail twice does nothing, whoever repeats it, and a process that is killed leaves mail that is due again.
One mail that brings a bug to light is tried apart from the others.

`outcomes/reading` understands, `outcomes/judging` decides, `outcomes/late` records; `outcomes/inbound` owns the table.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

from prometheus_client import Counter

from core.clock import Clock
from core.errors import UnavailableError
from core.logs import get_logger
from core.secrets import InstanceSecret
from messages.model import MessageRef
from messages.states import State
from mta.bounces import ReportKind
from mta.loops import Loop, Txt, load_loops, proven_loop
from mta.rule_book import RuleBook
from outcomes.inbound import Finished, InboundMail, claim_inbound, finish_inbound, put_off
from outcomes.judging import WAIT_FOR_OUTCOME, Decision, Result, decide
from outcomes.late import KnownMessage, Told, find_messages, messages_of, record_news, take_turn
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
GATHER_SECONDS: Final = 0.1
"""Between two sweeps: what comes meanwhile shares a batch, whose statements cost the same for one mail as for fifty."""
KEY_SECONDS: Final = 10.0
"""For the key of a feedback loop."""


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

    @property
    def needs_proof(self) -> bool:
        """A report about a complaint that carries no token of ours."""
        return self.reading.ref is None and self.reading.kind in (ReportKind.COMPLAINT, ReportKind.NOT_SPAM)


async def sweep(tools: ReportTools) -> int:
    """Work through all that is due, oldest first. Returns how many mails got their result. Raises
    `DatabaseUnavailableError`."""
    swept = 0
    while batch := await _claim(tools):
        swept += len(await _work(batch, tools))
        if len(batch) < BATCH:
            break
    return swept


class Sweeper:
    """Sweeps when it is asked to, one sweep at a time. Who asks during one makes it look again, and need not wait."""

    def __init__(self, tools: ReportTools) -> None:
        self._tools = tools
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
                await sweep(self._tools)
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
    cases = [await _proven(_Case(reading), tools) for reading in readings]
    async with tools.database.transaction() as connection:
        await take_turn(connection)
        results = await _settle([case for case in cases if case is not None], connection, tools)
        for mail in leaving:
            known = await work_off(connection, tools.secret, mail)
            result = Result.UNSUBSCRIBED if known else Result.UNKNOWN
            if await finish_inbound(connection, [Finished(mail.id, result.value)]):
                results[mail.id] = result
    return results


async def _proven(case: _Case, tools: ReportTools) -> _Case | None:
    """With the loop that signed it. None: nobody can say now, and it waits."""
    if not case.needs_proof:
        return case
    reading = case.reading
    try:
        async with asyncio.timeout(KEY_SECONDS):
            return replace(case, loop=await proven_loop(reading.mail.raw, reading.whole, tools.loops, tools.txt))
    except (UnavailableError, TimeoutError) as error:
        _log.warning("loop_not_proven_yet", inbound=str(reading.mail.id), error=str(error))
        return None


async def _settle(cases: Sequence[_Case], connection: Connection, tools: ReportTools) -> dict[UUID, Result]:
    """Decide and record, within the caller's transaction."""
    refs = {case.reading.mail.id: ref for case in cases if (ref := await _ref(case, connection)) is not None}
    found = await find_messages(connection, list(refs.values()))
    decided: list[tuple[_Case, KnownMessage | None, Decision]] = []
    for case in cases:
        ref = refs.get(case.reading.mail.id)
        message = found.get(ref) if ref else None
        decision = _decide(case, message, tools)
        decided.append((case, message, decision))
        if message is not None and decision.result is not None:
            found[message.ref] = _afterwards(message, decision.result)
    await put_off(connection, [case.reading.mail.id for case, _, one in decided if one.result is None], LOOK_AGAIN)
    marked = await finish_inbound(connection, list(_finished(decided)))
    valid = [(case, message, one) for case, message, one in decided if case.reading.mail.id in marked]
    told: list[Told] = [
        (message, one.news) for _, message, one in valid if message is not None and one.news is not None
    ]
    await record_news(connection, told, tools.soft_bounces)
    others = [(case.reading, message) for case, message, one in valid if message and one.result is Result.IGNORED]
    await tell_received(connection, others)
    return {case.reading.mail.id: one.result for case, _, one in valid if one.result is not None}


def _decide(case: _Case, message: KnownMessage | None, tools: ReportTools) -> Decision:
    now = tools.clock.now()
    return decide(case.reading, message, case.loop, tools.rules, now, narrow=tools.narrow_complaints)


async def _ref(case: _Case, connection: Connection) -> MessageRef | None:
    """The message that a mail is about: by its token; by the Message-ID when a known loop proves to quote it, and only
    one recipient can be meant."""
    reading = case.reading
    if reading.ref is not None or not case.loop or reading.quoted_email is None:
        return reading.ref
    return await messages_of(connection, reading.quoted_email, reading.recipients)


def _afterwards(message: KnownMessage, result: Result) -> KnownMessage:
    """The message as the next report of the batch finds it."""
    if result is Result.BOUNCED:
        return replace(message, state=State.BOUNCED)
    if result in (Result.COMPLAINED, Result.WITHDRAWN):
        return replace(message, complained=result is Result.COMPLAINED)
    return message


def _finished(decided: Iterable[tuple[_Case, KnownMessage | None, Decision]]) -> Iterable[Finished]:
    for case, message, decision in decided:
        if decision.result is None:
            continue
        reading = case.reading
        placed_by = reading.placed_by or ("message_id" if message is not None else "")
        yield Finished(
            reading.mail.id,
            decision.result.value,
            kind=reading.kind.value if reading.kind else "",
            ref=message.ref if message is not None else reading.ref,
            placed_by=placed_by,
            author=reading.author,
            subject=reading.subject,
            detail=f"{decision.detail} (proven by its signature: {case.loop})" if case.loop else decision.detail,
        )
