"""Logging must never fail, never lose the service's name, and never show an address that is to be masked."""

import io
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.logs import _Output, masked

HEAD = """
import threading
from core import logs
logs.configure({level!r}, {mask!r}, {service!r})
log = logs.get_logger("test")
"""

FULL = Path("/dev/full")


def run(body: str, level: str = "info", mask: bool = True, service: str = "") -> list[dict[str, object]]:
    """The lines a process with this body logs."""
    program = HEAD.format(level=level, mask=mask, service=service) + body
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return [orjson.loads(line) for line in done.stdout.splitlines()]


def test_a_line_is_one_json_object_with_event_level_module_and_utc_time() -> None:
    (line,) = run("log.info('attempt', code=250, text='a\\nb')")

    assert (line["event"], line["level"], line["module"], line["code"]) == ("attempt", "info", "test", 250)
    assert str(line["timestamp"]).endswith("Z")


def test_level_keeps_less_important_lines_away() -> None:
    lines = run("log.info('no'); log.warning('yes')", level="warning")

    assert [line["event"] for line in lines] == ["yes"]


def test_service_is_on_lines_of_every_thread() -> None:
    """A worker logs from its loop's thread, not from the one that configured logging."""
    lines = run(
        "log.info('here')\nthread = threading.Thread(target=lambda: log.info('there'))\nthread.start()\nthread.join()",
        service="worker-0",
    )

    assert [(line["event"], line["service"]) for line in lines] == [("here", "worker-0"), ("there", "worker-0")]


@pytest.mark.parametrize(
    "fields",
    [
        "recipient='bob@example.com'",
        "address='bob@example.com'",
        "sender='bob@example.com'",
        "reply='5.1.1 <bob@example.com>: user unknown'",
        "error='cannot send to bob@example.com'",
    ],
)
def test_address_is_masked_wherever_it_stands(fields: str) -> None:
    (line,) = run(f"log.info('attempt', {fields})")

    assert "bob@" not in str(line)
    assert "b***@example.com" in str(line)


def test_address_in_a_traceback_is_masked() -> None:
    (line,) = run(
        "try:\n  raise ValueError('no mail to bob@example.com')\nexcept ValueError:\n  log.exception('broke')"
    )

    assert "ValueError" in str(line["exception"])
    assert "bob@" not in str(line)


def test_address_is_shown_when_masking_is_off() -> None:
    (line,) = run("log.info('attempt', recipient='bob@example.com', reply='<bob@example.com> unknown')", mask=False)

    assert (line["recipient"], line["reply"]) == ("bob@example.com", "<bob@example.com> unknown")


def test_what_stands_for_an_address_and_is_none_is_hidden() -> None:
    (line,) = run("log.info('attempt', recipient='bob', reply='no such user')")

    assert (line["recipient"], line["reply"]) == ("***", "no such user")


def test_text_that_is_no_unicode_does_not_raise() -> None:
    (line,) = run("log.info('attempt', reply='caf\\udce9')")

    assert line["reply"] == "caf\\udce9"


def test_what_json_has_no_form_for_does_not_raise() -> None:
    (line,) = run(r"log.info('x', number=2**70, keys={'a': {1: '\udce9'}}, inner=['\udce9'], fine=[1])")

    assert (line["number"], line["fine"]) == (str(2**70), [1])
    assert line["keys"] == r"{'a': {1: '\udce9'}}"
    assert line["inner"] == r"['\udce9']"


def test_message_id_is_not_taken_for_an_address() -> None:
    (line,) = run("log.info('attempt', message_id='0198-77/3')")

    assert line["message_id"] == "0198-77/3"


@pytest.mark.parametrize(("address", "shown"), [("bob@x.org", "b***@x.org"), ("@x.org", "***@x.org"), ("bob", "***")])
def test_masked(address: str, shown: str) -> None:
    assert masked(address) == shown


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_full_disk_under_the_log_stops_nothing() -> None:
    """A recorder that raises because its log cannot be written would lose outcomes, and repeat mail."""
    with FULL.open("wb") as full:
        program = (
            HEAD.format(level="info", mask=True, service="")
            + "log.info('x')\nimport os\nos.write(2, b'alive')\nos._exit(0)"
        )
        done = subprocess.run([sys.executable, "-c", program], stdout=full, stderr=subprocess.PIPE, check=False)

    assert done.stderr == b"alive"


