"""Judges: limits with their small-sample guards, and no flapping around a limit."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from alarms import judging
from alarms.judging import Counts, Shares, Stream
from alarms.model import AlarmKind, Severity
from alarms.rules import EASE, RULES, checked, in_force
from core.refusal import Refused
from store.heartbeats import Process

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
YAHOO = Stream(UUID(int=1), "shop", "marketing", "yahoo")


def values(kind: AlarmKind, **changes: float) -> dict[str, float]:
    return in_force(RULES[kind], changes)


COMPLAINTS = values(AlarmKind.COMPLAINTS)


@pytest.mark.parametrize(
    ("delivered", "complained", "severity", "stopped"),
    [
        (10_000, 9, None, False), (10_000, 11, Severity.WARNING, False), (10_000, 29, Severity.WARNING, False),
        (10_000, 31, Severity.CRITICAL, True), (999, 900, None, False), (1_000, 2, None, False),
        (1_000, 3, Severity.CRITICAL, True),
    ],
)  # fmt: skip
def test_complaints_warn_and_stop(delivered: int, complained: int, severity: Severity | None, stopped: bool) -> None:
    counts = [Counts(YAHOO, delivered=delivered, complained=complained)]
    findings, stops = judging.complaints(counts, COMPLAINTS, {})

    assert [one.severity for one in findings] == ([severity] if severity else [])
    assert [one.stream for one in stops] == ([YAHOO] if stopped else [])
    assert all(one.subject == "marketing mail of shop to yahoo" for one in findings)


def test_a_stream_that_may_not_be_stopped_is_an_alarm_only() -> None:
    given = values(AlarmKind.COMPLAINTS, stop_marketing=0)
    findings, stops = judging.complaints([Counts(YAHOO, delivered=10_000, complained=90)], given, {})

    assert ([one.severity for one in findings], stops) == ([Severity.CRITICAL], [])


def test_late_bounces_were_delivered_before_and_count_once() -> None:
    stream = Stream(UUID(int=1), "shop", "marketing")
    bounced = Counts(stream, delivered=1000, hard_bounced=30, late_bounced=30)
    (finding,) = judging.hard_bounces([bounced], values(AlarmKind.HARD_BOUNCES), {})

    assert (finding.severity, finding.detail) == (
        Severity.WARNING, "30 hard bounces of 1,000 mails in 24 hours: 3.0%",
    )  # fmt: skip
    assert judging.hard_bounces([Counts(stream, 300, 150)], values(AlarmKind.HARD_BOUNCES), {}) == []


def test_a_share_is_held_against_its_own_line() -> None:
    given = values(AlarmKind.DELIVERED_SHARE)
    low_as_ever = Shares("news to gmx", 100, 200, 5000, 10_000)
    fell = Shares("news to gmail", 160, 200, 9900, 10_000)
    collapsed = Shares("receipts to gmail", 20, 200, 9900, 10_000)
    young = Shares("new topic", 20, 200, 9, 10)
    found = judging.delivered_share([low_as_ever, fell, collapsed, young], given, {})

    assert {one.subject: one.severity for one in found} == {
        "news to gmail": Severity.WARNING, "receipts to gmail": Severity.CRITICAL,
    }  # fmt: skip


def test_queue_and_rests_and_certificates() -> None:
    waiting = {"transactional": 301.0, "marketing": 3600.0}
    assert [one.subject for one in judging.queue_age(waiting, values(AlarmKind.QUEUE_AGE), {})] == ["transactional"]
    rests = {"192.0.2.1 at gmail": (NOW - timedelta(hours=5), "4.7.28"), "b": (NOW - timedelta(hours=3), "x")}
    (rest,) = judging.ip_resting(rests, values(AlarmKind.IP_RESTING), NOW)
    assert (rest.severity, rest.detail) == (Severity.WARNING, "not healthy for 5 hours: 4.7.28")
    ends = {"a.pem": NOW + timedelta(days=20), "b.pem": NOW - timedelta(hours=1), "c.pem": NOW + timedelta(days=99)}
    found = judging.certificates(ends, values(AlarmKind.CERTIFICATE), NOW)
    assert [(one.subject, one.severity) for one in found] == [
        ("a.pem", Severity.WARNING), ("b.pem", Severity.CRITICAL),
    ]  # fmt: skip


@given(st.lists(st.floats(0.0, 0.01), min_size=2, max_size=30), st.floats(0.0005, 0.002))
def test_a_rate_around_the_limit_does_not_flap(rates: list[float], warn: float) -> None:
    """An alarm is raised from the limit on, and cleared below its ease only."""
    now: Severity | None = None
    for rate in rates:
        before, now = now, judging.severity(rate, warn, 3 * warn, now)
        if before is None and now is not None:
            assert rate >= warn
        if before is not None and now is None:
            assert rate < warn * EASE
        if before is Severity.CRITICAL and now is Severity.WARNING:
            assert rate < 3 * warn * EASE


def test_a_silent_process_is_an_alarm_after_some_minutes() -> None:
    given = values(AlarmKind.PROCESS_SILENT)
    api = Process("api", "one", 7, "1.0", NOW - timedelta(hours=3), NOW, silent=False, trouble="")
    gone = replace(api, host="two", pid=9, seen_at=NOW - timedelta(seconds=121), silent=True)

    def judged(*found: Process) -> list[tuple[str, Severity, str]]:
        return [(one.subject, one.severity, one.detail) for one in judging.process_silent(found, given, NOW)]

    subject, detail = "api on two, process 9", "not heard of since 2026-11-28 11:57 UTC; "
    assert judged(api, gone) == [(subject, Severity.WARNING, f"{detail}1 more of its kind is there")]
    assert judged(replace(api, name="scheduler"), gone) == [
        (subject, Severity.CRITICAL, f"{detail}it was the only one")
    ]
    assert judged(api, replace(gone, seen_at=NOW - timedelta(seconds=119))) == []
    assert judged(replace(api, started_at=NOW - timedelta(seconds=119)), gone) == [], "all of them were away"


def test_settings_are_checked_and_unknown_ones_of_a_newer_version_left_out() -> None:
    rule = RULES[AlarmKind.COMPLAINTS]
    assert checked(rule, {"warn": 0.002, "enabled": 0}) == {"warn": 0.002, "enabled": 0}
    for wrong in ({"warn": 2.0}, {"hours": 0}, {"nonsense": 1}):
        with pytest.raises(Refused):
            checked(rule, wrong)
    assert "of_tomorrow" not in in_force(rule, {"of_tomorrow": 3, "warn": 0.5})


def test_every_kind_is_explained() -> None:
    from alarms.advice import MEANING, WHAT_TO_DO

    assert MEANING.keys() == WHAT_TO_DO.keys() == set(AlarmKind)
    assert set(RULES) <= set(AlarmKind)
