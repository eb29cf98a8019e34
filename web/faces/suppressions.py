"""Entries of the suppression list as JSON. Pure. What events show too stands beside its values."""

from collections.abc import Sequence

from suppression.entries import Added, Ended, Removed, Suppression, suppression_face
from suppression.removing import Kept, Removal
from web.faces.references import deleted, reference

__all__ = [
    "added_face", "ended_face", "kept_face", "removal_face", "removed_face", "suppression_answer", "suppression_face",
]  # fmt: skip


def suppression_answer(entries: Sequence[Suppression]) -> dict[str, object]:
    """All entries of one address, as `SuppressionAnswer`: the first by itself, and each in `entries`."""
    shown = [suppression_face(entry) for entry in entries]
    return {"object": "suppression"} | shown[0] | {"entries": shown}


def ended_face(one: Ended) -> dict[str, object]:
    """An entry as it was, as `EndedSuppression`."""
    told = {"ended": one.ended, "ended_at": one.ended_at, "ended_by": one.by, "why": one.why}
    return suppression_face(one.entry) | told


def added_face(one: Added) -> dict[str, object]:
    """An entry that stands now, as `AddedSuppression`."""
    return reference("suppression", one.id) | {"email": one.address, "scope": one.scope}


def removed_face(one: Removed) -> dict[str, object]:
    """An entry that is gone, as `SuppressionRemoved`."""
    return deleted("suppression", one.id)


def removal_face(done: Removal) -> dict[str, object]:
    """What became of a removal by id or address of which something went: the widest entry, and what stayed."""
    face = removed_face(min(done.removed, key=lambda one: one.scope))
    return face | kept_face(done)


def kept_face(done: Removal) -> dict[str, object]:
    """The entries that were named and stay, if there are any."""
    return {"kept": [_kept(one) for one in done.kept]} if done.kept else {}


def _kept(one: Kept) -> dict[str, object]:
    entry = one.entry
    return {"id": entry.id, "email": entry.address, "scope": entry.scope, "reason": entry.reason, "lock": one.lock}
