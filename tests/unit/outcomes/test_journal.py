"""The journal: what a killed worker knew is found again, and two workers never share one."""

import os
import resource
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import ConfigurationError
from core.ids import uuid7
from core.queues import Lane
from messages.entries import Words
from messages.model import MessageRef, StoredEmail
from messages.states import State
from messages.timeline import EventKind
from outcomes.journal import Journal
from outcomes.kinds import AttemptFacts, Outcome
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from tests.integration.outcomes.facts import WORKER, bounce, deferral, outcome

REF = MessageRef(UUID(int=1), 0)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
TIMES = st.datetimes(
    min_value=datetime(1990, 1, 1),  # noqa: DTZ001 # hypothesis adds the zone
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]),
)
SMALL = st.integers(min_value=0, max_value=32_767)
ATTEMPTS = st.builds(AttemptFacts, TEXT, TEXT, TEXT, TEXT, TEXT, SMALL, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, SMALL)
SUPPRESSIONS = st.builds(
    SuppressionEntry,
    st.sampled_from(SuppressionScope),
    st.sampled_from(Reason),
    st.sampled_from(Source),
    TEXT,
    st.none() | TIMES,
)
OUTCOMES = st.builds(
    Outcome,
    ref=st.builds(MessageRef, st.uuids(), SMALL),
    address=TEXT,
    lane=st.sampled_from(Lane),
    at=TIMES,
    kind=st.sampled_from(EventKind),
    state=st.sampled_from(State),
    attempts=SMALL,
    worker=st.uuids(),
    attempt=st.none() | ATTEMPTS,
    next_attempt_at=st.none() | TIMES,
    detail=TEXT,
    suppress=st.none() | SUPPRESSIONS,
    words=st.none(),
)


def reopened(folder: Path) -> tuple[UUID | None, list[Outcome]]:
    """What the next process of this name finds."""
    journal = Journal(folder, "w")
    found = journal.left_behind()
    journal.close()
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(OUTCOMES, max_size=4))
def test_every_outcome_comes_back_as_it_was(tmp_path: Path, outcomes: list[Outcome]) -> None:
    folder = tmp_path / uuid7().hex
    journal = Journal(folder, "w")
    journal.begin(WORKER)
    for one in outcomes:
        journal.append(one)
    journal.close()

    assert reopened(folder) == (WORKER, outcomes)


def test_new_journal_has_no_predecessor(tmp_path: Path) -> None:
    assert reopened(tmp_path / "new") == (None, [])


