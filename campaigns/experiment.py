"""Experiments: who of an audience gets which variant, who waits for the winner, who gets nothing. Pure.

Each person has a place between 0 and 1 in each campaign, from a hash of both: the same whenever it is asked, in Python
and in SQL, and another one in the next campaign. From the bottom up stand the *hold-out* group, then the test with an
equal part for each variant, then those who wait until one has won. Variant 0 is what the campaign itself says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import md5
from typing import Any, Final
from uuid import UUID

from campaigns.words import Words
from core.refusal import invalid

MOST_VARIANTS: Final = 10
HELD_OUT: Final = -2
"""In place of a variant: in the group that gets nothing."""
REST: Final = -1
"""In place of a variant: waits for the winner."""

_SPAN: Final = 2**32
_NAMES: Final = frozenset({"variants", "test_share", "hold_out", "winner", "after_hours", "chosen"})
_WORDS: Final = {"from": "sender", "subject": "subject", "preview_text": "preview_text", "html": "html", "text": "text"}

PLACE: Final = "(('x' || left(md5(%(campaign)s::text || j.id::text), 8))::bit(32)::bigint::float8 / 4294967296)"
"""The place of the person in row `j`, as `place_of` computes it."""

VARIANT: Final = f"""CASE WHEN {PLACE} < %(hold_out)s THEN {HELD_OUT}
  WHEN {PLACE} < %(hold_out)s + (1 - %(hold_out)s) * %(test_share)s
  THEN least(floor(({PLACE} - %(hold_out)s) / ((1 - %(hold_out)s) * %(test_share)s) * %(arms)s), %(arms)s - 1)::int
  ELSE {REST} END"""
"""The variant of the person in row `j`, as `variant_of` computes it."""


class Winner(StrEnum):
    """What decides."""

    CLICKS = "clicks"
    OPENS = "opens"
    HAND = "hand"
    """Somebody says which."""


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment; without variants and hold-out it is none."""

    variants: tuple[Mapping[str, str], ...] = ()
    """What each says differently, by the name of the field."""
    test_share: float = 1.0
    """Part of the audience that gets a variant at once; the others get the winner."""
    hold_out: float = 0.0
    """Part that gets nothing."""
    winner: Winner = Winner.CLICKS
    after_hours: float = 4.0
    chosen: int | None = None

    @property
    def arms(self) -> int:
        """How many variants there are, with what the campaign itself says."""
        return len(self.variants) + 1

    @property
    def waits(self) -> bool:
        """Somebody waits for the winner."""
        return bool(self.variants) and self.test_share < 1 and self.chosen is None

    def words(self, own: Words) -> list[Words]:
        """Of each variant."""
        changes: list[dict[str, Any]] = [{_WORDS[name]: text for name, text in one.items()} for one in self.variants]
        return [own, *(replace(own, **change) for change in changes)]

    def names(self) -> dict[str, Any]:
        """The parameters of `VARIANT`."""
        return {"hold_out": self.hold_out, "test_share": self.test_share, "arms": self.arms}


def place_of(campaign_id: UUID, contact_id: UUID) -> float:
    """Where somebody stands, from 0 to 1."""
    return int(md5(f"{campaign_id}{contact_id}".encode(), usedforsecurity=False).hexdigest()[:8], 16) / _SPAN


def variant_of(experiment: Experiment, place: float) -> int:
    """What somebody gets who stands there."""
    if place < experiment.hold_out:
        return HELD_OUT
    tested = (1 - experiment.hold_out) * experiment.test_share
    if place >= experiment.hold_out + tested:
        return REST
    return min(int((place - experiment.hold_out) / tested * experiment.arms), experiment.arms - 1)


def best(figures: Sequence[tuple[int, int, int, int]], winner: Winner) -> int:
    """The variant with the best rate, the first of equals. `figures`: variant, delivered, opened, clicked."""

    def rate(one: tuple[int, int, int, int]) -> tuple[float, int]:
        variant, delivered, opened, clicked = one
        reached = clicked if winner is Winner.CLICKS else opened
        return (reached / delivered if delivered else 0.0, -variant)

    return max(figures, key=rate)[0] if figures else 0


def to_json(experiment: Experiment) -> dict[str, object]:
    """As it is stored, and shown."""
    if not experiment.variants and not experiment.hold_out:
        return {}
    return {
        "variants": [dict(one) for one in experiment.variants], "test_share": experiment.test_share,
        "hold_out": experiment.hold_out, "winner": experiment.winner.value, "after_hours": experiment.after_hours,
        "chosen": experiment.chosen,
    }  # fmt: skip


def from_json(given: Mapping[str, Any]) -> Experiment:
    """What was given, or stored. Raises Refused naming the field."""
    if unknown := sorted(set(given) - _NAMES):
        raise invalid(f"experiment.{unknown[0]}"[:80], f"there is no such part, only {', '.join(sorted(_NAMES))}")
    winner = given.get("winner") or Winner.CLICKS.value
    if winner not in [one.value for one in Winner]:
        raise invalid("experiment.winner", f"it must be {', '.join(Winner)}")
    variants = _variants(given.get("variants") or [])
    share = _part("test_share", given.get("test_share", 1.0), least=0.001)
    return Experiment(
        variants,
        share if variants else 1.0,  # where nothing is tried, nobody waits for the winner
        _part("hold_out", given.get("hold_out", 0.0), most=0.5),
        Winner(winner),
        _part("after_hours", given.get("after_hours", 4.0), least=0.01, most=24 * 14),
        given.get("chosen") if isinstance(given.get("chosen"), int) else None,
    )


def _variants(given: object) -> tuple[Mapping[str, str], ...]:
    if not isinstance(given, list) or len(given) >= MOST_VARIANTS:
        raise invalid("experiment.variants", f"it must be a list of at most {MOST_VARIANTS - 1}")
    for one in given:
        good = isinstance(one, dict) and one and set(one) <= _WORDS.keys()
        if not good or not all(isinstance(text, str) and text for text in one.values()):
            raise invalid("experiment.variants", f"each says something else in {', '.join(_WORDS)}")
    return tuple(given)


def _part(name: str, value: object, least: float = 0.0, most: float = 1.0) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not least <= value <= most:
        raise invalid(f"experiment.{name}", f"it must be from {least:g} to {most:g}")
    return float(value)
