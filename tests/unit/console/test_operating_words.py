"""What pages of operation say, and where they lead: pure words about what is."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounts.audit import Logged
from alarms.model import Alarm, AlarmKind
from console.alarms.words import needs_me, remedy
from console.audit.words import changes, leads, said
from console.charts import share
from console.ips.board import Cell
from console.ips.words import figure, note, opens
from console.overview.figures import Overview, View
from console.overview.words import is_mail_flowing
from console.pools.routes import right_size
from console.pools.shares import Share, shares
from console.providers.treating import Treatment, worse_since
from console.providers.words import how_all
from console.warmup.words import at_day, shorter
from core.ids import uuid7
from core.queues import Lane
from messages.search import COUNTED, Standing
from pools.administration import PoolMemberRow, PoolRow
from pools.advice import Advice
from pools.ip_status import IpStatus, Track, WarmingUp
from pools.ips import IpRow
from store.tally import Tally
from warmup.presets import preset
from warmup.simulate import Row

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def _alarm(kind: AlarmKind, subject: str) -> Alarm:
    return Alarm(uuid7(), kind.value, subject, "", NOW, NOW, 1)


@pytest.mark.parametrize(
    ("kind", "subject", "leads"),
    [
        (AlarmKind.IP_RESTING, "203.0.113.5 at gmail", "/ips?open=203.0.113.5+gmail"),
        (AlarmKind.COMPLAINTS, "marketing mail of shop to yahoo", "/providers/yahoo"),
        (AlarmKind.COMPLAINTS, "marketing mail of shop at home to yahoo", "/providers/yahoo"),
        (AlarmKind.COMPLAINTS, "marketing mail of shop", "/providers"),
        (AlarmKind.WARMUP_STALLED, "203.0.113.7 gmail", "/warmup/203.0.113.7"),
        (AlarmKind.LOCAL_ADDRESS, "2001:db8::5", "/ips/2001%3Adb8%3A%3A5"),
        (AlarmKind.SEED_MISSING, "me@gmail.com (gmail)", "/seeds"),
    ],
)
def test_an_alarm_leads_to_where_something_can_be_done(kind: AlarmKind, subject: str, leads: str) -> None:
    way = remedy(_alarm(kind, subject))
    assert way is not None
    assert way[1] == leads


def test_the_overview_says_what_waits_and_whether_it_is_late() -> None:
    assert "No mail waits. " in f"{_flowing(Standing(0, 0))} "
    told = _flowing(Standing(40, 37))
    assert told.endswith(" 37 mails are put off and tried again, 3 mails are on the way or scheduled; none is late.")
    assert _flowing(Standing(COUNTED + 1, 0)).endswith(" More than 10,000 mails wait, none of them late.")
    late = _flowing(Standing(1, 1), transactional=300.0)
    assert "transactional mail waits for 5 min. 1 mail is put off and tried again." in late


def _flowing(queue: Standing, **overdue: float) -> str:
    seen = Overview(View(ZoneInfo("UTC")), NOW, [], _tally(100, 5), Tally(), {}, overdue, [], [], [], [], queue=queue)
    return is_mail_flowing(seen)


def test_a_pool_is_not_judged_by_a_day_but_by_having_no_second_ip() -> None:
    pool = PoolRow(
        uuid7(), "news", Lane.MARKETING, default=True, reserved=False, overflow=None, assigned=(), members=()
    )
    little = Advice("news", "too_many", "little_volume", 3, 2, 65, 1, "65 mails a day", "Use fewer.")
    assert "Mail of 1 day is too little to judge" in right_size([pool], [little])
    assert "Pool news should change" in right_size([pool], [replace(little, days=7)])
    assert "Pool news should change" in right_size([pool], [replace(little, rule="no_fail_over")])


def test_a_plan_says_why_it_is_shorter() -> None:
    whole = preset("stages-29")
    assert shorter(whole, whole, "10000000") == ""
    assert "needs no warm-up by this plan" in shorter(preset("stages-29", target=whole.stages[0]), whole, "200")
    assert "normal volume of 20,000 mails a day are left out" in shorter(
        preset("stages-29", target=20_000), whole, "20000"
    )


def test_a_line_of_the_audit_log_is_words_and_leads_to_what_was_changed() -> None:
    assert said("session.begin") == "Signed in"
    assert said("campaign.start") == "Campaign: start"
    assert said("warmup.step-back") == "Warmup: step back"
    assert leads("campaign.start", "7") == "/campaigns/7"
    assert leads("campaign.delete", "7") == ""
    assert leads("suppression.add", "7") == ""
    assert said("ip.pause") == "IP: pause"
    assert (leads("ip.pause", "203.0.113.5"), leads("ip.pause", "7 ips")) == ("/ips/203.0.113.5", "")


def test_a_day_of_a_plan_says_what_leaves_to_whom() -> None:
    def row(provider: str, warming: int, cap: int | None) -> Row:
        return Row(12, provider, 3, 3, cap, 9_000, warming, 0, 0, "")

    assert at_day(12, [row("gmail", 2_400, 2_400), row("*", 30, 40)]) == (
        "On day 12 it sends 2,400 to gmail, 30 to all others."
    )
    assert at_day(12, [row("gmail", 5_000, None)]) == "On day 12, with no caps any more, it sends 5,000 to gmail."
    assert at_day(12, [row("gmail", 0, 5)]) == "On day 12 nothing leaves through it."


def test_rows_that_changed_beside_another_one_are_lines_of_their_own() -> None:
    beside = {"what": "pool_member bulk", "before": None, "after": {"id": "7", "weight": 3, "egress_ip": "203.0.113.5"}}
    line = Logged(uuid7(), NOW, "ann", None, "api", "", "pool.update", "bulk", {"lane": "a"},
                  {"lane": "b", "also": [beside]})  # fmt: skip

    assert list(changes(line)) == [("lane", "a", "b"), ("pool member bulk", "", "weight 3, egress_ip 203.0.113.5")]


def test_nothing_to_do_is_said_so() -> None:
    assert remedy(_alarm(AlarmKind.CERTIFICATE, "/etc/ssl/a.pem")) is None
    assert needs_me([], [], [], NOW) == "Nothing needs you."


def test_a_cell_says_the_cap_before_the_mail_and_the_rate_before_the_share() -> None:
    assert figure(Cell("gmail", "warming", 300, 0, cap=500, used=310), NOW) == "310 / 500"
    assert figure(Cell("gmail", "throttled", 300, 0, until=NOW + timedelta(minutes=12)), NOW) == "rests 12 min"
    assert note(Cell("gmail", "recovering", 100, 50, rate=0.5)) == "0.5 a second"
    assert note(Cell("gmail", "active", 100, 50)) == "33.3 % deferred"
    assert note(Cell("gmail", "active", 10, 5)) == ""  # too few to say
    assert share(1, 0) == 0.0


def test_a_cell_that_warms_up_says_when_it_gets_more() -> None:
    warming, later = Cell("gmail", "warming", 12, 0, cap=93, used=13), NOW + timedelta(minutes=5)
    assert note(warming, later, NOW) == "more in 5 min"
    assert note(warming, None, NOW) == ""
    assert "used, more at 12:05" in opens(warming, later, ZoneInfo("UTC"))
    assert opens(warming, None, ZoneInfo("UTC")) == ""


def test_it_is_worse_since_the_first_hour_of_the_run() -> None:
    hours = [(NOW + timedelta(hours=n), _tally(100, deferred)) for n, deferred in enumerate((2, 40, 1, 2, 30, 35))]

    assert worse_since(hours, 0.02) == NOW + timedelta(hours=4)
    assert worse_since(hours, 0.3) is None
    assert worse_since([(NOW, Tally())], 0.02) is None


def test_providers_that_take_our_mail_are_counted_and_not_named() -> None:
    fine = Treatment("yahoo", _tally(100, 1), _tally(100, 1), _tally(100, 1), [])
    bad = Treatment("gmail", _tally(100, 3), _tally(100, 1), _tally(100, 25), [])

    assert how_all([fine], NOW).endswith("each takes it as it did.")
    told = how_all([fine, bad, fine], NOW)
    assert (
        told == "gmail defers 20.0 % of the attempts, 0.99 % in the week before. The other 2 take our mail as they did."
    )


def _tally(delivered: int, deferred: int) -> Tally:
    return Tally.of({("delivered", ""): delivered, ("deferred", ""): deferred})


def test_an_ip_that_warms_up_carries_its_cap_and_the_warm_ones_share_the_rest() -> None:
    members = [PoolMemberRow("203.0.113.1", 2, True), PoolMemberRow("203.0.113.2", 1, True),
               PoolMemberRow("203.0.113.3", 1, True), PoolMemberRow("203.0.113.4", 5, False)]  # fmt: skip
    row = IpRow(uuid7(), "203.0.113.3", "203.0.113.3", "mta.example", "", True, "", NOW, None)
    tracks = (Track("gmail", 2, False, 300, 0), Track("*", 2, False, 200, 10))
    warming = IpStatus(row, warming=WarmingUp("active", "stages-29", 29, tracks))

    found = shares(members, {"203.0.113.3": warming})

    assert found == {
        "203.0.113.1": Share(2 / 3, None), "203.0.113.2": Share(1 / 3, None), "203.0.113.3": Share(1 / 4, 500),
    }  # fmt: skip
    over = IpStatus(row, warming=WarmingUp("active", "stages-29", 29, (Track("gmail", 29, True, None, 0),)))
    assert shares(members, {"203.0.113.3": over})["203.0.113.3"] == Share(1 / 4, None)
