"""Samples become steps, and threads that only wait weigh nothing."""

from collections import Counter

import pytest

from bench import steps

LOOP = "thread (11): loop;Thread._bootstrap (threading.py:1002)"
SIGN = "thread (12): sign_0;Thread._bootstrap (threading.py:1002)"


@pytest.mark.parametrize(
    ("stack", "step"),
    [
        ("_claim (workers/pipeline.py:130);claim (messages/claim.py:90);_timed (store/statements.py:139)", "claim"),
        ("_claim (workers/pipeline.py:140);_emails (workers/pipeline.py:150);load (messages/claim.py:150)", "load"),
        ("prepare_many (messages/prepare.py:85);sign_head (mta/sign.py:147);_signature (mta/sign.py:159)", "sign"),
        ("prepare_many (messages/prepare.py:85);mac (core/secrets.py:61);digest (hmac.py:198)", "compose"),
        ("_send (workers/pipeline.py:260);SmtpClient._write (mta/smtp_client.py:495)", "send"),
        ("_send (workers/pipeline.py:260);conclude (workers/concluding.py:99);msg (core/logs.py:68)", "log"),
        ("_send (workers/pipeline.py:260);conclude (workers/concluding.py:99)", "record"),
        ("_deliver (workers/pipeline.py:200);assign (workers/assigning.py:70);_run (pools/scripts.py:9)", "choose"),
        ("run_forever (asyncio/base_events.py:600);<lambda> (<string>:1)", steps.TASKS),
    ],
)
def test_a_stack_is_in_the_step_of_its_innermost_frame_that_belongs_to_one(stack: str, step: str) -> None:
    assert steps.step_of([LOOP, *stack.split(";")]) == step


def test_each_thread_counts_by_the_time_that_it_was_busy() -> None:
    lines = [
        f"{LOOP};_send (workers/pipeline.py:260) 30",
        f"{LOOP};_claim (workers/pipeline.py:130) 10",
        f"{SIGN};_signature (mta/sign.py:159) 1",
        "thread (13): ThreadPoolExecutor-0_1;wait (threading.py:331) 500",
        "no thread at all 3",
    ]
    worker = steps.Sampled(steps.read(lines), {11: 4.0, 12: 5.0, 13: 0.0, 14: 0.5}, 10.0)
    found = worker.by_step()
    assert {step: used for step, used in found.items() if used} == {
        "send": 3.0, "claim": 1.0, "sign": 5.0, steps.TASKS: 1.0,
    }  # fmt: skip
    assert sum(found.values()) == worker.seconds
    assert worker.samples == 541


def test_steps_of_workers_and_other_processes_add_up() -> None:
    worker = steps.Sampled({11: Counter(send=1)}, {11: 2.0}, 2.0)
    cpu = {"worker-marketing": 190.0, "api": 80.0, "postgres": 150.0, "valkey": 15.0, "scheduler": 5.0, "inbound": 1.0}
    table = steps.by_step([worker], cpu, 10_000, ["worker-marketing"])
    assert table["send"] == 200.0
    assert (table["accept"], table["PostgreSQL"], table["Valkey"], table[steps.REST]) == (80.0, 150.0, 15.0, 6.0)
    assert sum(table.values()) == 451.0
