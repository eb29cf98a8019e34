"""What happens to a mail: the decisions of all simulated providers, and their memory.

Owns greylist, attempts, rules, counts, mailboxes and the ledger; answers `simulator/smtp_session.py` at each stage of a
conversation with a reply or with "go on". Never touches a socket and never waits. `simulator/control.py` reads and
resets the same memory.
"""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from simulator.behaviour import PEOPLE, plan_for, seconds, times
from simulator.judging import Judging, ReputationSettings
from simulator.ledger import Ledger, LedgerEntry, message_id_of
from simulator.mailboxes import Counts, Limits, Mailboxes
from simulator.model import Behaviour, Door, MailDomain, Plan, Recipient, Stage, StoredMail, TlsKind
from simulator.people import Errand
from simulator.replies import STYLES, fill, lines_of, wire
from simulator.reputation import Judgement
from simulator.rules import RuleBook, Who
from simulator.world import World

K = TypeVar("K")
V = TypeVar("V")

RELAY_DENIED = "550 5.7.1 <{rcpt}>: Relay access denied, this server does not receive for {domain}"
_REMEMBERED = 200_000
"""Greylist and attempt entries kept; the oldest go first."""
_AS_JUDGED = Plan(Behaviour.ACCEPT, Stage.RCPT)
_REFUSALS = {
    Behaviour.UNKNOWN: "unknown_user",
    Behaviour.FULL: "mailbox_full",
    Behaviour.GREYLIST: "greylisted",
    Behaviour.THROTTLE: "throttled",
    Behaviour.SPAM: "spam",
    Behaviour.BLOCK: "blocked",
}


@dataclass(slots=True)
class Visit:
    """One connection as the providers see it. The session keeps `ehlo_name` and `tls` up to date."""

    door: Door
    ip: str
    ehlo_name: str = ""
    tls: bool = False
    client: str = field(default="")
    """Name in the counts: the IP, or the EHLO name in EHLO mode."""
    carried: int = 0
    """Mails taken on this connection."""
    mail_at: float = 0.0
    """When the last MAIL command came."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Answer to one stage. An empty `reply` with `hang_up` means: close without a word."""

    reply: bytes
    hang_up: bool = False
    delay: float = 0.0
    """Seconds to wait before the reply."""


@dataclass(frozen=True, slots=True)
class MailroomSettings:
    """What can be chosen. Seconds where not said otherwise."""

    greylist_seconds: float = 5.0
    slow_seconds: float = 3.0
    limits: Limits = field(default_factory=Limits)


