"""The table of moves, and the one word an email shows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from messages.states import MOVES, TERMINAL, Event, IllegalMove, State, event_for, last_event, move, sources
from mta.model import Action, Scope, Verdict


class Life(RuleBasedStateMachine):
    """Throws any event at a message, as often as it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.state = State.QUEUED
        self.ended: State | None = None

    @rule()
    def start_over_scheduled(self) -> None:
        if self.state is State.QUEUED:
            self.state = State.SCHEDULED

    @rule(event=st.sampled_from(Event))
    def happens(self, event: Event) -> None:
        before = self.state
        if event not in MOVES[before]:
            with pytest.raises(IllegalMove) as error:
                move(before, event)
            assert (error.value.state, error.value.event) == (before, event)
            return
        self.state = move(before, event)
        assert MOVES[before][event] is self.state
        assert before in sources(event)
        if before in TERMINAL:
            assert (before, event, self.state) == (State.DELIVERED, Event.LATE_BOUNCE, State.BOUNCED)

    @invariant()
    def terminal_stays_terminal(self) -> None:
        if self.ended is not None:
            assert self.state in TERMINAL
        if self.state in TERMINAL:
            self.ended = self.state


TestLife = Life.TestCase


def test_every_state_has_its_row_and_every_open_state_can_end_in_each_outcome() -> None:
    assert set(MOVES) == set(State)
    for state in set(State) - TERMINAL:
        assert set(MOVES[state].values()) >= TERMINAL


def test_a_late_bounce_is_the_only_way_out_of_an_outcome() -> None:
    assert sources(Event.LATE_BOUNCE) == {State.DELIVERED}
    assert move(State.DELIVERED, Event.LATE_BOUNCE) is State.BOUNCED
    with pytest.raises(IllegalMove, match="delivered cannot bounce"):
        move(State.DELIVERED, Event.BOUNCE)


def test_only_scheduled_mail_can_be_rescheduled() -> None:
    assert sources(Event.RESCHEDULE) == {State.SCHEDULED}


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (Action.DELIVERED, Event.DELIVER),
        (Action.BOUNCE, Event.BOUNCE),
        (Action.BLOCK, Event.BOUNCE),
        (Action.RETRY_LATER, Event.DEFER),
        (Action.RETRY_SAME_IP, Event.DEFER),
        (Action.THROTTLE_IP, Event.DEFER),
        (Action.THROTTLE_DOMAIN, Event.DEFER),
    ],
)
def test_event_for_each_action(action: Action, event: Event) -> None:
    assert event_for(Verdict(action, "policy", Scope.MESSAGE, "test")) is event


Q, S, D, OK, BAD = State.QUEUED, State.SCHEDULED, State.DEFERRED, State.DELIVERED, State.BOUNCED


@pytest.mark.parametrize(
    ("states", "attempts", "word"),
    [
        ([Q], 0, "queued"),
        ([S], 0, "scheduled"),
        ([S, Q], 0, "queued"),
        ([Q], 1, "sent"),
        ([Q, OK], 1, "sent"),
        ([S, State.CANCELLED], 0, "sent"),
        ([D], 1, "delivery_delayed"),
        ([D, OK, BAD, Q], 9, "delivery_delayed"),
        ([OK], 1, "delivered"),
        ([OK, OK, BAD], 3, "bounced"),
        ([OK, State.SUPPRESSED], 1, "suppressed"),
        ([OK, State.EXPIRED], 5, "failed"),
        ([State.FAILED], 0, "failed"),
        ([State.CANCELLED], 0, "canceled"),
        ([State.CANCELLED, OK], 1, "delivered"),
    ],
)
def test_last_event(states: list[State], attempts: int, word: str) -> None:
    assert last_event(states, attempts) == word


OPEN_WORDS = {"queued", "scheduled", "sent", "delivery_delayed"}
RESEND = OPEN_WORDS | {"delivered", "bounced", "suppressed", "failed", "canceled"}


@given(st.lists(st.sampled_from(State), min_size=1), st.integers(0, 50))
def test_last_event_is_a_word_resend_knows_and_says_whether_it_is_over(states: list[State], attempts: int) -> None:
    word = last_event(states, attempts)
    assert word in RESEND
    assert (word in OPEN_WORDS) == any(state not in TERMINAL for state in states)


def test_an_email_without_recipients_is_a_bug() -> None:
    with pytest.raises(ValueError, match="at least one"):
        last_event([])
