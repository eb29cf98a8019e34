"""Figures made of counts."""

from store.tally import Kinds, Tally, total


def tally(*counts: tuple[str, str, int]) -> Tally:
    return Tally.of({(outcome, part): n for outcome, part, n in counts})


def test_bounces_are_of_three_kinds() -> None:
    found = tally(
        ("delivered", "1", 90), ("bounced", "invalid_recipient", 6), ("blocked", "spam_content", 4),
        ("late_bounced", "invalid_recipient", 2), ("late_bounced", "", 1),
    )  # fmt: skip
    measures = found.measures()

    assert (measures["bounced"], measures["hard_bounced"], measures["blocked"]) == (13, 9, 4)
    assert found.by_class("bounced", "blocked", "late_bounced") == {
        "invalid_recipient": 8, "spam_content": 4, "unclassified": 1,
    }  # fmt: skip
    # What bounced late had been delivered: it is one mail, decided about once.
    assert found.rates()["bounce_rate"] == 0.13
    assert found.rates()["delivery_rate"] == 0.9


def test_machines_are_in_no_rate() -> None:
    found = tally(("delivered", "1", 10), ("opened", "first", 2), ("opened", "again", 3), ("opened", "machine", 50))
    measures = found.measures()

    assert (measures["opened"], measures["unique_opened"], measures["machine_opened"]) == (5, 2, 50)
    assert found.rates()["open_rate"] == 0.2


def test_nothing_has_no_rates() -> None:
    assert set(Tally().rates().values()) == {None}
    assert set(Tally().measures().values()) == {0}
    assert Tally().seconds(0.5, 0.95) == [None, None]


def test_counts_add_up_whichever_kinds_they_lack() -> None:
    kinds = Kinds([("delivered", "1"), ("deferred", "greylisted"), ("delivered", "2")])
    found = total(kinds, [[1], [2, 3], []])

    assert (found.sum("delivered"), found.sum("deferred")) == (3, 3)
    assert found.counts() == {("delivered", "1"): 3, ("deferred", "greylisted"): 3}
    assert total(kinds, []).counts() == {}
