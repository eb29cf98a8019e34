"""What `postlane campaigns` says of checks and forecasts: a table of findings, and when a campaign will be out."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from campaigns.checking.model import Checks, People
from campaigns.forecast import HELD, Forecast, Hold
from campaigns.forecasting import Tools
from campaigns.model import Campaign
from cli import context
from cli.output import Column, print_table, tell
from mta.from_settings import known_providers, make_resolver
from store.database import Database

_FINDINGS: Final = (
    Column("severity", style="bold", drop=0),
    Column("code", "check", drop=2),
    Column("found", "found, and what to do", wrap=True, drop=0),
)
_PROVIDERS: Final = (
    Column("provider", style="bold"),
    Column("people"),
    Column("ends", "is out"),
    Column("held_by", "held by", drop=2),
)
_WEEK: Final = timedelta(days=6)


def tools(database: Database) -> Tools:
    """What checks ask with, for one command."""
    settings = context.settings()
    providers = known_providers(settings)
    secret = context.instance_secret(settings)
    return Tools(settings, secret, database, make_resolver(settings, providers), providers)


def show_checks(found: Checks, campaign: Campaign) -> None:
    """All findings, whom it would reach, and when it would be out."""
    rows = [
        {"severity": one.severity, "code": one.code, "found": f"{one.found} {one.advice}"} for one in found.findings
    ]
    print_table(rows, _FINDINGS, empty="Nothing was found that anybody would mind.")
    if found.people.total:
        tell(_people(found.people))
    if found.forecast is not None:
        show_forecast(found.forecast, campaign)


def show_forecast(found: Forecast, campaign: Campaign) -> None:
    """By provider where there are several, and the end of all."""
    zone = zone_of(campaign)
    if len(found.providers) > 1:
        print_table(
            [
                {
                    "provider": one.provider, "people": f"{one.people:,}",
                    "ends": moment(one.ends_at, found.starts_at, zone),
                    "held_by": HELD[one.held_by] if one.held_by else "",
                }
                for one in found.providers
            ],
            _PROVIDERS,
        )  # fmt: skip
    tell(ends_in_words(found, zone))


def ends_in_words(found: Forecast, zone: str) -> str:
    """One sentence: at today's ramp this ends on Thursday 14:00. Where no ramp holds it none is named."""
    return f"{_end(found, zone)}{_put_off(found, zone)}"


def _end(found: Forecast, zone: str) -> str:
    if not found.people and found.put_off:
        return "All of it has left but for those who were put off."
    if found.at_pace is not None and found.pace is not None:
        minutes = round(found.pace.over.total_seconds() / 60)
        return f"At the pace of the last {minutes} min this ends about {moment(found.at_pace, found.starts_at, zone)}."
    begins = "At today's ramp this" if found.held_by is Hold.RAMP else "This"
    held = f", held by {HELD[found.held_by]}" if found.held_by else ""
    if found.ends_at is None:
        return f"{begins} is not out within 90 days{held}."
    told = moment(found.ends_at, found.starts_at, zone)
    return f"{begins} ends {'' if told.startswith('today') else 'on '}{told}{held}."


def _put_off(found: Forecast, zone: str) -> str:
    if found.put_off is None:
        return ""
    verb = "was put off and is" if found.put_off.people == 1 else "were put off and are"
    by = f", next try by {moment(found.put_off.until, found.starts_at, zone)}" if found.put_off.until else " later"
    return f" {found.put_off.people:,} {verb} tried again{by}."


def moment(at: datetime | None, since: datetime, zone: str) -> str:
    """A day of this week by its name, a later one by its date; with the zone that its hours are of."""
    if at is None:
        return "not within 90 days"
    local = at.astimezone(ZoneInfo(zone))
    if local.date() == since.astimezone(ZoneInfo(zone)).date():
        return f"today {local:%H:%M} {zone}"
    day = f"{local:%A}" if at - since < _WEEK else f"{local:%Y-%m-%d}"
    return f"{day} {local:%H:%M} {zone}"


def zone_of(campaign: Campaign) -> str:
    """The zone that its times are told in: that of its window or its plan."""
    return campaign.plan.window.zone if campaign.plan.window is not None else campaign.plan.zone


def _people(found: People) -> str:
    about = "" if found.exact else "about "
    skipped = sorted(found.skipped.items(), key=lambda one: -one[1])
    why = ", ".join(f"{n:,} {reason.replace('_', ' ')}" for reason, n in skipped)
    return f"{found.total:,} people, of whom {about}{found.reached:,} may get it{f' ({why})' if why else ''}."