def test_committed_file_is_emptied_and_the_other_one_kept(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    first, second, third = outcome(REF), bounce(REF), deferral(REF)
    journal.append(first)
    number = journal.turn()
    journal.append(second)
    journal.append(third)
    assert [kept.kind for kept in journal.left_behind()[1]] == [first.kind, second.kind, third.kind]
    journal.committed(number)
    journal.close()

    assert reopened(tmp_path)[1] == [second, third]


def test_beginning_forgets_what_was_left_behind(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(outcome(REF))
    journal.turn()
    journal.append(outcome(REF))
    journal.begin(WORKER)
    journal.close()

    assert reopened(tmp_path) == (WORKER, [])


def test_second_worker_of_the_same_name_is_refused_and_told_why(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    with pytest.raises(ConfigurationError, match="POSTLANE_WORKER_NAME"):
        Journal(tmp_path, "w")
    other = Journal(tmp_path, "other")
    other.close()
    journal.close()

    assert reopened(tmp_path) == (None, [])


def test_unusable_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "journals").write_text("a file")

    with pytest.raises(ConfigurationError, match="journals"):
        Journal(tmp_path / "journals", "w")


@pytest.mark.parametrize("end", [b"", b"\x00\x00", b'{"ref":', b"[]\n", b"null\n", b'{"ref":["x",0]}\n', b"\xff\xfe\n"])
def test_torn_or_foreign_end_is_left_out(tmp_path: Path, end: bytes) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(outcome(REF))
    journal.close()
    with (tmp_path / "w.a.journal").open("ab") as file:
        file.write(end)

    assert len(reopened(tmp_path)[1]) == 1


def test_every_way_to_cut_the_last_line_keeps_those_before(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "w")
    journal.append(outcome(REF))
    journal.append(bounce(REF))
    journal.close()
    file = tmp_path / "w.a.journal"
    whole = file.read_bytes()
    first = whole.index(b"\n") + 1
    for length in range(first, len(whole) - 1):
        file.write_bytes(whole[:length])
        assert [one.kind for one in reopened(tmp_path)[1]] == [EventKind.DELIVERED]


def test_identity_that_cannot_be_read_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "w.worker").write_text("nonsense")

    assert reopened(tmp_path) == (None, [])


CHILD = """
import os, signal, sys
from pathlib import Path
from outcomes.journal import Journal
from messages.model import MessageRef
from tests.integration.outcomes.facts import WORKER, outcome
from uuid import UUID
journal = Journal(Path(sys.argv[1]), "w")
journal.begin(UUID(int=5))
for number in range(500):
    journal.append(outcome(MessageRef(UUID(int=number + 1), 0)))
    if number == 249:
        journal.turn()
os.write(1, b"ready")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_kill_9_loses_nothing_and_frees_the_name(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", CHILD, str(tmp_path)], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (-9, b"ready"), done.stderr.decode()
    previous, outcomes = reopened(tmp_path)

    assert previous == UUID(int=5)
    assert [one.ref.email_id.int for one in outcomes] == list(range(1, 501))


def test_a_full_disk_is_told_and_the_lines_after_it_can_be_read(tmp_path: Path) -> None:
    """The kernel writes what fits: half a line may not spoil the next one."""
    body = """
import resource, signal, sys
from pathlib import Path
from outcomes.journal import Journal
from messages.model import MessageRef
from tests.integration.outcomes.facts import outcome
from uuid import UUID
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path(sys.argv[1])
journal = Journal(folder, "w")
size = (journal.append(outcome(MessageRef(UUID(int=1), 0))), (folder / "w.a.journal").stat().st_size)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (size + size // 2, resource.RLIM_INFINITY))
try:
    journal.append(outcome(MessageRef(UUID(int=2), 0)))
except OSError as error:
    print(type(error).__name__)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.append(outcome(MessageRef(UUID(int=3), 0)))
"""
    done = subprocess.run([sys.executable, "-c", body, str(tmp_path)], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (0, "OSError\n"), done.stderr
    assert [one.ref.email_id.int for one in reopened(tmp_path)[1]] == [1, 3]


def test_text_that_is_no_unicode_can_be_kept(tmp_path: Path) -> None:
    """A reply is printable by contract; if a bug lets something else through, the outcome counts all the same."""
    journal = Journal(tmp_path, "w")
    journal.append(outcome(REF)._replace(detail="\udcff"))
    journal.close()

    assert [one.ref for one in reopened(tmp_path)[1]] == [REF]


def test_journal_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    """It holds addresses."""
    before = os.umask(0)
    try:
        Journal(tmp_path, "w").close()
    finally:
        os.umask(before)

    assert {(tmp_path / f"w.{kind}.journal").stat().st_mode & 0o077 for kind in "ab"} == {0}
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY


def test_what_is_told_of_a_message_is_not_kept_here(tmp_path: Path) -> None:
    """The database has it, and a line is written for each mail."""
    email = StoredEmail(
        uuid7(), uuid7(), uuid7(), None, uuid7(), outcome(REF).at, None, "a@x.example", "Secret", (), (), (), "<1>"
    )
    journal = Journal(tmp_path, "w")
    journal.append(outcome(REF)._replace(words=Words("b@x.example", Lane.MARKETING, email)))
    journal.close()
    assert not any(b"Secret" in file.read_bytes() for file in tmp_path.iterdir())
    ((kept,),) = (reopened(tmp_path)[1],)
    assert kept.words is None
