"""What is done for pools by the clock: warm-ups are judged, figures shown, the reply rules looked at."""

from datetime import UTC, datetime

from prometheus_client import Gauge

from alarms.model import AlarmKind
from alarms.repository import clear_alarms, open_alarms, raise_alarm
from core.logs import get_logger
from mta.rule_book import RuleBook
from pools import assignments, throttle_repository
from store.database import Database
from warmup import duty, status
from warmup.model import WarmupState

_log = get_logger(__name__)

RULES_SUBJECT = "POSTLANE_RULES_FILE"

HEALTH = Gauge(
    "postlane_ip_health",
    "State of an IP (kind ip) or sending domain at a provider: 3 rests, 2 probing, 1 recovering; absent when healthy",
    ["kind", "subject", "provider", "state"],
)
RATE = Gauge(
    "postlane_rate_in_force", "Messages/s that an IP or sending domain may send on its way back; 0 while it rests",
    ["kind", "subject", "provider"],
)  # fmt: skip
WARMUP_CAP = Gauge("postlane_warmup_cap", "Mails a warming IP may carry today", ["ip", "provider"])
WARMUP_USED = Gauge("postlane_warmup_used", "Mails granted to a warming IP today", ["ip", "provider"])
WARMUP_STAGE = Gauge("postlane_warmup_stage", "Stage of a warming IP", ["ip", "provider"])
ALARMS = Gauge("postlane_alarms_open", "Open alarms", ["kind"])


async def judge_warmups(database: Database) -> None:
    """Move, hold or step back every warm-up whose day has ended."""
    async with database.connection() as connection:
        for change in await duty.evaluate_due(connection):
            _log.info(
                "warmup_change", ip=change.ip, track=change.track, change=change.change, reason=change.reason,
                from_stage=change.from_stage, to_stage=change.to_stage,
            )  # fmt: skip


async def show_pools(database: Database) -> None:
    """Set the gauges of rests, rates, allowances and alarms."""
    async with database.connection() as connection:
        figures = await throttle_repository.figures(connection)
        warming = await status.status(connection, datetime.now(UTC))
        opened = await open_alarms(connection)
    forget_figures()
    for figure in figures:
        HEALTH.labels(figure.kind, figure.subject, figure.site, figure.state.value).set(figure.severity)
        RATE.labels(figure.kind, figure.subject, figure.site).set(figure.rate)
    for ip in warming:
        for track in ip.tracks if ip.state is not WarmupState.COMPLETE else ():
            if track.cap is not None:
                WARMUP_CAP.labels(ip.ip, track.track).set(track.cap)
                WARMUP_USED.labels(ip.ip, track.track).set(track.used)
                WARMUP_STAGE.labels(ip.ip, track.track).set(track.stage)
    for kind in {alarm.kind for alarm in opened}:
        ALARMS.labels(kind).set(sum(alarm.kind == kind for alarm in opened))


def forget_figures() -> None:
    """Show none: they are looked at anew, or by whoever leads now."""
    for gauge in (HEALTH, RATE, WARMUP_CAP, WARMUP_USED, WARMUP_STAGE, ALARMS):
        gauge.clear()


async def watch_rules(database: Database, rules: RuleBook) -> None:
    """Tell of an edit of the operator's reply rules that cannot be read; those before it stay in force everywhere."""
    before = rules.trouble
    rules.refresh()
    async with database.transaction() as connection:
        if rules.trouble and rules.trouble != before:
            await raise_alarm(connection, AlarmKind.RULES_FILE, RULES_SUBJECT, rules.trouble)
        elif not rules.trouble:  # also when another scheduler raised it, before a restart
            await clear_alarms(connection, [AlarmKind.RULES_FILE], RULES_SUBJECT)


async def forget_gone(database: Database) -> None:
    """Drop what is remembered about IPs, domains and applications that are there no more. A worker may have heard a
    reply for an IP after it was removed."""
    async with database.transaction() as connection:
        await throttle_repository.forget_gone(connection)
        await assignments.forget_gone(connection)
