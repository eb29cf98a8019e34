"""kill -9 of one service of a stack after the other, and what each kill may have cost.

A worker is frozen right before its end, so that what it has on the wire can be counted: the only mails that may leave a
second time. What time does to the leases of a dead background worker is done at once: nobody wants to wait for it.
"""

import signal
from collections import Counter

from cli.running.supervisor import Status
from tests.stack import MARKETING, TRANSACTIONAL, RunningStack

BACKGROUND = "worker-background"

_LEASES_RUN_OUT = "UPDATE inbound_mail SET due_at = now() WHERE result IS NULL"


class Killer:
    """Counts what it does."""

    def __init__(self, stack: RunningStack) -> None:
        self.killed: Counter[str] = Counter()
        self.on_wire = 0
        """Mails that killed workers can have had under way."""
        self._stack = stack

    def await_running(self, victim: str) -> None:
        """Wait until it is up again."""
        stack = self._stack
        stack.until(lambda: stack.states()[victim].status is Status.RUNNING, 60, f"{victim} to run")

    def kill(self, victim: str) -> None:
        """End a service once it runs. The supervisor starts it again with the next waits."""
        stack = self._stack
        self.await_running(victim)
        if victim.startswith((TRANSACTIONAL, MARKETING)):
            stack.send_signal(victim, signal.SIGSTOP)
            self.on_wire += stack.on_wire(victim)
        stack.kill(victim)
        self.killed[victim] += 1
        if victim == BACKGROUND:
            self._let_leases_run_out()
        if victim == "postgres":
            stack.until(lambda: stack.one("SELECT 1") == 1, 60, "PostgreSQL's recovery")

    def _let_leases_run_out(self) -> None:
        """Before its successor is there: what a living one holds stays as it is."""
        stack = self._stack

        def done() -> bool:
            stack.sql(_LEASES_RUN_OUT)
            return True

        stack.until(done, 60, "PostgreSQL")
