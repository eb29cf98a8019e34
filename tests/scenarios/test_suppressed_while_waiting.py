"""Somebody unsubscribes while thousands of mails to them are on their way (promise 2).

Path: 4,000 marketing mails to one address are accepted and the worker sends them; in the middle POST /suppressions.
Expectation: none reaches the address later than one second after the answer; all the others end as suppressed.
"""

import time

import pytest

from tests.stack import SENDER, RunningStack

COUNT = 4000
ADDRESS = "has-enough@small-007.sim"


@pytest.mark.scenario
def test_no_mail_leaves_a_second_after_the_suppression(stack: RunningStack) -> None:
    mail = {"from": SENDER, "to": ADDRESS, "subject": "Offer", "text": "Three for two.\n", "stream": "marketing"}
    ids = stack.enqueue([mail] * COUNT)
    stack.until(lambda: ADDRESS in stack.ledger_file.read_text(), 20, "the first mail to leave")
    waiting = stack.waiting()
    stack.request("POST", "/suppressions", {"email": ADDRESS})
    committed = time.time()
    assert waiting > COUNT // 20, "nearly all had left before: nothing was proven"

    stack.until_ended(ids, 60)
    times = [entry.at for entry in stack.ledger() if entry.recipient == ADDRESS]
    late = [at - committed for at in times if at > committed + 1.0]
    assert not late, f"{len(late)} mails left later than a second, the last after {max(late):.2f} s"
    ended: dict[str, int] = dict(
        stack.sql(
            "SELECT state, count(*) FROM messages WHERE address = %s AND email_id = ANY(%s::uuid[]) GROUP BY 1",
            [ADDRESS, ids],
        )
    )
    assert ended == {"delivered": len(times), "suppressed": COUNT - len(times)}
    after = sum(at > committed for at in times)
    print(f"{waiting} waited at the suppression; {after} left within the second after it, none later")
