"""An installation of a former revision is upgraded, with everything in it, and goes on.

Path: its database (`tests/older`: workers stopped in the middle) is migrated, and the processes of today are started.
Expectation: what waited, was in a worker's hands, or belongs to a campaign that was sending leaves once; what had left
does not leave again; what is scheduled, put off or halted waits on. Everything is told by the API and the command line.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from cli.running.embedded import Servers, start_servers
from cli.running.stack import Shape
from simulator import client as simulator
from tests import older
from tests.stack import Options, RunningStack, running_stack

pytestmark = pytest.mark.scenario

WAITED = ("waits0@small-001.sim", "waits1@small-001.sim", "waits2@small-001.sim", "waits.news@small-002.sim",
          "slow+3@small-001.sim")  # fmt: skip
READERS = ("ann@small-001.sim", "ben@small-002.sim", "cora@small-003.sim")
HALTED = "SELECT count(*) FROM delivery_queue WHERE campaign_id IN (SELECT campaign_id FROM halted_campaigns)"


def _old_servers(folder: Path) -> Servers:
    servers = start_servers(folder, lambda _: None)
    older.make(servers.database_url)
    return servers


def test_what_waited_leaves_once_and_all_is_told() -> None:
    options = Options(Shape(inbound=False), {"POSTLANE_LEASE_SECONDS": "8"}, secret=older.SECRET)
    with running_stack(options, _old_servers) as stack:
        # What its server put off is due in three minutes at the earliest, whenever this runs (`older.rows`).
        due = "SELECT count(*) FROM delivery_queue WHERE due_at < now() + interval '1 minute' AND hold IS NULL"
        stack.until(lambda: stack.one(due) == 0, 60, "all that is due to leave")
        assert recipients(stack) == Counter([*WAITED, *READERS])
        assert stack.one(HALTED) == 6, "mail of the paused and the stopped campaign"
        campaigns = {one["name"]: one for one in stack.request("GET", "/broadcasts")["data"]}
        stack.request("POST", f"/broadcasts/{campaigns['paused']['id']}/resume")
        stack.until(lambda: stack.one(HALTED) == 3, 30, "the paused campaign to go on")
        stack.until(lambda: recipients(stack) == Counter([*WAITED, *READERS, *READERS]), 30, "its mail to leave")
        stack.until(lambda: campaign(stack, campaigns["sending"]["id"]) == "sent", 30, "the campaign to finish")

        states = {name: campaign(stack, one["id"]) for name, one in campaigns.items()}
        assert (states["draft"], states["scheduled"], states["finished"]) == ("draft", "queued", "sent")
        emails = [str(row[0]) for row in stack.sql("SELECT id FROM emails")]
        assert all(stack.email(one)["to"] for one in emails)
        assert [stack.last_event(one) for one in emails].count("scheduled") == 1
        told = {path: len(stack.request("GET", f"/{path}")["data"]) for path in LISTS}
        assert told == LISTS
        users = command(stack, "users", "list")
        assert [(one["email"], one["role"]) for one in users] == [("boss@acme.example", "viewer")]
        assert command(stack, "warmup", "list")[0]["ip"] == "127.0.1.13"
        assert command(stack, "automations", "runs", "Trial", "--application", "Demo")[0]["status"] == "running"


LISTS = {"contacts": 4, "segments": 1, "topics": 2, "webhooks": 1, "suppressions": 4, "automations": 1, "templates": 1,
         "domains": 1, "broadcasts": 7}  # fmt: skip


def recipients(stack: RunningStack) -> "Counter[str]":
    """How many mails each got: what waited leaves before the ledger is asked for."""
    assert stack.simulator is not None
    return Counter(simulator.recipients(stack.simulator))


def campaign(stack: RunningStack, identifier: str) -> str:
    return str(stack.request("GET", f"/broadcasts/{identifier}")["status"])


def command(stack: RunningStack, *words: str) -> Any:
    env = os.environ | {
        "POSTLANE_DATABASE_URL": stack.database_url, "POSTLANE_REDIS_URL": stack.redis_url,
        "POSTLANE_SECRET": older.SECRET, "POSTLANE_DATA_DIR": str(stack.data_dir),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "cli", *words, "--json"],
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
