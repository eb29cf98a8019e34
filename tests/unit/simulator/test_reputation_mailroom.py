"""The judge at work in the mailroom: off by default, and each provider in its own manner when it is on."""

import json
from typing import Any

from simulator.control import ControlServer
from simulator.judging import ReputationSettings
from simulator.mailroom import Mailroom
from simulator.receiver import Receiver
from simulator.reputation import Judgement
from tests.unit.simulator.test_mailroom import WORLD, Clock, deliver, visit

MANY = 3_000


def codes(room: Mailroom, address: str, door: str, n: int = MANY) -> list[bytes]:
    return [deliver(room, f"joe{number}@{address}", visit(door)).reply[:3] for number in range(n)]


def judged(complaints: float = 0.0) -> tuple[Mailroom, Clock]:
    clock = Clock()
    room = Mailroom(WORLD, now=clock)
    room.judge_ips(ReputationSettings(day_seconds=60, complaints=complaints))
    return room, clock


def test_it_is_off_by_default_and_after_a_reset() -> None:
    room = Mailroom(WORLD)
    assert set(codes(room, "yahoo.sim", "mx1.yahoodns.sim", 800)) == {b"250"}
    room.judge_ips(ReputationSettings())
    room.reset()
    assert room.judging is None


def test_a_new_ip_is_taken_then_throttled_then_blocked() -> None:
    room, _ = judged()
    seen = codes(room, "yahoo.sim", "mx1.yahoodns.sim")
    assert list(dict.fromkeys(seen)) == [b"250", b"421", b"554"]
    assert room.counts.total("accepted") == seen.count(b"250")
    assert (room.counts.total("throttled"), room.counts.total("blocked")) == (seen.count(b"421"), seen.count(b"554"))
    assert deliver(room, "joe@yahoo.sim", visit("mx1.yahoodns.sim", "127.0.1.3")).reply.startswith(b"250")


def test_days_pass_by_the_scale_and_the_ip_may_send_more() -> None:
    room, clock = judged()
    taken = []
    for _ in range(3):
        for _ in range(6):  # a sixth of the day is four hours
            taken_now = 0
            while room.judging is not None and room.judging.look("yahoo", "127.0.1.2", clock()) is Judgement.ACCEPT:
                deliver(room, "joe@yahoo.sim", visit("mx1.yahoodns.sim"))
                taken_now += 1
            taken.append(taken_now)
            clock.seconds += 10
    by_day = [sum(taken[day * 6 : day * 6 + 6]) for day in range(3)]
    assert by_day[0] * 2 < by_day[1] * 1.01
    assert by_day[1] * 2 < by_day[2]
    assert room.judging is not None
    assert room.judging.days(clock()) == 3


def test_each_provider_refuses_at_its_own_place() -> None:
    room, clock = judged()
    gmx, microsoft = visit("mx1.gmx-mx.sim"), visit("mx1.outlook-mx.sim")
    assert room.on_connect(gmx).reply.startswith(b"220")
    assert room.judging is not None
    for site in ("gmx", "microsoft", "gmail"):
        while room.judging.look(site, "127.0.1.2", clock()) is Judgement.ACCEPT:
            room.judging.meet(site, "127.0.1.2", clock())
    assert room.on_connect(gmx).reply.startswith(b"421")
    assert room.on_connect(microsoft).reply.startswith(b"220")
    at_mail = room.on_mail(microsoft)
    assert at_mail is not None
    assert b"4.7.650" in at_mail.reply
    google = visit("mx1.google.sim")
    taken = room.on_rcpt(google, "b@demo.sim", "joe@gmail.sim")
    assert not hasattr(taken, "reply"), "Gmail says it after the dot"
    assert deliver(room, "joe@gmail.sim").reply.startswith(b"421-4.7.28")


def test_small_servers_judge_each_by_itself() -> None:
    room, clock = judged()
    first, second = visit("mail.small-001.sim"), visit("mail.small-002.sim")
    assert room.judging is not None
    while room.judging.look(first.door.name, "127.0.1.2", clock()) is Judgement.ACCEPT:
        room.judging.meet(first.door.name, "127.0.1.2", clock())
    assert deliver(room, "joe@small-001.sim", first).reply.startswith(b"421")
    assert deliver(room, "joe@small-002.sim", second).reply.startswith(b"250")


def test_complaints_and_unknown_users_are_remembered() -> None:
    room, clock = judged(complaints=0.125)
    codes(room, "gmail.sim", "mx1.google.sim", 100)
    assert deliver(room, "unknown@gmail.sim").reply.startswith(b"550")
    assert room.judging is not None
    (opinion,) = room.judging.opinions(clock())
    assert opinion.complaints == 12
    clock.seconds += 60
    (tomorrow,) = room.judging.opinions(clock())
    assert tomorrow.why == "as much as a newcomer may", "a hundred mails and a dozen complaints: no growth"


def test_control_switches_it_on_shows_it_and_refuses_nonsense() -> None:
    room = Mailroom(WORLD, now=Clock())
    control = ControlServer(room, Receiver(), dict)

    def ask(**fields: object) -> dict[str, Any]:
        return control.handle(json.dumps(fields).encode())

    assert ask(op="reputation") == {"ok": True, "on": False, "opinions": []}
    assert ask(op="reputation.set", on=True, day_seconds=60, strictness=2)["strictness"] == 2
    deliver(room, "joe@gmail.sim")
    shown = ask(op="reputation")
    assert [(one["site"], one["ip"], one["accepted"]) for one in shown["opinions"]] == [("gmail", "127.0.1.2", 1)]
    for wrong in ({"day_seconds": 0}, {"strictness": "very"}, {"complaints": 1}, {"seed": True}):
        answer = ask(op="reputation.set", on=True, **wrong)
        assert not answer["ok"]
        assert next(iter(wrong)) in answer["error"]
    assert ask(op="reputation.set", on=False) == {"ok": True, "on": False}
    assert room.judging is None
