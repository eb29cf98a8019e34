"""Who gets a campaign, and why somebody does not: every reason by itself, and the turns of who has gone silent."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audience import eligibility
from audience.eligibility import OUTCOMES, TEXTS, Moment, Rules, Skip
from audience.tapering import DEFAULT, GENTLE, Policy, Step
from core.ids import uuid7
from tests.integration.messages.emails import APPLICATION

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
TOPIC, LIST = UUID(int=1), UUID(int=2)
LONG_AGO = NOW - timedelta(days=3000)

Connection = psycopg.Connection[Any]


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with psycopg.connect(database_url) as made:
        yield made


def contact(connection: Connection, name: str, days: float = 0, status: str = "confirmed") -> UUID:
    """Somebody who confirmed so many days ago, and did nothing since."""
    identifier, at = uuid7(), NOW - timedelta(days=days)
    connection.execute(
        "INSERT INTO contacts (id, application_id, address, email, status, confirmed_at, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s)",
        [identifier, APPLICATION, f"{name}@example.com", name, status, at if status == "confirmed" else None, at],
    )
    return identifier


def member(connection: Connection, who: UUID, status: str = "confirmed") -> None:
    connection.execute("INSERT INTO segment_members VALUES (%s, %s, %s)", [LIST, who, status])


def rules(policy: Policy = DEFAULT, campaign: UUID | None = None, **changes: Any) -> Rules:
    facts: dict[str, Any] = {"list_id": None, "heard_since": LONG_AGO, "now": NOW, **changes}
    return Rules(policy, campaign or uuid7(), TOPIC, **facts)


def reasons(connection: Connection, given: Rules, moment: Moment = Moment.FIXING) -> dict[str, str | None]:
    """By name, for all contacts there are."""
    asked = f"""SELECT split_part(p.address, '@', 1), {eligibility.ineligible("p", given, moment)}
      FROM (SELECT c.*, 'marketing' AS lane, %(e_topic)s::uuid AS topic_id FROM contacts c) p"""
    return dict(connection.execute(asked, eligibility.names(given)).fetchall())


def test_each_reason_by_itself(connection: Connection) -> None:
    on_list = contact(connection, "fine")
    contact(connection, "stranger")
    contact(connection, "new", status="unconfirmed")
    for name, status in (("waits", "unconfirmed"), ("left", "unsubscribed")):
        member(connection, contact(connection, name), status)
    member(connection, on_list)
    for name, scope in (("dead", "all"), ("stopped", f"{APPLICATION} marketing"), ("elsewhere", f"{UUID(int=99)}")):
        connection.execute(
            "INSERT INTO suppressions (id, address, scope, reason, source) VALUES (%s, %s, %s, 'hard_bounce', 'smtp')",
            [uuid7(), f"{name}@example.com", scope],
        )
        connection.execute(
            "INSERT INTO segment_members VALUES (%s, %s, 'confirmed')", [LIST, contact(connection, name)]
        )
    connection.execute(
        "INSERT INTO choices (address, application_id, topic_id, subscription) VALUES (%s, %s, %s, 'opt_out')",
        ["fussy@example.com", APPLICATION, TOPIC],
    )
    member(connection, contact(connection, "fussy"))

    found = reasons(connection, rules(list_id=LIST))

    assert found == {
        "fine": None, "elsewhere": None, "stranger": "left_list", "new": "unconfirmed", "waits": "list_unconfirmed",
        "left": "left_list", "dead": "hard_bounce", "stopped": "hard_bounce", "fussy": "topic_opt_out",
    }  # fmt: skip
    assert reasons(connection, rules())["stranger"] is None
    assert {reason for reason in found.values() if reason} | set(Skip) <= TEXTS.keys()
    assert OUTCOMES.keys() <= TEXTS.keys()


def test_who_was_silent_for_a_year_gets_none(connection: Connection) -> None:
    for name, days in (("old", 366), ("recent", 364), ("opened", 900), ("logged-in", 900)):
        contact(connection, name, days)
    for name, column in (("opened", "opened_at"), ("logged-in", "active_at")):
        connection.execute(
            f"INSERT INTO engaged (application_id, address, {column}) VALUES (%s, %s, %s)",
            [APPLICATION, f"{name}@example.com", NOW - timedelta(days=300)],
        )

    expected = {"old": "silent", "recent": None, "opened": None, "logged-in": None}
    assert reasons(connection, rules()) == expected
    assert reasons(connection, rules(), Moment.MAKING) == expected
    assert set(reasons(connection, rules(Policy(silent_days=None))).values()) == {None}


def test_nobody_is_silent_before_anybody_could_be_heard(connection: Connection) -> None:
    contact(connection, "old", 900)

    assert reasons(connection, rules(heard_since=None)) == {"old": None}
    assert reasons(connection, rules(heard_since=NOW - timedelta(days=100))) == {"old": None}
    assert reasons(connection, rules(heard_since=NOW - timedelta(days=366))) == {"old": "silent"}


def campaign(connection: Connection, started_at: datetime = NOW, topic: UUID = TOPIC) -> UUID:
    identifier = uuid7()
    connection.execute(
        "INSERT INTO campaigns (id, application_id, topic_id, sender, state, started_at)"
        " VALUES (%s, %s, %s, 'News <news@example.com>', 'sending', %s)",
        [identifier, APPLICATION, topic, started_at],
    )
    return identifier


def row(connection: Connection, of: UUID, who: UUID, state: str, reason: str | None = None, **times: datetime) -> None:
    connection.execute(
        "INSERT INTO campaign_recipients (campaign_id, contact_id, state, reason, queued_at, due_at, destination)"
        " VALUES (%s, %s, %s, %s, %s, now(), 'example.com')",
        [of, who, state, reason, times.get("queued_at")],
    )


def test_how_many_a_week_are_counted_when_the_mail_is_made(connection: Connection) -> None:
    who = contact(connection, "ann")
    today = datetime.now(UTC)
    for days, topic, state in ((1, TOPIC, "delivered"), (6, TOPIC, "queued"), (2, TOPIC, "cancelled"),
                               *((2, TOPIC, unsent) for unsent in ("suppressed", "unsubscribed", "failed", "expired")),
                               (8, TOPIC, "delivered"), (1, UUID(int=77), "delivered")):  # fmt: skip
        row(connection, campaign(connection, NOW, topic), who, state, queued_at=today - timedelta(days=days))

    assert reasons(connection, rules(Policy(most_per_week=2)), Moment.MAKING) == {"ann": "frequency_cap"}
    assert reasons(connection, rules(Policy(most_per_week=3)), Moment.MAKING) == {"ann": None}
    assert reasons(connection, rules(Policy(most_per_week=2)), Moment.FIXING) == {"ann": None}


def test_gentle_tapering_ends_with_no_mail(connection: Connection) -> None:
    for name, days in (("awake", 29), ("gone", 91)):
        contact(connection, name, days)

    assert reasons(connection, rules(Policy(GENTLE))) == {"awake": None, "gone": "tapered"}
    assert reasons(connection, rules(Policy(GENTLE)), Moment.MAKING) == {"awake": None, "gone": None}


PEOPLE = 12


def test_whoever_is_silent_gets_exactly_every_nth_campaign_they_are_in(connection: Connection) -> None:
    """Whatever segments the campaigns go to, in whatever order; what was not sent for another reason is no turn."""
    everybody = [contact(connection, f"person{n}", 40) for n in range(PEOPLE)]
    audiences = st.lists(st.sets(st.integers(0, PEOPLE - 1)), min_size=1, max_size=9)

    @given(audiences, st.integers(2, 4), st.data())
    @settings(max_examples=15)
    def taper(given: list[set[int]], every: int, data: st.DataObject) -> None:
        turns: dict[int, list[bool]] = {n: [] for n in range(PEOPLE)}
        with connection.transaction(force_rollback=True):
            for members in given:
                of = campaign(connection)
                found = reasons(connection, rules(Policy((Step(30, every),)), of))
                lost = data.draw(st.sets(st.sampled_from(sorted(members)))) if members else set()
                for n in members:
                    got = found[f"person{n}"] is None
                    if n in lost and got:
                        row(connection, of, everybody[n], "suppressed", "complaint")
                        continue
                    turns[n].append(got)
                    row(connection, of, everybody[n], "waiting" if got else "tapered", found[f"person{n}"])
        for had in turns.values():
            first = had.index(True) if True in had else len(had)
            assert first < every
            assert had == [(n - first) % every == 0 for n in range(len(had))]

    taper()


def test_a_campaign_reaches_about_one_in_n_of_the_silent(connection: Connection) -> None:
    for n in range(400):
        contact(connection, f"person{n}", 40)

    found = list(reasons(connection, rules(Policy((Step(30, 4),)))).values())

    assert 60 < found.count(None) < 140


def test_a_sign_of_life_ends_tapering(connection: Connection) -> None:
    contact(connection, "ann", 91)
    connection.execute(
        "INSERT INTO engaged (application_id, address, clicked_at) VALUES (%s, 'ann@example.com', %s)",
        [APPLICATION, NOW - timedelta(days=1)],
    )

    assert reasons(connection, rules(Policy(GENTLE))) == {"ann": None}
