"""Replies that real mail servers gave, collected from public places and labelled by what they mean.

Each names the place where anybody can read it. The rules were written with these before the eyes, so how well they are
read says little about replies that nobody has met yet: docs/rules.md has figures for those. Addresses and IPs are
replaced by example ones. Format: `mta/rules/measuring.py`.
"""

from pathlib import Path
from typing import Final

from mta.rules.measuring import Sample, read_corpus

FOLDER: Final = Path(__file__).parent
ALL: Final[list[Sample]] = read_corpus(FOLDER / "replies.jsonl")
