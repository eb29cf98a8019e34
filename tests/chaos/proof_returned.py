"""The proof that of all that came back nothing is lost and nothing counted twice, and that its application heard of it.

What was answered (`returning`) is compared with the store, the store's timeline with its outbox, and the outbox with
what the application's endpoint was sent. `proof.prove` compares the mail itself.
"""

from collections import Counter
from collections.abc import Iterable
from uuid import UUID

from tests.chaos.proof import MAILS
from tests.chaos.returning import Everybody, agent_of, target_of
from tests.integration.webhooks.outbox import EACH
from tests.stack import RunningStack

SETTLED_SECONDS = 90.0 + MAILS / 50
"""Longer than the lease of a report that a killed process was at, and enough to tell two or three events of each mail
on a slow machine."""

_TOLD = {
    "delivered": "email.delivered", "deferred": "email.delivery_delayed", "bounced": "email.bounced",
    "suppressed": "email.suppressed", "opened": "email.opened", "clicked": "email.clicked",
    "unsubscribed": "email.unsubscribed", "rerouted": "email.rerouted",
}  # fmt: skip


def until_settled(stack: RunningStack, people: Everybody) -> float:
    """Wait until everybody has had an answer, all is written down, and all has been told; the seconds it took."""
    for thread in people.threads:
        thread.finish()
    took = stack.until(
        lambda: not any(thread.is_alive() for thread in people.threads), SETTLED_SECONDS, "the last who answers"
    )
    hits = stack.data_dir / "hits"
    waiting = "SELECT count(*) FROM inbound_mail WHERE result IS NULL"
    took += stack.until(lambda: stack.one(waiting) == 0, SETTLED_SECONDS, "reports to be worked through")
    took += stack.until(lambda: not [*hits.glob("*.hits")], SETTLED_SECONDS, "opens and clicks to be written")
    pending = "SELECT count(*) FROM webhook_events WHERE state = 'pending'"
    return took + stack.until(lambda: stack.one(pending) == 0, SETTLED_SECONDS, "the application to be told")


def prove_returned(stack: RunningStack, people: Everybody) -> str:
    """Raises AssertionError naming what is wrong; else the line that a test prints."""
    _prove_reports(stack, people)
    hits = _prove_hits(stack, people)
    _prove_leaving(stack, people)
    told, heard = _prove_told(stack, people)
    return f"{people.answered()}, {hits} opens and clicks; {told} events told by {heard} requests"


def _once(found: Iterable[object], wanted: Iterable[object], what: str) -> None:
    """What is found is what is wanted, each once."""
    counted, expected = Counter(found), Counter(wanted)
    more, less = counted - expected, expected - counted
    assert not more and not less, (
        f"{what}: {more.total()} too many {list(more)[:2]}, {less.total()} lost {list(less)[:2]}"
    )


def _prove_reports(stack: RunningStack, people: Everybody) -> None:
    """Each report that had its 250 is here; each mail bounced once, and its address is suppressed once."""
    results = stack.sql("SELECT email_id, result FROM inbound_mail WHERE id > %s", [stack.since.id])
    reported = [mail for mail, _ in people.moved.answered]
    _once((email for email, result in results if result == "bounced"), (mail.email_id for mail in reported), "bounced")
    assert {result for _, result in results} <= {"bounced", "repeated"}
    assert len(results) <= sum(1 + tries for _, tries in people.moved.answered)
    _once(_suppressed(stack, "hard_bounce"), (mail.address for mail in reported), "suppressed")
    assert stack.one("SELECT count(*) FROM suppression_history") == 0


