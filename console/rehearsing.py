"""Rehearsals that were asked for on a page: each runs in a process of its own, one at a time, and is kept for a while.

The console may not import the simulator, and a rehearsal takes a core for seconds to minutes: so it is the program
`simulator/rehearsal_process` that runs, as on the command line. Whoever asked may leave the page and come back; what is
kept is lost with this process, and can be asked for again.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from core.logs import get_logger
from core.refusal import conflict
from core.tasks import end

_log = get_logger(__name__)

REHEARSED: Final = 30
"""Days, unless somebody says how many."""
MOST_DAYS: Final = 60
WAYS: Final = 3
"""The plan, a blast, and a blast with fail-over: in this order, as `simulator.rehearsal_model.Way` has them."""
KEPT: Final = 20
WAITING: Final = 3
"""That are not through yet, at most."""
SECONDS: Final = 600.0
"""For one of them."""
_LONGEST_TROUBLE: Final = 300


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is rehearsed."""

    plan: Mapping[str, Any]
    """As `warmup.plan.as_dict` gives it."""
    per_day: int
    mix: Mapping[str, float]
    """Parts of our mail by provider; {} for what is usual."""
    warm_ips: int
    providers_file: Path | None = None
    days: int = REHEARSED

    def told(self) -> bytes:
        """For the process."""
        told = {
            "plan": dict(self.plan), "volume": self.per_day, "mix": dict(self.mix), "warm_ips": self.warm_ips,
            "days": self.days, "providers_file": str(self.providers_file) if self.providers_file else None,
        }  # fmt: skip
        return json.dumps(told).encode()


@dataclass(slots=True)
class Rehearsal:
    """One of them, and how far it is."""

    id: str
    wanted: Wanted
    asked_at: datetime
    begun: bool = False
    results: list[Mapping[str, Any]] = field(default_factory=list)
    """Of the ways that are through, each as `simulator.rehearsal_model.Result`."""
    trouble: str = ""

    @property
    def over(self) -> bool:
        """Nothing more comes."""
        return bool(self.trouble) or len(self.results) == WAYS


class Rehearsals:
    """Those of this process."""

    def __init__(self, command: Sequence[str] = (sys.executable, "-m", "simulator.rehearsal_process")) -> None:
        self._command = command
        self._known: dict[str, Rehearsal] = {}
        self._turn = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, wanted: Wanted, now: datetime) -> Rehearsal:
        """Rehearse it as soon as those before are through. Raises Refused."""
        if sum(not one.over for one in self._known.values()) >= WAITING:
            raise conflict("other plans are being rehearsed", "Wait until they are through, or use the command line.")
        made = Rehearsal(secrets.token_hex(8), wanted, now)
        self._known[made.id] = made
        for old in [one for one in self._known.values() if one.over][: max(0, len(self._known) - KEPT)]:
            del self._known[old.id]
        task = asyncio.create_task(self._run(made), name=f"rehearsal-{made.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return made

    def get(self, identifier: str) -> Rehearsal | None:
        """One that is kept still."""
        return self._known.get(identifier)

    async def stop(self) -> None:
        """Nothing runs on."""
        await end(self._tasks)

    async def _run(self, one: Rehearsal) -> None:
        async with self._turn:
            one.begun = True
            try:
                async with asyncio.timeout(SECONDS):
                    await self._through(one)
            except TimeoutError:
                one.trouble = f"It took longer than {SECONDS / 60:.0f} minutes and was given up: try less mail a day."
            except OSError as error:
                one.trouble = f"It could not be started: {error.strerror}."
            if not one.over:
                one.trouble = "It broke off; the console's log says why."

    async def _through(self, one: Rehearsal) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE, limit=8 * 1024 * 1024,
        )  # fmt: skip
        assert process.stdin and process.stdout and process.stderr
        try:
            process.stdin.write(one.wanted.told())
            process.stdin.close()
            async for line in process.stdout:
                one.results.append(json.loads(line))
            said = (await process.stderr.read()).decode("utf-8", "replace")
            if await process.wait():
                _log.error("rehearsal_failed", status=process.returncode, said=said[-_LONGEST_TROUBLE:])
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