class Mailroom:
    """All providers at once. `now` gives seconds since the epoch."""

    def __init__(
        self, world: World, settings: MailroomSettings | None = None, now: Callable[[], float] = time.time
    ) -> None:
        self.world = world
        self.settings = settings or MailroomSettings()
        self.rules = RuleBook()
        self.counts = Counts()
        self.mailboxes = Mailboxes(self.settings.limits)
        self.ledger: Ledger | None = None
        self.now = now
        self.judging: Judging | None = None
        self.reacting: Callable[[StoredMail, Recipient, Door], None] | None = None
        """Hears of mail that its recipient will react to."""
        self._greylist: dict[tuple[str, str, str], float] = {}
        self._attempts: dict[tuple[Behaviour, str], int] = {}
        self._numbers = itertools.count(1)

    def reset(self) -> None:
        """Forget rules, counts, mails, greylist, attempts and what is thought of IPs. The ledger file is left alone."""
        self.rules.clear()
        self.counts.clear()
        self.mailboxes.clear()
        self._greylist.clear()
        self._attempts.clear()
        self.judging = None

    def judge_ips(self, settings: ReputationSettings | None) -> None:
        """Let the providers judge client IPs from now on, every IP being new to them; None: no more."""
        self.judging = Judging(settings, self.now()) if settings is not None else None

    def keep_ledger(self, path: Path | None) -> None:
        """Write the ledger to `path` from now on, or stop writing one. Raises OSError for an impossible path."""
        opened = Ledger(path) if path is not None else None
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = opened

    def note_errand(self, errand: Errand) -> None:
        """Count what a recipient has done about its mail."""
        self.counts.add(errand.mail.provider, errand.mail.client, errand.what)

    def on_connect(self, visit: Visit) -> Verdict:
        """The banner, or a refusal in its place."""
        self.identify(visit)
        if visit.door.provider is not None:
            self.counts.add(visit.door.provider, visit.client, "connections")
        refusal = self._rule_before_rcpt((Stage.BANNER,), visit)
        if refusal is None and self.judging is not None:
            refusal = self._judged_early(self.judging, Stage.BANNER, visit)
        if refusal is not None:
            return refusal
        return Verdict(wire(self._fill(STYLES[visit.door.style].banner, visit)))

    def identify(self, visit: Visit) -> None:
        """Settle under which name the client is counted; called again after each EHLO."""
        visit.client = (visit.ehlo_name or visit.ip) if visit.door.provider is None else visit.ip

    def tls_works(self, visit: Visit) -> bool:
        """Whether this client's handshake at this door may succeed."""
        if visit.door.tls is TlsKind.BROKEN:
            return False
        plan = self.rules.plan((Stage.STARTTLS,), self._who(visit), self.now()) if self.rules else None
        return plan is None or plan.behaviour is not Behaviour.BADTLS

    def note_tls(self, visit: Visit) -> None:
        """Count a handshake that succeeded."""
        self.counts.add(visit.door.provider or "shared", visit.client, "tls_sessions")

    def on_mail(self, visit: Visit) -> Verdict | None:
        """A refusal at MAIL FROM, or None."""
        visit.mail_at = self.now()
        # A rule for the banner also reaches a client whose connection is older than the rule.
        refusal = self._rule_before_rcpt((Stage.BANNER, Stage.MAIL), visit)
        if refusal is None and self.judging is not None:
            return self._judged_early(self.judging, Stage.MAIL, visit)
        return refusal

    def on_rcpt(self, visit: Visit, mail_from: str, address: str) -> Recipient | Verdict:
        """Take a recipient (`address` in lower case), or refuse it."""
        if address == "postmaster":  # the one address without a domain (RFC 5321 4.5.1)
            address = f"postmaster@{min(visit.door.domains)}"
        local_part, _, name = address.rpartition("@")
        domain = self.world.domains.get(name) if name in visit.door.domains else None
        if domain is None:
            self.counts.add(visit.door.provider or "none", visit.client, "relay_denied")
            return Verdict(wire(RELAY_DENIED.format(rcpt=address, domain=name)))
        plan = self._plan(visit, domain, local_part, address)
        recipient = Recipient(address, domain.provider, domain.style, plan)
        if self.judging is not None:
            judged = self._judged_at_rcpt(self.judging, visit, recipient)
            if judged is not None:
                return judged
        if plan.stage <= Stage.RCPT:
            refusal = self._refuse(visit, recipient, mail_from)
            if refusal is not None:
                return refusal
        return recipient

    def on_dot(self, visit: Visit, mail_from: str, recipients: Sequence[Recipient], data: bytes) -> Verdict:
        """The answer to the final dot. One refused recipient refuses the mail: SMTP has one answer for all."""
        delay = 0.0
        for recipient in recipients:
            behaviour = recipient.plan.behaviour
            if behaviour is Behaviour.ACCEPT:
                continue
            if behaviour is Behaviour.SLOW:
                delay = max(delay, seconds(recipient.plan.argument, self.settings.slow_seconds))
            elif recipient.plan.stage is Stage.DOT:
                refusal = self._refuse(visit, recipient, mail_from, data)
                if refusal is not None:
                    return refusal
        if self.judging is not None:
            judged = self._judged_at_dot(self.judging, visit, recipients)
            if judged is not None:
                return judged
        number = 0
        for recipient in recipients:
            number = self._keep(visit, mail_from, recipient, data)
            self.counts.add(recipient.provider, visit.client, "accepted")
        visit.carried += 1
        accepted = STYLES[recipients[0].style].accepted
        text = accepted.format(id=f"{number:08x}", host=visit.door.name)
        return Verdict(text.encode() + b"\r\n", delay=delay)

    def _plan(self, visit: Visit, domain: MailDomain, local_part: str, address: str) -> Plan:
        if self.rules:
            who = self._who(visit, domain, address)
            ordered = self.rules.plan((Stage.RCPT, Stage.DOT), who, self.now())
            if ordered is not None:
                return ordered
        return plan_for(local_part, STYLES[domain.style].throttle_stage)

    def _rule_before_rcpt(self, stages: tuple[Stage, ...], visit: Visit) -> Verdict | None:
        if not self.rules or visit.door.provider is None:
            return None
        plan = self.rules.plan(stages, self._who(visit), self.now())
        if plan is None:
            return None
        nobody = Recipient("", visit.door.provider, visit.door.style, plan)
        return self._refuse(visit, nobody, "")

    def _judged_early(self, judging: Judging, stage: Stage, visit: Visit) -> Verdict | None:
        """The refusal of an IP before anybody is named, by providers that refuse so early; None: not here, not now."""
        door = visit.door
        habit = STYLES[door.style].throttle_stage
        # A connection that is older than the refusal meets it at MAIL.
        if door.provider is None or habit not in (Stage.BANNER, Stage.MAIL) or stage < habit:
            return None
        nobody = Recipient("", door.provider, door.style, _AS_JUDGED)
        if judging.look(_site(visit, nobody), visit.client, self.now()) is Judgement.ACCEPT:
            return None
        return self._judged(judging, visit, nobody)

    def _judged_at_rcpt(self, judging: Judging, visit: Visit, recipient: Recipient) -> Verdict | None:
        """A refusal at RCPT: of blocked IPs by everybody, of throttled ones where the dot is not the place for it."""
        site, now = _site(visit, recipient), self.now()
        if recipient.plan.behaviour is Behaviour.UNKNOWN:
            judging.unknown(site, visit.client, now)
        look = judging.look(site, visit.client, now)
        late = STYLES[recipient.style].throttle_stage is Stage.DOT
        if look is Judgement.ACCEPT or (look is Judgement.THROTTLE and late):
            return None
        return self._judged(judging, visit, recipient)

    def _judged_at_dot(self, judging: Judging, visit: Visit, recipients: Sequence[Recipient]) -> Verdict | None:
        """Counts the mail, once for each recipient; the first refusal refuses all."""
        for recipient in recipients:
            refusal = self._judged(judging, visit, recipient)
            if refusal is not None:
                return refusal
        return None

    def _judged(self, judging: Judging, visit: Visit, recipient: Recipient) -> Verdict | None:
        """Count one mail with the judge; the refusal that it meets, in the provider's own words."""
        met = judging.meet(_site(visit, recipient), visit.client, self.now())
        if met is Judgement.ACCEPT:
            return None
        style, blocked = STYLES[recipient.style], met is Judgement.BLOCK
        self.counts.add(recipient.provider, visit.client, "blocked" if blocked else "throttled")
        text = self._fill(style.block if blocked else style.throttle, visit, recipient.address)
        return Verdict(wire(text), hang_up=_ends_connection(text))

    def _refuse(self, visit: Visit, recipient: Recipient, mail_from: str, data: bytes | None = None) -> Verdict | None:
        """The refusal that a plan leads to, counted; None when the plan lets this one pass."""
        behaviour, argument = recipient.plan.behaviour, recipient.plan.argument
        if behaviour in (Behaviour.DROP, Behaviour.DROP_KEPT):
            return self._drop(visit, recipient, mail_from, data)
        if behaviour is Behaviour.BADTLS:
            return self._break_tls(visit, recipient)
        refusal = _REFUSALS.get(behaviour)
        if refusal is None or (behaviour is Behaviour.THROTTLE and self._used_up(recipient)):
            return None
        wait = 0
        if behaviour is Behaviour.GREYLIST:
            wait = self._greylist_wait(visit.client, mail_from, recipient.address, argument)
            if wait == 0:
                return None
        self.counts.add(recipient.provider, visit.client, refusal)
        text = lines_of(recipient.plan.text) or self._fill(_words(recipient), visit, recipient.address, wait)
        return Verdict(wire(text), hang_up=_ends_connection(text))

    def _drop(self, visit: Visit, recipient: Recipient, mail_from: str, data: bytes | None) -> Verdict | None:
        if self._used_up(recipient):
            return None
        self.counts.add(recipient.provider, visit.client, "dropped")
        if recipient.plan.behaviour is Behaviour.DROP_KEPT and data is not None:
            self._keep(visit, mail_from, recipient, data)
        return Verdict(b"", hang_up=True)

    def _break_tls(self, visit: Visit, recipient: Recipient) -> Verdict | None:
        if not visit.tls:
            return None
        self.counts.add(recipient.provider, visit.client, "tls_broken")
        return Verdict(b"", hang_up=True)

    def _used_up(self, recipient: Recipient) -> bool:
        """Whether a behaviour with a number of times has had them for this recipient; counts this one if not."""
        allowed = times(recipient.plan.argument)
        if allowed is None:
            return False
        key = (recipient.plan.behaviour, recipient.address)
        done = self._attempts.get(key, 0)
        if done >= allowed:
            return True
        _remember(self._attempts, key, done + 1)
        return False

    def _greylist_wait(self, client: str, mail_from: str, address: str, argument: str) -> int:
        """Whole seconds this triple still has to wait; 0 when it may pass."""
        key, now = (client, mail_from, address), self.now()
        if key not in self._greylist:
            _remember(self._greylist, key, now)
        needed = seconds(argument, self.settings.greylist_seconds)
        left = self._greylist[key] + needed - now
        if left <= 0 and self._greylist[key] < now:
            return 0
        return max(1, int(left + 0.999))

    def _keep(self, visit: Visit, mail_from: str, recipient: Recipient, data: bytes) -> int:
        number, at = next(self._numbers), self.now()
        mail = StoredMail(
            number=number,
            received_at=at,
            recipient=recipient.address,
            mail_from=mail_from,
            provider=recipient.provider,
            client=visit.client,
            ip=visit.ip,
            ehlo_name=visit.ehlo_name,
            tls=visit.tls,
            data=data,
        )
        self.mailboxes.put(mail)
        if self.ledger is not None:
            entry = LedgerEntry(message_id_of(data), recipient.address, visit.client, at, visit.mail_at)
            self.ledger.record(entry)
        if recipient.plan.behaviour in PEOPLE and self.reacting is not None:
            self.reacting(mail, recipient, visit.door)
        return number

    def _who(self, visit: Visit, domain: MailDomain | None = None, address: str = "") -> Who:
        provider = domain.provider if domain is not None else visit.door.provider
        return Who(
            provider=provider or "",
            style=domain.style if domain is not None else visit.door.style,
            ip=visit.ip,
            ehlo_name=visit.ehlo_name,
            client=visit.client,
            recipient=address,
            shared_door=visit.door.provider is None,
            carried=visit.carried,
        )

    def _fill(self, text: str, visit: Visit, address: str = "", wait: int = 0) -> str:
        return fill(
            text,
            id=f"{next(self._numbers):08x}",
            host=visit.door.name,
            ip=visit.client,
            rcpt=address,
            domain=address.rpartition("@")[2],
            seconds=wait,
        )


def _site(visit: Visit, recipient: Recipient) -> str:
    """Who judges: a provider as a whole, or a small server by itself."""
    if recipient.style != "small":
        return recipient.provider
    return visit.door.name if visit.door.provider is not None else recipient.address.rpartition("@")[2]


def _ends_connection(text: str) -> bool:
    """A server that says 421 closes, and one that greets with a refusal has nothing more to say (RFC 5321 3.1, 3.8)."""
    return text.rpartition("\n")[2].startswith(("421", "521"))


def _words(recipient: Recipient) -> str:
    """The provider's own text for a refused recipient."""
    style, plan = STYLES[recipient.style], recipient.plan
    if plan.behaviour is Behaviour.FULL and plan.argument.startswith(("552", "perm")):
        return style.full_permanent
    return str(getattr(style, plan.behaviour.value))


def _remember(memory: dict[K, V], key: K, value: V) -> None:
    """Set an entry; the oldest one goes when there are too many."""
    memory[key] = value
    if len(memory) > _REMEMBERED:
        del memory[next(iter(memory))]
