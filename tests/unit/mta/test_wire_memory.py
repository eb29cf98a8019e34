"""The page on what is remembered, held against the code."""

import re
from pathlib import Path

import mta
from mta.deliver import CHUNKLESS_SECONDS, SHUN_SECONDS
from mta.resolve import _HALF_KNOWN_SECONDS
from mta.session import LENGTH_SECONDS
from mta.tls import TlsMemory

PAGE = Path(__file__).parents[3] / "docs" / "wire-memory.md"
ROW = re.compile(r"^\| `([a-z-]+)`.*\| (\d+) s \|$", re.M)
MEMORY = re.compile(r"= Memory\(")


def test_the_page_names_the_end_of_each_fact() -> None:
    memory = TlsMemory()
    assert {name: float(seconds) for name, seconds in ROW.findall(PAGE.read_text())} == {
        "broken": memory.broken,
        "cut": memory.cut,
        "untrusted": memory.untrusted,
        "demanded": memory.demanded,
        "unreachable": SHUN_SECONDS,
        "length": LENGTH_SECONDS,
        "chunkless": CHUNKLESS_SECONDS,
        "half-known": _HALF_KNOWN_SECONDS,
    }


def test_who_remembers_something_new_gives_it_a_row() -> None:
    folder = Path(mta.__file__).parent
    users = {path.name: len(MEMORY.findall(path.read_text())) for path in folder.glob("*.py")}
    # tls: broken, cut and untrusted share one memory.
    assert {name: count for name, count in users.items() if count} == {"deliver.py": 2, "session.py": 1, "tls.py": 2}
