"""Which mails a known feedback loop provably sent: their signatures looked at together, the keys remembered.

Only a report about a complaint that carries no token of ours needs a proof. All of a batch are looked at side by side
within one deadline: a resolver that does not answer costs the batch `KEY_SECONDS`, not each of its mails. What cannot
be proven then is put off, each time for longer, and is taken as unproven after `PATIENCE`: kept and shown, as what
strangers send.
"""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from core.errors import UnavailableError
from core.logs import get_logger
from core.remembered import Remembered
from mta.bounces import ReportKind
from mta.loops import Loop, Txt, proven_loop
from outcomes.reading import Reading

_log = get_logger(__name__)

KEY_SECONDS: Final = 10.0
"""For the keys of a batch."""
PATIENCE: Final = timedelta(days=1)
SHORTEST: Final = timedelta(seconds=30)
LONGEST: Final = timedelta(hours=1)

_KEPT_SECONDS: Final = 600.0
_STALE_SECONDS: Final = 86_400.0
"""A key that was good yesterday is good while nobody answers: loops change theirs once in years."""
_PAUSE_SECONDS: Final = 30.0
"""After a question that nobody answered; a batch may hold hundreds of reports of the same loop."""


def remembered_keys(txt: Txt) -> Txt:
    """The same, asked for once in a while. For the tasks of one event loop."""
    return Remembered(txt, _KEPT_SECONDS, stale=_STALE_SECONDS, pause=_PAUSE_SECONDS).get


def needs_proof(reading: Reading) -> bool:
    """A report about a complaint that carries no token of ours."""
    return reading.ref is None and reading.kind in (ReportKind.COMPLAINT, ReportKind.NOT_SPAM)


def wait_for_key(received_at: datetime, now: datetime) -> timedelta | None:
    """How long a mail waits whose key could not be had; None: long enough."""
    age = now - received_at
    return None if age >= PATIENCE else min(max(age, SHORTEST), LONGEST)


async def proofs(readings: Sequence[Reading], loops: Sequence[Loop], txt: Txt) -> list[str | None]:
    """For each the loop that signed it, "" for none, None where nobody can say now."""
    tasks = [asyncio.create_task(_proof(reading, loops, txt), name="proof") for reading in readings]
    if not tasks:
        return []
    _, late = await asyncio.wait(tasks, timeout=KEY_SECONDS)
    for task in late:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [_known(one, reading) for one, reading in zip(found, readings, strict=True)]


async def _proof(reading: Reading, loops: Sequence[Loop], txt: Txt) -> str:
    return await proven_loop(reading.mail.raw, reading.whole, loops, txt) if needs_proof(reading) else ""


def _known(found: str | BaseException, reading: Reading) -> str | None:
    if isinstance(found, str):
        return found
    if not isinstance(found, UnavailableError | asyncio.CancelledError):
        raise found
    _log.warning("loop_not_proven_yet", inbound=str(reading.mail.id), error=str(found) or "no answer in time")
    return None
