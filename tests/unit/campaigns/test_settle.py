"""What news makes of a row: along the table, by the mail it has now, the first of each kind."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from campaigns import tallies
from campaigns.settle import Row, changed, told
from campaigns.states import OPEN, OUTCOMES, RowState
from messages.entries import EventKind
from messages.news import News

CAMPAIGN, CONTACT, EMAIL, OLDER = (UUID(int=n) for n in (1, 2, 3, 4))
AT = datetime(2026, 11, 28, tzinfo=UTC)
QUEUED = Row(CAMPAIGN, CONTACT, EMAIL, RowState.QUEUED)


def news(
    kind: EventKind, detail: str | None = None, *, minute: int = 0, email: UUID = EMAIL, machine: bool = False
) -> News:
    return News(
        1, CAMPAIGN, CONTACT, email, kind.value, AT + timedelta(minutes=minute), detail, "192.0.2.1", "gmail", None,
        None, machine,
    )  # fmt: skip


def after(*told_of: News, row: Row = QUEUED) -> Row:
    return told({(CAMPAIGN, CONTACT): row}, told_of)[CAMPAIGN, CONTACT]


def test_an_outcome_with_where_it_left() -> None:
    row = after(news(EventKind.DELIVERED))

    assert (row.state, row.ip, row.provider, row.ended_at) == (RowState.DELIVERED, "192.0.2.1", "gmail", AT)


def test_a_late_bounce_takes_a_delivery_back_and_nothing_else_does() -> None:
    assert after(news(EventKind.DELIVERED), news(EventKind.BOUNCED, "550 gone")).state is RowState.BOUNCED
    assert after(news(EventKind.BOUNCED), news(EventKind.DELIVERED)).state is RowState.BOUNCED


def test_news_of_a_mail_that_was_tried_again_since_moves_nothing_but_its_people_count() -> None:
    row = after(news(EventKind.BOUNCED, email=OLDER), news(EventKind.OPENED, email=OLDER))

    assert (row.state, row.opened_at) == (RowState.QUEUED, AT)


def test_reasons_become_outcomes() -> None:
    assert after(news(EventKind.SUPPRESSED, "suppressed: unsubscribe")).state is RowState.UNSUBSCRIBED
    assert after(news(EventKind.SUPPRESSED, "suppressed: topic_opt_out")).state is RowState.UNSUBSCRIBED
    assert after(news(EventKind.SUPPRESSED, "suppressed: hard_bounce")).state is RowState.SUPPRESSED
    assert after(news(EventKind.CANCELLED, "its recipient was erased")).state is RowState.ERASED
    assert after(news(EventKind.CANCELLED, "its campaign was cancelled")).state is RowState.CANCELLED


def test_machines_open_nothing_and_a_complaint_can_be_taken_back() -> None:
    row = after(news(EventKind.OPENED, machine=True), news(EventKind.COMPLAINED), news(EventKind.CLICKED, minute=2))
    assert (row.opened_at, row.complained_at, row.clicked_at) == (None, AT, AT + timedelta(minutes=2))
    assert after(news(EventKind.COMPLAINT_WITHDRAWN), row=row).complained_at is None


UNTOLD = {EventKind.REROUTED, EventKind.RESCHEDULED, EventKind.DELAYED, EventKind.SENT_AGAIN}


@settings(max_examples=50)
@given(kinds=st.lists(st.sampled_from([kind for kind in EventKind if kind not in UNTOLD])))
def test_whatever_is_told_a_row_ends_once(kinds: list[EventKind]) -> None:
    row, ended = QUEUED, []
    for kind in kinds:
        moved = after(news(kind), row=row)
        if moved.state is not row.state and moved.state in OUTCOMES:
            ended.append((row.state, moved.state))
        row = moved
    assert [pair for pair in ended if pair[0] not in OPEN] in ([], [(RowState.DELIVERED, RowState.BOUNCED)])


def test_moves_and_marks_are_counted_together() -> None:
    others = [UUID(int=n) for n in range(100, 104)]
    before = {(CAMPAIGN, other): QUEUED._replace(contact_id=other) for other in others}
    one, two, three, _ = before
    after = before | {
        one: before[one]._replace(state=RowState.DELIVERED),
        two: before[two]._replace(state=RowState.DELIVERED, opened_at=AT),
        three: before[three]._replace(state=RowState.BOUNCED, klass="inactive_mailbox", opened_at=AT),
    }
    found = {mark: n for (_, mark), n in changed(before, after).items() if n}
    assert found == {"queued": -3, "delivered": 2, "bounced": 1, tallies.OPENED: 2, tallies.HARD_BOUNCED: 1}
    assert {mark: n for (_, mark), n in changed(after, before).items() if n} == {mark: -n for mark, n in found.items()}
