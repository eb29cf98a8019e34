"""kill -9 while people confirm another address, and while an application has everything told again.

Path: each of a few readers posts the confirmation until it is answered; the process of the pages and PostgreSQL are
killed meanwhile. Then the application asks for all its events once more, until that is answered; the API, the
background worker and PostgreSQL are killed meanwhile.
Expectation: each has moved once, with one line of history on either side, one event, and one word to the old address.
Each event is one row, was told once more at least, and none waits for ever.
"""

import contextlib
import http.client
import re
import threading
from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.killing import BACKGROUND, Killer
from tests.integration.webhooks.outbox import EACH
from tests.scenarios.hearing import Ear, ear, mail_of, visit
from tests.stack import HttpError, RunningStack

READERS = 4
_SECONDS = 90.0
_TOLD_OF = """
SELECT count(*) FROM webhook_events WHERE endpoint_id = %s AND type = 'contact.topics.updated'
   AND payload::jsonb->'data'->>'email' = %s AND payload::jsonb->'data'->>'moved_to' = %s
"""


class Insisting(threading.Thread):
    """Does something again and again until it was answered."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__(daemon=True)
        self.tries = 0
        self._act = act
        self._stopped = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._stopped.is_set():
            self.tries += 1
            with contextlib.suppress(OSError, http.client.HTTPException, HttpError, AssertionError):
                self._act()
                return
            self._stopped.wait(0.1)

    def until_done(self, stack: RunningStack) -> None:
        """Fails when it never is."""
        try:
            stack.until(lambda: not self.is_alive(), _SECONDS, "an answer")
        finally:
            self._stopped.set()


@pytest.mark.chaos
@pytest.mark.timeout(600)
def test_who_moves_and_what_is_told_again_does_so_once_whoever_is_killed(stack: RunningStack) -> None:
    killer = Killer(stack)
    with ear(stack, f"/ok/again-{stack.since.number}") as heard:
        moves = [_confirmable(stack, number) for number in range(READERS)]
        people = [Insisting(lambda url=url: _confirm(url)) for _, _, url in moves]  # type: ignore[misc]
        for victim in ("public", "postgres", "public"):
            killer.kill(victim)
        for one in people:
            one.until_done(stack)
        for old, new, _ in moves:
            _prove_moved(stack, heard, old, new)
        _replay(stack, heard, killer)
    print(f"{READERS} moves by {sum(one.tries for one in people)} posts, killed: {dict(killer.killed)}")


def _confirmable(stack: RunningStack, number: int) -> tuple[str, str, str]:
    """Somebody who has asked for mail at another address: the old one, the new one, the link that confirms."""
    old, new = (f"{name}{number}.{stack.since.number}@small-04{number}.sim" for name in ("carl", "carla"))
    stack.send(old, subject="News", text="Leave: {{{RESEND_UNSUBSCRIBE_URL}}}", stream="marketing")
    assert visit("POST", _link(stack, old, "News"), action="move", address=new)[0] == 200
    return old, new, _link(stack, new, "confirm your new address")


def _link(stack: RunningStack, address: str, subject: str) -> str:
    body = mail_of(stack, address, subject).get_body(("plain",))
    assert body is not None
    (link,) = re.findall(r"http://\S+", body.get_content())
    return str(link)


def _confirm(url: str) -> None:
    assert visit("POST", url, action="confirm")[0] == 200


def _prove_moved(stack: RunningStack, heard: Ear, old: str, new: str) -> None:
    lines = stack.sql(
        "SELECT address, what FROM choice_history WHERE what LIKE 'moved%%' AND address IN (%s, %s)", [old, new]
    )
    assert Counter(lines) == {(old, "moved_to"): 1, (new, "moved_from"): 1}
    assert stack.one(_TOLD_OF, [heard.id, old, new]) == 1
    words = "SELECT count(*) FROM emails WHERE %s = ANY(\"to\") AND subject LIKE '%%goes to another address now%%'"
    assert stack.one(words, [old]) == 1
    mail_of(stack, old, "goes to another address now")


def _replay(stack: RunningStack, heard: Ear, killer: Killer) -> None:
    _until_told(stack, heard)
    rows = _rows(stack, heard)
    before = Counter(event["id"] for event in heard.told())
    assert before.keys() == rows.keys()

    def ask() -> None:
        stack.request("POST", f"/webhooks/{heard.id}/replay", {"status": "all"})

    asking = Insisting(ask)
    for victim in ("api", BACKGROUND, "postgres", BACKGROUND):
        killer.kill(victim)
    asking.until_done(stack)
    _until_told(stack, heard)
    told = Counter(event["id"] for event in heard.told())
    assert _rows(stack, heard).keys() == rows.keys() == told.keys()
    assert all(told[event] > before[event] for event in rows), "not told again"


def _rows(stack: RunningStack, heard: Ear) -> Counter[str]:
    found = stack.sql(f"SELECT id::text FROM {EACH} e WHERE endpoint_id = %s", [heard.id])
    counted = Counter(row[0] for row in found)
    assert set(counted.values()) == {1}
    return counted


def _until_told(stack: RunningStack, heard: Ear) -> None:
    """No mail is under way, and everything was told."""
    stack.until(lambda: stack.waiting() == 0, _SECONDS, "all mail to end")
    left = "SELECT count(*) FROM webhook_events WHERE endpoint_id = %s AND state <> 'success'"
    stack.until(lambda: stack.one(left, [heard.id]) == 0, _SECONDS, "everything to be told")