def test_reader_that_has_gone_stops_nothing() -> None:
    program = HEAD.format(level="info", mask=True, service="") + (
        "import sys, os\nsys.stdin.read()\nfor _ in range(3): log.info('x')\nos.write(2, b'alive')\nos._exit(0)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.close()
    told = process.stderr.read()
    process.stderr.close()
    process.wait(timeout=20)

    assert told == b"alive"


def test_line_of_a_foreign_library_is_json_too() -> None:
    """Celery, kombu and the database pool log through the standard library."""
    (line,) = run(
        "import logging\nlogging.getLogger('psycopg.pool').warning('cannot reach %s', 'bob@example.com')", service="api"
    )

    assert (line["module"], line["level"], line["service"]) == ("psycopg.pool", "warning", "api")
    assert line["event"] == "cannot reach b***@example.com"


BUSY = """
import asyncio, os, signal
async def work(*levels, then=""):
    for n, level in enumerate(levels):
        getattr(log, level)("line", n=n)
    if then:
        await asyncio.sleep(0.2)
        os.write(1, then.encode())
"""


def test_lines_of_a_loop_are_written_in_their_order_and_none_is_lost_at_the_end() -> None:
    lines = run(BUSY + "asyncio.run(work(*['info'] * 1200, 'warning', 'info'))")

    assert [line["n"] for line in lines] == list(range(1202))


def test_lines_of_a_loop_that_goes_on_are_written_soon() -> None:
    lines = run(BUSY + "asyncio.run(work('info', 'info', then='{}\\n'))")

    assert [line.get("n") for line in lines] == [0, 1, None]


@pytest.mark.parametrize(("level", "kept"), [("warning", 2), ("error", 2), ("info", 0)])
def test_a_killed_process_loses_no_warning_and_nothing_before_it(level: str, kept: int) -> None:
    program = HEAD.format(level="info", mask=True, service="") + BUSY
    program += (
        f"async def die():\n  await work('info', '{level}')\n  os.kill(os.getpid(), signal.SIGKILL)\nasyncio.run(die())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert done.returncode == -9
    assert len(done.stdout.splitlines()) == kept


def test_a_line_of_a_thread_without_a_loop_comes_behind_those_that_wait() -> None:
    body = """
async def both():
    await work("info", "info")
    thread = threading.Thread(target=lambda: log.info("there"))
    thread.start()
    thread.join()
    os.write(1, b"{}\\n")
asyncio.run(both())
"""
    lines = run(BUSY + body)

    assert [line.get("event") for line in lines] == ["line", "line", "there", None]


def test_lines_that_wait_are_not_written_again_by_a_child() -> None:
    body = """
async def fork():
    await work("info")
    child = os.fork()
    log.warning("child" if child == 0 else "parent")
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
asyncio.run(fork())
"""
    lines = run(BUSY + body)

    assert sorted(str(line["event"]) for line in lines) == ["child", "line", "parent"]


def test_a_line_that_comes_between_an_early_timer_and_its_time_is_written_too() -> None:
    """uvloop's timers come up to a millisecond early."""
    body = """
async def early():
    loop = asyncio.get_running_loop()
    later = loop.call_later
    loop.call_later = lambda seconds, *call, **more: later(seconds - 0.01 * (seconds == 0.02), *call, **more)
    log.info("first")
    await asyncio.sleep(0.015)
    log.info("second")
    await asyncio.sleep(0.2)
    os.write(1, b"{}\\n")
asyncio.run(early())
"""
    lines = run(BUSY + body)

    assert [line.get("event") for line in lines] == ["first", "second", None]


def test_a_line_in_the_middle_of_a_line_hangs_nobody() -> None:
    """asyncio logs from where a task is collected, and a handler of signals from anywhere."""

    class Interrupted(io.BytesIO):
        def write(self, data: Any, /) -> int:
            if not self.tell():
                super().write(b"first ")
                out.now(b"inner")
            return super().write(data)

    file = Interrupted()
    out = _Output(file)
    thread = threading.Thread(target=out.now, args=[b"outer"], daemon=True)
    thread.start()
    thread.join(5)

    assert file.getvalue().split() == [b"first", b"inner", b"outer"]


def test_a_process_that_is_ended_by_a_signal_may_write_what_waits_before() -> None:
    """uvicorn ends each of several processes by the signal that stopped it."""
    program = HEAD.format(level="info", mask=True, service="") + BUSY
    program += (
        "async def end():\n  await work('info')\n  logs.flush()\n  os.kill(os.getpid(), signal.SIGTERM)\n"
        "asyncio.run(end())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)

    assert done.returncode == -signal.SIGTERM
    assert len(done.stdout.splitlines()) == 1
