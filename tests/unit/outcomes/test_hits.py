"""The files of hits: kept at once, read back, taken over from a process that is gone, bounded."""

import os
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from core.errors import ConfigurationError
from messages.link_tokens import Kind
from messages.model import MessageRef
from outcomes import hits
from outcomes.hits import Hit, HitSpool, read

REF = MessageRef(UUID("01920000-0000-7000-8000-000000000001"), 3)
AT = datetime(2026, 11, 28, 8, 0, 0, 123456, tzinfo=UTC)


def hit(link: str = "https://a.example/?q=\u00e4") -> Hit:
    return Hit(Kind.CLICK, REF, AT, link, "198.51.100.7", 'Firefox "130"', False)


def test_what_was_kept_is_read_back(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path)
    assert spool.append(hit())
    assert spool.append(hit("https://b.example/"))
    assert spool.closed() == ()
    spool.turn()
    (segment,) = spool.closed()
    assert read(segment) == [hit(), hit("https://b.example/")]
    spool.done(segment)
    assert spool.closed() == ()
    assert list(tmp_path.glob("*.hits")) == []


def test_a_full_segment_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "SEGMENT_HITS", 2)
    spool = HitSpool(tmp_path)
    for _ in range(5):
        spool.append(hit())
    assert [len(read(segment)) for segment in spool.closed()] == [2, 2]


def test_the_successor_takes_over_what_a_killed_process_left(tmp_path: Path) -> None:
    killed = HitSpool(tmp_path)
    killed.append(hit())
    os.close(killed._lock)  # what the kernel does
    successor = HitSpool(tmp_path)
    assert [read(segment) for segment in successor.closed()] == [[hit()]]


def test_a_living_process_keeps_its_own(tmp_path: Path) -> None:
    one = HitSpool(tmp_path)
    one.append(hit())
    other = HitSpool(tmp_path)
    assert other.closed() == ()
    other.append(hit())
    other.turn()
    os.close(other._lock)
    one.adopt()
    assert [read(segment) for segment in one.closed()] == [[hit()]]
    one.turn()
    assert len(one.closed()) == 2


def test_nobody_begins_under_a_number_whose_files_are_being_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else both have the file, and whoever does not find it any more called its hits written."""
    killed, other = HitSpool(tmp_path), HitSpool(tmp_path)
    killed.append(hit())
    os.close(killed._lock)
    begun = []
    rename = Path.rename

    def slowly(file: Path, to: Path) -> Path:
        if not begun:
            begun.append(None)
            begun.append(HitSpool(tmp_path))
        return rename(file, to)

    monkeypatch.setattr(Path, "rename", slowly)
    other.adopt()
    assert [read(segment) for segment in other.closed()] == [[hit()]]
    assert begun[1].closed() == ()


def test_half_a_line_costs_only_itself(tmp_path: Path) -> None:
    spool = HitSpool(tmp_path)
    spool.append(hit())
    spool.turn()
    (segment,) = spool.closed()
    with segment.file.open("ab") as file:
        file.write(b'["c","01920000-0000-7000-8000-0000000')
    assert read(segment) == [hit()]


def test_the_disk_is_not_filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hits, "MOST_BYTES", 400)
    spool = HitSpool(tmp_path)
    kept = [spool.append(hit()) for _ in range(10)]
    assert kept[0] is True
    assert kept[-1] is False
    spool.turn()
    spool.done(spool.closed()[0])
    assert spool.append(hit())


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="POSTLANE_DATA_DIR"):
        HitSpool(tmp_path / "file" / "hits")
