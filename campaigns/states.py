"""The states of a campaign and of one person's row in it, with the one table of allowed moves for each. Pure.

A campaign that is sending has an audience, fixed when it began. Nothing of one that is paused or stopped leaves, and
both go on where they were; a stopped one was stopped by a breaker, and says with which figure. `finished` and
`cancelled` are ends, but failed rows of a finished campaign can be tried again.

A row ends in exactly one outcome. `deferred` is open: its server said "later", and the retry clock goes on. What
happens after a delivery (opened, clicked, unsubscribed, complained) is a time in the row, not a state; only a bounce
report that comes late moves `delivered` to `bounced`.
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class CampaignState(StrEnum):
    """Where a campaign is. The values are stored."""

    DRAFT = "draft"
    SCHEDULED = "scheduled"
    SENDING = "sending"
    PAUSED = "paused"
    STOPPED = "stopped"
    FINISHED = "finished"
    CANCELLED = "cancelled"


class Act(StrEnum):
    """What can be done to a campaign."""

    SCHEDULE = "schedule"
    START = "start"
    PAUSE = "pause"
    STOP = "stop"
    RESUME = "resume"
    FINISH = "finish"
    CANCEL = "cancel"
    UNSCHEDULE = "unschedule"
    RETRY = "retry"
    ASK = "ask"
    """It could not begin in time: somebody has to say that it should still go out."""


_S, _A = CampaignState, Act

MOVES: Final[Mapping[CampaignState, Mapping[Act, CampaignState]]] = MappingProxyType(
    {
        _S.DRAFT: {_A.SCHEDULE: _S.SCHEDULED, _A.START: _S.SENDING},
        _S.SCHEDULED: {
            _A.SCHEDULE: _S.SCHEDULED,
            _A.ASK: _S.PAUSED,
            _A.START: _S.SENDING,
            _A.UNSCHEDULE: _S.DRAFT,
            _A.CANCEL: _S.CANCELLED,
        },
        _S.SENDING: {
            _A.PAUSE: _S.PAUSED,
            _A.STOP: _S.STOPPED,
            _A.FINISH: _S.FINISHED,
            _A.CANCEL: _S.CANCELLED,
            _A.RETRY: _S.SENDING,
        },
        _S.PAUSED: {_A.RESUME: _S.SENDING, _A.CANCEL: _S.CANCELLED},
        _S.STOPPED: {_A.RESUME: _S.SENDING, _A.CANCEL: _S.CANCELLED},
        _S.FINISHED: {_A.RETRY: _S.SENDING},
        _S.CANCELLED: {},
    }
)
"""Every allowed move. What is not here does not happen."""

HALTED: Final = frozenset({_S.PAUSED, _S.STOPPED, _S.CANCELLED})
"""Nothing of these may leave."""

CHANGEABLE: Final = frozenset({_S.DRAFT})
"""What is written in it may be changed."""


class RowState(StrEnum):
    """Where one person's row is. The values are stored."""

    WAITING = "waiting"
    """No mail was made for it yet."""
    QUEUED = "queued"
    """Its mail is on its way."""
    DEFERRED = "deferred"
    """Its server put it off; the retry clock goes on."""
    DELIVERED = "delivered"
    BOUNCED = "bounced"
    SUPPRESSED = "suppressed"
    UNSUBSCRIBED = "unsubscribed"
    """They left before their mail did."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    FAILED = "failed"
    """We could not make the mail."""
    TAPERED = "tapered"
    """They have been silent for long, or had enough mail already."""
    UNCONFIRMED = "unconfirmed"
    ERASED = "erased"
    MERGED = "merged"
    """The same person as another one, who has a row of their own."""
    HELD_OUT = "held_out"
    """In the group that gets nothing, to compare with."""


_R = RowState

OPEN: Final = frozenset({_R.WAITING, _R.QUEUED, _R.DEFERRED})
"""A campaign with such a row is not finished."""

OUTCOMES: Final = frozenset(_R) - OPEN

SKIPPED: Final = frozenset(
    {_R.SUPPRESSED, _R.UNSUBSCRIBED, _R.TAPERED, _R.UNCONFIRMED, _R.ERASED, _R.MERGED, _R.HELD_OUT}
)
"""Outcomes without a mail on the wire, by rule and not by accident."""

RETRIED: Final = frozenset({_R.FAILED, _R.EXPIRED, _R.BOUNCED})
"""What may be tried again when somebody asks for it; a bounce only when it was none of the address's fault."""

ROW_MOVES: Final[Mapping[RowState, frozenset[RowState]]] = MappingProxyType(
    {
        _R.WAITING: frozenset({_R.QUEUED, _R.CANCELLED, _R.FAILED}) | SKIPPED,
        _R.QUEUED: OUTCOMES - {_R.HELD_OUT} | {_R.DEFERRED, _R.WAITING},  # waiting: for mail to another address
        _R.DEFERRED: OUTCOMES - {_R.HELD_OUT} | {_R.DEFERRED, _R.WAITING},
        _R.DELIVERED: frozenset({_R.BOUNCED}),
        **{state: frozenset({_R.WAITING}) for state in RETRIED},
        **{state: frozenset() for state in SKIPPED | {_R.CANCELLED}},
        **{state: frozenset({_R.MERGED}) for state in (_R.UNSUBSCRIBED, _R.SUPPRESSED, _R.ERASED)},
    }
)
"""Every allowed move of a row."""


def moved(state: CampaignState, act: Act) -> CampaignState | None:
    """The state after `act`; None when the table does not allow it."""
    return MOVES[state].get(act)


def target(act: Act) -> CampaignState:
    """The state that it leads to, wherever it is allowed."""
    return next(moves[act] for moves in MOVES.values() if act in moves)


def sources(act: Act) -> list[str]:
    """States that allow it, as a statement's guard."""
    return sorted(state.value for state, moves in MOVES.items() if act in moves)


def row_sources(to: RowState) -> list[str]:
    """States of a row from which it may come here."""
    return sorted(state.value for state, targets in ROW_MOVES.items() if to in targets)


def words(states: Iterable[RowState]) -> list[str]:
    """As they are stored."""
    return sorted(state.value for state in states)
