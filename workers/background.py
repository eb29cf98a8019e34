"""The worker process of the Celery queue `background`: what is not sending, as a table of tasks and one of duties.

A task is a hint here too: what Redis lost is found by a duty. When the database is away a task ends, and its work waits
for that duty.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from accounts.rechecks import recheck
from accounts.verify import Installation, fresh_resolver, verify_domain
from alarms import breakers
from alarms.duty import Certificates
from alarms.public_host import PublicHost
from audience import confirmations, properties, reconfirming
from audience import forgetting as audience
from audience.checks import MailRecords
from audience.importing import imports
from audience.links import LinkSeal
from campaigns import erasing
from campaigns import work as campaigns
from campaigns.automations import entering, forgetting, repeating, running, watching
from campaigns.forgetting import forget_gone
from core.clock import Clock, SystemClock
from core.errors import UnavailableError
from core.logs import get_logger
from core.publish import HintPublisher
from core.queues import BACKGROUND, TASK_BOUNCE
from core.secrets import InstanceSecret
from core.settings import Settings
from core.tasks import end
from flags.watch import FlagWatch
from messages import signing_up, stopped
from messages.signing_up import SignupTools
from mta.dns_client import DnsClient
from mta.from_settings import known_loops, known_providers, make_resolver, own_servers, rules_in_force
from mta.guard import networks
from mta.loops import Txt
from outcomes.proving import remembered_keys
from outcomes.reports import ReportTools, Sweeper
from sandbox import complaints
from store import folding
from store.clock import DatabaseClock
from store.database import Database
from suppression.from_settings import narrow_complaints, soft_bounce_rule
from webhooks import queue
from webhooks.delivery import Deliverer
from webhooks.retention import forget, forget_endpoints
from webhooks.sending import Sender
from workers import alarming, bringing_in, seeding
from workers.duties import Agenda, Duty, do_all
from workers.loop import TASK_SECONDS, QueueWorker
from workers.switched_off import tell_switched_off

_log = get_logger(__name__)

CONCURRENCY: Final = 8
"""Tasks under way: each waits for the database or DNS most of its time."""
RENEWED: Final = queue.LEASE.total_seconds() / 4
"""An endpoint that is being served stays in our hands by a look that often: more often than its lease is renewed, or a
look a moment too early would leave only a third of the lease to the next."""
AWAY_SECONDS: Final = 2.0
"""Before the duties go on after the database was away."""


@dataclass(frozen=True, slots=True)
class Background:
    """What background work needs."""

    settings: Settings
    reports: ReportTools
    webhooks: Deliverer
    sweeper: Sweeper
    signups: SignupTools
    records: MailRecords
    hints: HintPublisher
    certificates: Certificates

    async def report(self, _first: UUID | None = None) -> None:
        """Mail came back: work through all that is due."""
        await self.sweeper.sweep()

    async def recheck_domains(self) -> None:
        """Look again at the DNS records of sender domains that are due."""
        lookup, database = fresh_resolver(self.settings), self.reports.database
        ours = Installation(self.settings.hostname, self.reports.secret, self.settings.public_url)
        await recheck(database, lambda domain: verify_domain(database, lookup, ours, domain, asked=False))

    async def forget_webhooks(self) -> None:
        """Retention of what endpoints were told."""
        await forget(self.reports.database, self.reports.clock.now(), self.settings.webhook_days)

    async def judge_alarms(self) -> None:
        """See whether anything has to be looked at by a person."""
        await alarming.judge(self.reports.database, self.certificates)

    async def tell_alarms(self) -> None:
        """Tell of alarms by webhook and by mail."""
        await alarming.announce(self.reports.database)
        await alarming.mail(self.reports.database, self.settings, self.reports.secret)

    async def feed_campaigns(self) -> None:
        """Put mail of campaigns into the queue."""
        await campaigns.feed_all(self.reports.database, self.settings.sandbox_domain, self.hints.hint)

    async def do_automations(self) -> None:
        """Begin runs of people who confirmed, and do the steps that are due."""
        await entering.enter_confirmed(self.reports.database)
        await running.do_due(self.reports.database, self.settings.sandbox_domain)

    async def repeat_campaigns(self) -> None:
        """Make campaigns of rules that are due."""
        await repeating.make_due(self.reports.database, pages=bool(self.settings.public_url))

    async def ask_again(self) -> None:
        """Ask people who are about to be written to no more whether they still want it."""
        if self.signups.public_url:
            valid = timedelta(days=self.signups.valid_days)
            await reconfirming.ask(self.reports.database, self.signups.clock.now(), valid)

    async def bring_in(self) -> None:
        """Import uploaded lists of contacts; most connections stay for what must not wait."""
        at_once = max(1, min(bringing_in.AT_ONCE, self.settings.database_pool_size // 3))
        await bringing_in.bring_in(self.reports.database, self.records, at_once)

    async def probe_seeds(self) -> None:
        """Send probes to seed accounts, and look where they landed."""
        await seeding.probe(self.reports.database)
        reading = seeding.Reading(self.reports.secret, own_servers(self.settings), self.settings.tls_verify_store)
        await seeding.look(self.reports.database, reading)


TASKS: Final[Mapping[str, Callable[[Background, UUID], Awaitable[None]]]] = {
    TASK_BOUNCE: Background.report,
}
"""By their names in `core/queues`. Each gets the id of what it is about."""


def _of_database(do: Callable[[Database], Awaitable[object]]) -> Callable[[Background], Awaitable[object]]:
    """What needs no more than that."""
    return lambda background: do(background.reports.database)


DUTIES: Final[Sequence[Duty[Background]]] = (
    Duty("reports without a task", 15.0, lambda background: background.report()),
    Duty("complaints of simulated recipients", 1.0, _of_database(complaints.voice), waits=complaints.DUE),
    Duty("sender domains", 30.0, Background.recheck_domains),
    Duty("webhooks", 0.25, lambda background: background.webhooks.look(), waits=queue.WAIT, unasked=RENEWED),
    Duty("webhooks switched off", 15.0, _of_database(tell_switched_off)),
    Duty("endpoints and listeners gone", 30.0, _of_database(forget_endpoints)),
    Duty("old webhooks", 600.0, Background.forget_webhooks),
    Duty("figures", 2.0, _of_database(folding.fold), share=0.1, waits=folding.WAIT),
    Duty("alarms", 10.0, Background.judge_alarms, share=0.05),
    Duty("mail of streams that go on", 2.0, _of_database(stopped.release), waits=breakers.OVER),
    Duty("news of alarms", 5.0, Background.tell_alarms),
    Duty("seed accounts", 20.0, Background.probe_seeds),
    Duty("lists of contacts", 2.0, Background.bring_in, waits=imports.OPEN),
    Duty("deleted properties", 5.0, _of_database(properties.strip)),
    Duty("people of nobody", 5.0, _of_database(audience.forget_gone)),
    Duty("erased people", 20.0, _of_database(erasing.finish)),
    Duty("mail of sign-ups", 1.0, lambda background: signing_up.write_due(background.signups), waits=confirmations.DUE),
    Duty("silent people who are asked once more", 900.0, Background.ask_again),
    Duty("confirmations of imports", 5.0, lambda background: signing_up.write_due_of_imports(background.signups)),
    Duty("campaigns that begin", 0.5, _of_database(campaigns.begin), waits=campaigns.BEGINS),
    Duty("mail of campaigns", 0.25, Background.feed_campaigns, waits=campaigns.SENDS),
    Duty("what became of campaigns' mail", 0.5, _of_database(campaigns.settle_all), waits=campaigns.SETTLES),
    Duty("mail of campaigns that go on", 2.0, _of_database(campaigns.release), waits=campaigns.GOES_ON),
    Duty("winners of experiments", 5.0, _of_database(campaigns.decide), waits=campaigns.SENDS),
    Duty("campaigns that end", 1.0, _of_database(campaigns.finish), waits=campaigns.ENDS),
    Duty("automations", 0.5, Background.do_automations, waits=running.DUE),
    Duty("campaigns of rules", 2.0, Background.repeat_campaigns, waits=repeating.DUE),
    Duty("automations that were stopped", 5.0, _of_database(running.cancel_stopped)),
    Duty("automations that fail", 60.0, _of_database(watching.judge)),
    Duty("runs of nobody", 60.0, _of_database(forgetting.forget_gone)),
    Duty("campaigns of nobody", 60.0, _of_database(forget_gone)),
)


class BackgroundWorker(QueueWorker):
    """One process of the background queue."""

    def __init__(self, settings: Settings, index: int = 0) -> None:
        super().__init__(settings, BACKGROUND, index, CONCURRENCY)
        self._secret = InstanceSecret.from_text(settings.secret.get_secret_value())
        self._background: Background | None = None
        self._clock: DatabaseClock | None = None
        self._flags: FlagWatch | None = None
        self._duties: asyncio.Task[None] | None = None
        self._hints = HintPublisher(settings.redis_url)
        for name in TASKS:
            self._register(name)

    @property
    def database(self) -> Database:
        """That of the duties."""
        assert self._background is not None
        return self._background.reports.database

    async def open(self) -> None:
        """Open the database and begin the duties."""
        database = Database(self.settings.database_url, self.settings.database_pool_size, f"postlane-{self.name}")
        await database.open()
        self._flags = FlagWatch(database)
        await self._flags.start()
        self._clock = DatabaseClock(database)
        await self._clock.start()
        self._hints.start()
        resolver = make_resolver(self.settings, known_providers(self.settings))
        tools = report_tools(self.settings, database, self._secret, remembered_keys(resolver.txt))
        signups = self._signups(database, self._clock)
        certificates = Certificates(self.settings.data_dir, PublicHost(self.settings.public_url, SystemClock()))
        self._background = Background(
            self.settings,
            tools,
            self._deliverer(database, self._clock),
            Sweeper(tools),
            signups,
            resolver,
            self._hints,
            certificates,
        )
        self._duties = asyncio.create_task(_do_duties(self._background), name="duties")

    async def close(self) -> None:
        """End the duties, close the database."""
        if self._duties is not None:
            await end([self._duties])
        if self._flags is not None:
            await self._flags.stop()
        if self._clock is not None:
            await self._clock.stop()
            self._hints.stop()
        if self._background is not None:
            await self._background.webhooks.close()
            await self._background.reports.database.close()

    def trouble(self) -> str:
        """For `/healthz`."""
        if self._duties is None:
            return "starting"
        return "the background duties have stopped" if self._duties.done() else ""

    def _deliverer(self, database: Database, clock: DatabaseClock) -> Deliverer:
        own = networks(self.settings.webhook_networks)
        return Deliverer(database, clock, self._secret, Sender(DnsClient(self.settings.dns_servers), own))

    def _signups(self, database: Database, clock: Clock) -> SignupTools:
        given = self.settings
        return SignupTools(
            database,
            clock,
            LinkSeal(self._secret),
            given.public_url,
            given.sandbox_domain,
            given.confirmation_days,
            given.confirmation_reminder_days,
            given.confirmation_pool,
            given.confirmations_an_hour,
        )

    def _register(self, name: str) -> None:
        def task(identifier: str) -> None:
            self._work(name, UUID(identifier))

        self.celery.task(name=name)(task)

    def _work(self, name: str, identifier: UUID) -> None:
        assert self._background is not None
        try:
            self.loop.run(self._do(name, identifier, self._background), TASK_SECONDS)
        except UnavailableError as error:
            _log.warning("background_task_waits", task=name, id=str(identifier), error=str(error))

    @staticmethod
    async def _do(name: str, identifier: UUID, background: Background) -> None:
        await TASKS[name](background, identifier)


def report_tools(settings: Settings, database: Database, secret: InstanceSecret, txt: Txt) -> ReportTools:
    """What working through reports needs, as the settings have it."""
    return ReportTools(
        database,
        secret,
        rules_in_force(settings),
        SystemClock(),
        soft_bounce_rule(settings),
        narrow_complaints(settings),
        txt,
        known_loops(settings),
    )


async def _do_duties(background: Background) -> None:
    agenda = Agenda(background.reports.database, DUTIES)
    while True:
        try:
            await do_all(DUTIES, background, agenda)
        except* UnavailableError as errors:
            _log.warning("background_waits_for_database", error=str(errors.exceptions[0]))
        await asyncio.sleep(AWAY_SECONDS)
