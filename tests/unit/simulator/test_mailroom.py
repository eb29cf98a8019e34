"""What the providers do with a recipient, and what they remember."""

from simulator.mailroom import Mailroom, MailroomSettings, Verdict, Visit
from simulator.model import Behaviour, Door, Recipient, Stage
from simulator.rules import Rule
from simulator.world import build_world

WORLD = build_world(single_address=False)
DOORS = {door.name: door for door in WORLD.doors}
DATA = b"Message-ID: <1@demo.sim>\r\nSubject: x\r\n\r\nhello\r\n"


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def visit(name: str = "mx1.google.sim", ip: str = "127.0.1.2") -> Visit:
    return Visit(DOORS[name], ip, "mta.test", client=ip)


def deliver(room: Mailroom, address: str, who: Visit | None = None) -> Verdict:
    """RCPT and, if it was taken, the dot."""
    who = who or visit()
    taken = room.on_rcpt(who, "b@demo.sim", address)
    return taken if isinstance(taken, Verdict) else room.on_dot(who, "b@demo.sim", [taken], DATA)


def test_greylisting_lets_the_same_triple_pass_after_its_time() -> None:
    clock = Clock()
    room = Mailroom(WORLD, MailroomSettings(greylist_seconds=5), clock)
    assert deliver(room, "greylist@gmail.sim").reply.startswith(b"451-4.7.1")
    clock.seconds += 4
    assert deliver(room, "greylist@gmail.sim").reply.startswith(b"451-4.7.1")
    clock.seconds += 1
    assert deliver(room, "greylist@gmail.sim").reply.startswith(b"250")
    assert deliver(room, "greylist@gmail.sim", visit(ip="127.0.1.3")).reply.startswith(b"451")
    assert deliver(room, "greylist+60@gmail.sim").reply.startswith(b"451")
    assert room.counts.total("greylisted") == 4


def test_a_throttle_with_a_number_ends_after_so_many() -> None:
    room = Mailroom(WORLD)
    codes = [deliver(room, "throttle+2@gmail.sim").reply[:3] for _ in range(4)]
    assert codes == [b"421", b"421", b"250", b"250"]
    assert deliver(room, "throttle@gmail.sim").hang_up


def test_a_dropped_mail_is_kept_only_by_drop_kept() -> None:
    room = Mailroom(WORLD)
    for address in ("drop+1@gmail.sim", "drop-kept+1@gmail.sim"):
        assert deliver(room, address) == Verdict(b"", hang_up=True)
        assert deliver(room, address).reply.startswith(b"250")
    assert len(room.mailboxes.of("drop+1@gmail.sim")) == 1
    assert len(room.mailboxes.of("drop-kept+1@gmail.sim")) == 2
    assert room.counts.total("dropped") == 2


def test_one_refused_recipient_refuses_the_mail_for_all() -> None:
    room = Mailroom(WORLD)
    who = visit()
    taken = [room.on_rcpt(who, "", address) for address in ("joe@gmail.sim", "spam@gmail.sim")]
    verdict = room.on_dot(who, "", [r for r in taken if isinstance(r, Recipient)], DATA)
    assert verdict.reply.startswith(b"550-5.7.1")
    assert room.mailboxes.of("joe@gmail.sim") == ()


def test_slow_keeps_the_mail_and_asks_for_the_wait() -> None:
    room = Mailroom(WORLD, MailroomSettings(slow_seconds=2))
    assert deliver(room, "slow@gmail.sim").delay == 2
    assert deliver(room, "slow+7@gmail.sim").delay == 7
    assert len(room.mailboxes.of("slow@gmail.sim")) == 1


def test_badtls_hangs_up_inside_tls_and_works_in_the_clear() -> None:
    room = Mailroom(WORLD)
    inside = visit()
    inside.tls = True
    assert deliver(room, "badtls@gmail.sim", inside) == Verdict(b"", hang_up=True)
    assert deliver(room, "badtls@gmail.sim").reply.startswith(b"250")


def test_a_rule_throttles_one_client_of_one_provider() -> None:
    room = Mailroom(WORLD)
    room.rules.add(Rule(Behaviour.THROTTLE, provider="gmail", client="127.0.1.2", mails=2))
    codes = [
        deliver(room, "joe@gmail.sim").reply[:3],
        deliver(room, "joe@gmail.sim", visit(ip="127.0.1.3")).reply[:3],
        deliver(room, "joe@yahoo.sim", visit("mx1.yahoodns.sim")).reply[:3],
        deliver(room, "joe@acme-corp.sim").reply[:3],
        deliver(room, "joe@gmail.sim").reply[:3],
    ]
    assert codes == [b"421", b"250", b"250", b"421", b"250"]
    row = next(row for row in room.counts.rows() if (row["provider"], row["client"]) == ("gmail", "127.0.1.2"))
    assert (row["throttled"], row["accepted"]) == (2, 1)


def test_a_rule_for_the_banner_reaches_an_older_connection_at_mail() -> None:
    room = Mailroom(WORLD)
    who = visit("mx1.gmx-mx.sim")
    assert room.on_connect(who).reply.startswith(b"220")
    room.rules.add(Rule(Behaviour.THROTTLE, provider="gmx"))
    at_mail = room.on_mail(who)
    assert at_mail is not None
    assert at_mail.reply.startswith(b"421-")
    assert room.on_connect(visit("mx1.gmx-mx.sim")).hang_up


def test_a_rule_can_give_its_own_words() -> None:
    room = Mailroom(WORLD)
    room.rules.add(Rule(Behaviour.UNKNOWN, recipient="gone@*", stage=Stage.DOT, text="550 5.1.6 {moved} away"))
    assert deliver(room, "gone@gmail.sim").reply == b"550 5.1.6 {moved} away\r\n"


def test_a_shared_door_tells_clients_by_ehlo_name() -> None:
    shared = build_world(single_address=True)
    (door,) = shared.doors
    assert isinstance(door, Door)
    room = Mailroom(shared)
    room.rules.add(Rule(Behaviour.THROTTLE, provider="yahoo", client="mta-1.test"))
    for name in ("mta-1.test", "mta-2.test"):
        who = Visit(door, "127.0.0.1", name)
        room.identify(who)
        assert room.on_mail(who) is None
        deliver(room, "joe@yahoo.sim", who)
    assert [(row["client"], row.get("throttled"), row.get("accepted")) for row in room.counts.rows()] == [
        ("mta-1.test", 1, None),
        ("mta-2.test", None, 1),
    ]