def _prove_hits(stack: RunningStack, people: Everybody) -> int:
    """Each open and click that was answered is in the timeline, none twice, and one of each mail is the first."""
    rows = stack.sql(
        "SELECT email_id, kind, engagement->>CASE kind WHEN 'opened' THEN 'user_agent' ELSE 'link' END,"
        " (engagement->>'first')::boolean, engagement->>'machine' FROM events WHERE kind IN ('opened', 'clicked')"
        " AND email_id > %s", [stack.since.id],
    )  # fmt: skip
    seen = Counter((email, kind, mark) for email, kind, mark, _, _ in rows)
    assert seen.keys() >= {
        wanted
        for mail, tries in people.readers.answered
        for wanted in (
            (mail.email_id, "opened", agent_of(mail, tries)), (mail.email_id, "clicked", target_of(mail, tries))
        )
    }, "an open or a click that was answered is lost"  # fmt: skip
    assert seen.total() == len(seen), "an open or a click is written twice"
    people_s = {(email, kind) for email, kind, _, _, machine in rows if machine is None}
    _once(((email, kind) for email, kind, _, first, _ in rows if first), people_s, "first opens and clicks")
    own = f"%.{stack.since.number}@%"
    counted = stack.one("SELECT coalesce(sum(opens + clicks), 0)::int FROM engaged WHERE address LIKE %s", [own])
    assert counted == sum(machine is None for *_, machine in rows)
    return len(rows)


def _prove_leaving(stack: RunningStack, people: Everybody) -> None:
    """Whoever had the answer that they are off the list is, once."""
    left = [mail for mail, _ in people.leavers.answered]
    events = stack.sql("SELECT email_id FROM events WHERE kind = 'unsubscribed' AND email_id > %s", [stack.since.id])
    _once((row[0] for row in events), (mail.email_id for mail in left), "unsubscribed")
    _once(_suppressed(stack, "unsubscribe"), (mail.address for mail in left), "off the list")
    notes = stack.sql("SELECT address FROM choice_history WHERE address LIKE %s", [f"%.{stack.since.number}@%"])
    _once((row[0] for row in notes), (mail.address for mail in left), "history of choices")


def _suppressed(stack: RunningStack, reason: str) -> list[str]:
    rows = stack.sql("SELECT address FROM suppressions WHERE reason = %s AND id > %s", [reason, stack.since.id])
    return [row[0] for row in rows]


def _prove_told(stack: RunningStack, people: Everybody) -> tuple[int, int]:
    """An event for each fact and no other; each heard, as it is stored, and those of one email in their order."""
    rows = stack.sql(
        f"SELECT id, type, key, payload, state FROM {EACH} e WHERE endpoint_id = %s ORDER BY id", [people.endpoint]
    )
    _once(((key, kind) for _, kind, key, _, _ in rows if kind.startswith("email.")), _facts(stack), "events of mail")
    added = _suppressed(stack, "hard_bounce") + _suppressed(stack, "unsubscribe")
    assert sum(kind == "suppression.added" for _, kind, _, _, _ in rows) == len(added)
    assert {state for *_, state in rows} == {"success"}
    heard = [(UUID(got.headers["webhook-id"]), got.body) for got in people.receiver.got]
    first = dict(reversed(heard))
    assert first == {row[0]: row[3].encode() for row in rows}
    order = {identifier: at for at, identifier in reversed([*enumerate(one for one, _ in heard)])}
    _prove_order((key, order[identifier]) for identifier, _, key, _, _ in rows if key)
    return len(rows), len(heard)


def _facts(stack: RunningStack) -> Iterable[tuple[str, str]]:
    """Key and type of the events that the timelines stand for."""
    since = [stack.since.id]
    for email, kind in stack.sql("SELECT email_id, kind FROM events WHERE email_id > %s", since):
        yield str(email), _TOLD[kind]
    tried = "SELECT DISTINCT email_id FROM events WHERE attempt IS NOT NULL AND ip IS NOT NULL AND email_id > %s"
    for (email,) in stack.sql(tried, since):
        yield str(email), "email.sent"


def _prove_order(told: Iterable[tuple[str, int]]) -> None:
    """`told` is key and when it was heard first, in the order of the outbox."""
    last: dict[str, int] = {}
    for key, at in told:
        assert last.get(key, -1) < at, f"what was told of {key} came in another order"
        last[key] = at
