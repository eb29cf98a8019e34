"""The text of a batch for PostgreSQL's COPY, and how large the next batch is. Pure."""

from datetime import UTC, datetime

import pytest

from suppression.entries import Addition
from suppression.importing import LEAST, MOST, TURN_SECONDS, next_size
from suppression.merging import packed
from suppression.reasons import Reason, Source, SuppressionEntry, SuppressionScope
from suppression.rows import NAMES


def addition(address: str = "a@x.example", detail: str = "", reason: Reason = Reason.IMPORT) -> Addition:
    since = datetime(2025, 1, 1, tzinfo=UTC)
    return Addition(address, SuppressionEntry(SuppressionScope.ALL, reason, Source.IMPORT, detail), since=since)


def rows(*additions: Addition) -> list[dict[str, str]]:
    text, count = packed(additions)
    found = [dict(zip(NAMES, line.split("\t"), strict=True)) for line in text.decode().splitlines()]
    assert len(found) == count
    return found


def test_a_row_has_each_column_in_its_place() -> None:
    (row,) = rows(addition())
    assert (row["address"], row["scope"], row["reason"], row["source"]) == ("a@x.example", "all", "import", "import")
    assert (row["created_at"], row["expires_at"], row["owner_id"]) == ("2025-01-01T00:00:00+00:00", "\\N", "\\N")


@pytest.mark.parametrize(
    ("detail", "written"),
    [("a\tb", "a\\tb"), ("a\\Nb", "a\\\\Nb"), ("{since} {0}", "{since} {0}"), ("a\r\nb", "a\\r\\nb"), ("", "")],
)
def test_signs_that_mean_something_in_a_copy_are_written_as_themselves(detail: str, written: str) -> None:
    assert [row["detail"] for row in rows(addition(detail=detail), addition("b@x.example", detail))] == [written] * 2


def test_somebody_who_is_named_twice_is_one_row_and_the_complaint_stands() -> None:
    (row,) = rows(addition(), addition(reason=Reason.COMPLAINT), addition())
    assert row["reason"] == "complaint"


def test_ids_increase() -> None:
    found = [row["id"] for row in rows(*(addition(f"u{n}@x.example") for n in range(200)))]
    assert found == sorted(set(found))
    assert {len(one) for one in found} == {32}


def test_the_next_batch_takes_about_its_time() -> None:
    assert next_size(20_000, TURN_SECONDS) == 20_000
    assert next_size(20_000, TURN_SECONDS / 100) == 40_000  # one that was lucky is no rule
    assert next_size(20_000, TURN_SECONDS * 1000) == LEAST
    assert next_size(MOST, 0.0) == MOST
