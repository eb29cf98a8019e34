"""Filters in a real PostgreSQL: whom the compiled condition finds are those that a naive evaluator finds."""

from random import Random
from typing import Any
from uuid import UUID

import orjson
import psycopg
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import literal, select, union_all

from audience.audiences import Audience, people
from audience.filters.condition import CONTACT, composed
from audience.filters.tree import Filter, Not, Operator, Rule
from core.ids import uuid7
from store.tables import compiled
from tests.integration.audience.naive import Somebody, days_ago, holds
from tests.integration.messages.emails import APPLICATION
from tests.unit.audience import filter_examples as examples
from tests.unit.audience.filter_examples import ADDRESSES, CAMPAIGNS, DATES, LISTS, NOW, NUMBERS, TOPICS, WORDS

STRANGER = UUID(int=9)
"""Another application, with the same people in it."""
MANY = 100
ON_THE_EDGE = [
    Rule(name, operator, day)
    for name in ("created_at", "properties.born")
    for operator in (Operator.EQ, Operator.LT, Operator.LTE, Operator.GT, Operator.GTE)
    for day in DATES
]
"""Days begin and end where some of these people have a time."""
STATUSES = ("", "confirmed", "unconfirmed", "unsubscribed")

_AGO = (None, 0.1, 1, 7, 7.5, 14, 29.9, 30, 31, 90, 300)


def test_a_filter_finds_those_for_whom_it_holds(database_url: str) -> None:
    everybody = {UUID(int=1000 + n): somebody for n, somebody in enumerate(some_people())}
    with psycopg.connect(database_url) as connection:
        fill(connection, everybody)

        def each_agrees(rules: list[Rule]) -> None:
            for rule, those in zip(rules, ask_each(connection, rules), strict=True):
                assert (rule, those) == (rule, {one for one, who in everybody.items() if holds(rule, who)})

        @given(examples.filters(), st.lists(examples.rules(), min_size=10, max_size=10))
        @settings(max_examples=50, phases=[Phase.generate])
        def agrees(tree: Filter, rules: list[Rule]) -> None:
            found = ask(connection, tree)
            assert found == {one for one, who in everybody.items() if holds(tree, who)}
            assert ask(connection, Not(tree)) == everybody.keys() - found
            each_agrees(rules)

        each_agrees(ON_THE_EDGE)
        agrees()


def ask(connection: "psycopg.Connection[Any]", tree: Filter) -> set[UUID]:
    question = people(APPLICATION, Audience(filter=tree), NOW)
    return {row[0] for row in connection.execute(*compiled(question)).fetchall()}  # type: ignore[arg-type]


def ask_each(connection: "psycopg.Connection[Any]", rules: list[Rule]) -> list[set[UUID]]:
    """Many rules in one question: a rule by itself is soon asked, and there are many kinds."""
    each = [composed(rule, NOW) for rule in rules]
    asked = [select(CONTACT.c.id).select_from(one.joined(CONTACT)).where(one.condition) for one in each]
    numbered = [
        one.add_columns(literal(n).label("n")).where(CONTACT.c.application_id == APPLICATION)
        for n, one in enumerate(asked)
    ]
    question = union_all(*numbered)
    rows = connection.execute(*compiled(question)).fetchall()  # type: ignore[arg-type]
    return [{row[0] for row in rows if row[1] == number} for number in range(len(rules))]


def some_people() -> list[Somebody]:
    """With and without everything that can be asked of, and with values that lie on the edges of what is asked."""
    draw = Random(20261128)
    addresses = [*ADDRESSES, *(f"person{n}@example.{('com', 'net')[n % 2]}" for n in range(MANY - len(ADDRESSES)))]
    return [_somebody(draw, address) for address in addresses]


def _somebody(draw: Random, address: str) -> Somebody:
    ago = lambda: None if (days := draw.choice(_AGO)) is None else days_ago(days)  # noqa: E731
    confirmed = draw.choice([True, False])
    return Somebody(
        address, "confirmed" if confirmed else "unconfirmed", days_ago(draw.choice(_AGO[1:])), ago(),
        draw.choice([None, "", *WORDS]), draw.choice([None, *WORDS]), _properties(draw), ago(), ago(), ago(),
        {str(topic): choice for topic in TOPICS if (choice := draw.choice(["", "opt_in", "opt_out"]))},
        {str(one): status for one in LISTS if (status := draw.choice(STATUSES))},
        {
            str(one): (state, draw.choice([True, False]), draw.choice([True, False]))
            for one in CAMPAIGNS if (state := draw.choice(["", "delivered", "tapered", "bounced"]))
        }, draw.choice([True, False]),
    )  # fmt: skip


def _properties(draw: Random) -> dict[str, Any]:
    dates = [*(f"{one}" for one in DATES), "2026-11-28T23:59:59Z", "2026-10-28"]
    values: dict[str, tuple[Any, ...]] = {
        "country": ("", *WORDS), "age": NUMBERS, "vip": (True, False), "born": tuple(dates), "opened": NUMBERS,
        "2fa": WORDS, "In": WORDS,
    }  # fmt: skip
    return {key: draw.choice(some) for key, some in values.items() if draw.random() < 0.7}


def fill(connection: "psycopg.Connection[Any]", everybody: dict[UUID, Somebody]) -> None:
    for topic, default in zip(TOPICS, ("opt_in", "opt_out"), strict=True):
        connection.execute(
            "INSERT INTO topics (id, application_id, name, default_subscription, visibility, lane)"
            " VALUES (%s, %s, %s, %s, 'public', 'marketing')",
            [topic, APPLICATION, f"{topic}", default],
        )
    for identifier, who in everybody.items():
        _write(connection, APPLICATION, identifier, who)
        _write(connection, STRANGER, UUID(int=identifier.int + 100_000), who)


def _write(connection: "psycopg.Connection[Any]", application: UUID, identifier: UUID, who: Somebody) -> None:
    connection.execute(
        "INSERT INTO contacts (id, application_id, address, email, first_name, language, properties, status,"
        " confirmed_at, created_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        [
            identifier, application, who.address, who.address, who.first_name, who.language,
            orjson.dumps(who.properties).decode(), who.status, who.confirmed_at, who.created_at,
        ],
    )  # fmt: skip
    if who.active:
        connection.execute(
            "INSERT INTO engaged (application_id, address, opened_at, clicked_at, active_at)"
            " VALUES (%s, %s, %s, %s, %s)",
            [application, who.address, who.opened, who.clicked, who.login],
        )
    if who.unsubscribed:
        connection.execute(
            "INSERT INTO suppressions (id, address, scope, reason, source) VALUES (%s, %s, %s, 'unsubscribe', 'link')",
            [uuid7(), who.address, f"{application} marketing"],
        )
    for topic, choice in who.choices.items():
        connection.execute(
            "INSERT INTO choices (address, application_id, topic_id, subscription) VALUES (%s, %s, %s, %s)",
            [who.address, application, topic, choice],
        )
    for one, status in who.lists.items():
        connection.execute("INSERT INTO segment_members VALUES (%s, %s, %s)", [one, identifier, status])
    for campaign, (state, opened, clicked) in who.campaigns.items():
        connection.execute(
            "INSERT INTO campaign_recipients (campaign_id, contact_id, due_at, destination, state, opened_at,"
            " clicked_at) VALUES (%s, %s, now(), 'example.com', %s, %s, %s)",
            [campaign, identifier, state, NOW if opened else None, NOW if clicked else None],
        )
