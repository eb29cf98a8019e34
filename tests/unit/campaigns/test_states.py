"""The tables of moves: every state has its row, ends are ends, and nothing open is ever stuck."""

from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns.states import (
    HALTED,
    MOVES,
    OPEN,
    OUTCOMES,
    RETRIED,
    ROW_MOVES,
    SKIPPED,
    Act,
    CampaignState,
    RowState,
    moved,
    row_sources,
    sources,
)


def test_every_state_has_its_row() -> None:
    assert set(MOVES) == set(CampaignState)
    assert set(ROW_MOVES) == set(RowState)


@settings(max_examples=50)
@given(acts=st.lists(st.sampled_from(Act), max_size=30))
def test_whatever_is_done_a_campaign_that_has_begun_never_becomes_a_draft_again(acts: list[Act]) -> None:
    state, begun = CampaignState.DRAFT, False
    for act in acts:
        state = moved(state, act) or state
        begun = begun or state is CampaignState.SENDING
        assert not begun or state not in (CampaignState.DRAFT, CampaignState.SCHEDULED)


def test_what_is_halted_goes_on_or_is_cancelled() -> None:
    for state in HALTED - {CampaignState.CANCELLED}:
        assert MOVES[state] == {Act.RESUME: CampaignState.SENDING, Act.CANCEL: CampaignState.CANCELLED}
    assert MOVES[CampaignState.CANCELLED] == {}


def test_sources_are_the_table_read_backwards() -> None:
    assert sources(Act.PAUSE) == ["sending"]
    assert sources(Act.CANCEL) == ["paused", "scheduled", "sending", "stopped"]
    assert row_sources(RowState.BOUNCED) == ["deferred", "delivered", "queued"]


def test_every_open_row_can_end_and_no_outcome_opens_but_to_be_tried_again() -> None:
    for state in OPEN:
        assert ROW_MOVES[state] & OUTCOMES
    opened = {state for state in OUTCOMES if ROW_MOVES[state] & OPEN}
    assert opened == RETRIED
    assert not SKIPPED & RETRIED
