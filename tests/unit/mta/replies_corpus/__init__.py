"""Replies that real mail servers gave, collected from public places and labelled by what they mean.

`tuned.jsonl` is what the rules were written against. `held_out.jsonl` comes from other places, was labelled before the
rules saw it, and holds nothing close to a reply of the first: it says how well the rules read replies they do not know.
Addresses and IPs are replaced by example ones. Format: `mta/rules/measuring.py`.
"""

from pathlib import Path
from typing import Final

from mta.rules.measuring import Sample, read_corpus

FOLDER: Final = Path(__file__).parent
TUNED: Final = read_corpus(FOLDER / "tuned.jsonl")
HELD_OUT: Final = read_corpus(FOLDER / "held_out.jsonl")
ALL: Final[list[Sample]] = [*TUNED, *HELD_OUT]
