"""What the audit log says of rows that a transaction changed."""

from collections.abc import Collection
from typing import Any
from uuid import UUID

from accounts.audit import Actor
from accounts.audited import Act, Row, entry_of, netted, row_of
from store.database import Connection

SHOP = UUID(int=7)


async def _nobody(_connection: Connection) -> Actor:
    return Actor("nobody", "cli")


def _act(action: str, about: Collection[str] = (), owner: UUID | None = None) -> Act:
    return Act(action, _nobody, about, owner)


def _pool(name: str, before: dict[str, Any] | None, after: dict[str, Any] | None) -> Row:
    return Row("pools", "pool", name, before, after)


def test_a_row_is_named_by_what_people_know_it_by() -> None:
    line = {
        "table": "pool_ips", "noun": "pool_member", "name": "pool_id", "before": None,
        "after": {"pool_id": "p", "egress_ip_id": "i", "weight": 3},
    }  # fmt: skip

    known, gone = row_of(line, {"p": "bulk", "i": "127.0.1.1"}), row_of(line, {})

    assert (known.name, known.after) == ("bulk", {"pool": "bulk", "egress_ip": "127.0.1.1", "weight": 3})
    assert (gone.name, gone.after) == ("p", line["after"])


def test_a_row_that_changes_twice_is_told_once_and_one_that_is_put_back_not_at_all() -> None:
    rows = netted(
        [
            _pool("a", {"id": 1, "lane": "x"}, {"id": 1, "lane": "y"}),
            _pool("b", {"id": 2, "lane": "x"}, {"id": 2, "lane": "y"}),
            _pool("a", {"id": 1, "lane": "y"}, {"id": 1, "lane": "z"}),
            _pool("b", {"id": 2, "lane": "y"}, {"id": 2, "lane": "x"}),
            _pool("c", None, {"id": 3}),
            _pool("c", {"id": 3}, None),
        ]
    )

    assert rows == [_pool("a", {"id": 1, "lane": "x"}, {"id": 1, "lane": "z"})]


def test_the_line_is_about_what_was_named_and_keeps_the_rest_beside_it() -> None:
    other = _pool("old", {"name": "old", "is_default": True}, {"name": "old", "is_default": False})
    meant = _pool("new", {"name": "new", "is_default": False}, {"name": "new", "is_default": True})
    domain = Row("domains", "domain", "acme.example", None, {"application_id": str(SHOP)})

    entry = entry_of(_act("pool.update", ["new"]), [domain, other, meant], 0)

    assert entry is not None
    assert (entry.action, entry.subject, entry.before, entry.application_id) == (
        "pool.update", "new", meant.before, None,
    )  # fmt: skip
    assert entry.after == {
        "name": "new", "is_default": True,
        "also": [
            {"what": "domain acme.example", "before": None, "after": {"application_id": str(SHOP)}},
            {"what": "pool old", "before": {"is_default": True}, "after": {"is_default": False}},
        ],
    }  # fmt: skip


def test_whose_it_is_stands_in_the_row_else_it_is_who_asked() -> None:
    row = Row("domains", "domain", "acme.example", None, {"application_id": str(SHOP)})
    other = Row("webhook_secrets", "webhook", "1", {"id": 1}, None)

    mine, theirs = entry_of(_act("domain.create"), [row], 0), entry_of(_act("webhook.rotate", owner=SHOP), [other], 0)

    assert mine is not None
    assert theirs is not None
    assert (mine.application_id, theirs.application_id, theirs.after) == (SHOP, SHOP, None)


def test_many_rows_are_a_number_with_some_of_them() -> None:
    rows = [Row("suppressions", "suppression", str(n), None, {"id": n}) for n in range(40)]

    entry = entry_of(_act("suppression.add"), rows, 9_960)

    assert entry is not None
    assert (entry.subject, entry.before) == ("10,000 suppressions", None)
    assert entry.after is not None
    assert entry.after["rows"] == 10_000
    named = entry.after["among them"]
    assert isinstance(named, list)
    assert (len(named), named[0]) == (20, {"what": "suppression 0", "before": None, "after": {"id": 0}})


def test_parts_of_a_thing_are_told_by_its_name_however_many_they_are() -> None:
    rows = [Row("warmup_tracks", "warmup_track", "203.0.113.5", {"stage": n}, {"stage": n + 1}) for n in range(7)]

    entry = entry_of(_act("warmup.skip", ["203.0.113.5"]), rows, 2)

    assert entry is not None
    assert (entry.subject, entry.before) == ("203.0.113.5", {"stage": 0})
    assert entry.after is not None
    assert (entry.after["stage"], entry.after["further rows"]) == (1, 2)
    assert isinstance(entry.after["also"], list)
    assert entry.after["also"][0] == {
        "what": "warmup_track 203.0.113.5", "before": {"stage": 1}, "after": {"stage": 2},
    }  # fmt: skip


def test_nothing_is_said_of_nothing() -> None:
    assert entry_of(_act("pool.update"), [], 0) is None
