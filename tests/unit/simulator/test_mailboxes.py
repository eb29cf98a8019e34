"""The store stays within its bounds and never mixes mailboxes up."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from simulator.mailboxes import Counts, Limits, Mailboxes
from simulator.model import StoredMail

MAIL = StoredMail(0, 0.0, "", "b@demo.sim", "gmail", "127.0.1.1", "127.0.1.1", "mta-1", False, b"")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 40)), max_size=60))
def test_bounds_hold_and_the_newest_stay(arrivals: list[tuple[str, int]]) -> None:
    boxes = Mailboxes(Limits(per_mailbox=4, octets=100))
    for number, (name, octets) in enumerate(arrivals):
        boxes.put(replace(MAIL, number=number, recipient=name, data=bytes(octets)))
    kept = list(boxes.kept())
    assert sum(len(mail.data) for mail in kept) <= 100
    for name in "abc":
        numbers = [mail.number for mail in boxes.of(name)]
        sent = [number for number, (who, _) in enumerate(arrivals) if who == name]
        assert numbers == sent[len(sent) - len(numbers) :]
        assert len(numbers) <= 4
        assert boxes.totals.get(name, 0) == len(sent)
    assert sorted(mail.number for mail in kept) == sorted(m.number for name in "abc" for m in boxes.of(name))


def test_addresses_beyond_the_bound_are_counted_together() -> None:
    boxes = Mailboxes(Limits(mailbox_names=2))
    for number, name in enumerate("abcac"):
        boxes.put(replace(MAIL, number=number, recipient=name))
    assert boxes.totals == {"a": 2, "b": 1}
    assert boxes.unlisted == 2
    boxes.clear()
    assert (boxes.totals, boxes.unlisted, list(boxes.kept()), boxes.of("a")) == ({}, 0, [], ())


def test_counts_are_kept_by_provider_and_client() -> None:
    counts = Counts()
    for client in ("127.0.1.1", "127.0.1.1", "127.0.1.2"):
        counts.add("gmail", client, "accepted")
    counts.add("gmail", "127.0.1.1", "throttled")
    assert counts.rows() == [
        {"provider": "gmail", "client": "127.0.1.1", "accepted": 2, "throttled": 1},
        {"provider": "gmail", "client": "127.0.1.2", "accepted": 1},
    ]
    assert counts.total("accepted") == 3
