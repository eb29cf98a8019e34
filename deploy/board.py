"""The Grafana board, `deploy/grafana/postlane.json`, as rows of panels. Written by `python -m deploy.watching`.

Grafana's JSON says every panel in forty lines; here one is its title, what it answers, its queries and its unit.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

_WIDTH: Final = 24
"""Columns of Grafana's grid."""
_HEIGHT: Final = 8
_SOURCE: Final = {"type": "prometheus", "uid": "${source}"}
_SOURCES: Final = {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}
"""Which Prometheus is asked is chosen at the head of the board."""
_SCHEMA: Final = 38
"""Of Grafana 10.1; later ones migrate it when they load it."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart: lines over time."""

    title: str
    answers: str
    unit: str
    """As Grafana names it: short, s, reqps, percentunit."""
    queries: Sequence[tuple[str, str]]
    """Expression, and what its lines are called."""
    width: int = 8


def _rate(metric: str, by: str, where: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{where}[$__rate_interval]))"


def _share(metric: str, by: str, where: str) -> str:
    return f"{_rate(metric, by, where)} / {_rate(metric, by)}"


def _within(share: float, metric: str, by: str = "", where: str = "") -> str:
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, {_rate(f'{metric}_bucket', labels, where)})"


def _spread(metric: str, by: str = "", where: str = "") -> list[tuple[str, str]]:
    """Its p50, p95 and p99."""
    called = f"{{{{{by}}}}} " if by else ""
    return [(_within(share, metric, by, where), f"{called}p{share * 100:.0f}") for share in (0.5, 0.95, 0.99)]


ROWS: Final[Sequence[tuple[str, Sequence[Panel]]]] = (
    (
        "Is mail flowing?",
        (
            Panel(
                "Delivered", "Mails that a server took, per second.", "short",
                [(_rate("postlane_accepted_to_delivered_seconds_count", "lane"), "{{lane}}")],
            ),
            Panel(
                "From acceptance to delivery", "How long mail takes until its server has it.", "s",
                _spread("postlane_accepted_to_delivered_seconds", "lane"),
            ),
            Panel(
                "On its way", "Mail in the queue, scheduled and put off included.", "short",
                [("max by (lane) (postlane_queue_messages)", "{{lane}}")],
            ),
            Panel(
                "Oldest due mail", "How long due mail has waited; alarms at 60 s and an hour.", "s",
                [("max by (lane) (postlane_queue_oldest_due_seconds)", "{{lane}}")],
            ),
            Panel(
                "Outcomes", "What became of attempts, per second; `repeat` was told before.", "short",
                [(_rate("postlane_outcomes_committed_total", "result"), "{{result}}")],
            ),
            Panel(
                "Open alarms", "`postlane alarms list` says what, and what to do.", "short",
                [("max by (kind) (postlane_alarms_open)", "{{kind}}")],
            ),
        ),
    ),
    (
        "How do providers treat us?",
        (
            Panel(
                "Replies by verdict", "What servers said, per second.", "short",
                [(_rate("postlane_smtp_replies_total", "verdict"), "{{verdict}}")],
            ),
            Panel(
                "Not delivered, by provider", "Share of the replies that were no 250.", "percentunit",
                [
                    (
                        _share("postlane_smtp_replies_total", "provider", '{verdict!="delivered"}'),
                        "{{provider}}",
                    )
                ],
            ),
            Panel(
                "Throttled or blocked, by IP", "Share of an IP's replies at a provider.", "percentunit",
                [
                    (
                        _share("postlane_smtp_replies_total", "ip, provider", '{verdict=~"throttle_ip|block"}'),
                        "{{ip}} at {{provider}}",
                    )
                ],
            ),
            Panel(
                "What rests", "3 rests, 2 is tried again, 1 recovers; nothing is healthy.", "short",
                [("max by (subject, provider) (postlane_ip_health)", "{{subject}} at {{provider}}")],
            ),
            Panel(
                "Rate of what comes back", "Mails a second that it may send; 0 while it rests.", "short",
                [("max by (subject, provider) (postlane_rate_in_force)", "{{subject}} at {{provider}}")],
            ),
            Panel(
                "Replies that made something rest", "Per second, by their class.", "short",
                [(_rate("postlane_throttles_total", "site, class"), "{{class}} at {{site}}")],
            ),
            Panel(
                "Warm-up: used of the day's allowance", "1 is all of it; above it no IP goes.", "percentunit",
                [
                    (
                        "max by (ip, provider) (postlane_warmup_used) / max by (ip, provider) (postlane_warmup_cap)",
                        "{{ip}} at {{provider}}",
                    )
                ],
            ),
            Panel(
                "Warm-up: stage", "Rises while days are used and healthy.", "short",
                [("max by (ip, provider) (postlane_warmup_stage)", "{{ip}} at {{provider}}")],
            ),
            Panel(
                "Held for want of an IP", "Mails put back because no IP could take them, per second.", "short",
                [(_rate("postlane_held_total", "lane"), "{{lane}}")],
            ),
        ),
    ),
    (
        "Do the doors answer?",
        (
            Panel(
                "Requests to the API", "Per second, by route.", "reqps",
                [(_rate("postlane_api_seconds_count", "route"), "{{route}}")],
            ),
            Panel("Time to answer, by class", "All processes of API and public pages; what each class may take.", "s",
                  [
                      (_within(0.99, "postlane_route_seconds", "class"), "{{class}} p99"),
                      (_within(0.5, "postlane_route_seconds", "class"), "{{class}} p50"),
                      ("max by (class) (postlane_objective_seconds)", "{{class}} objective"),
                  ]),
            Panel("Error budget left", "Of 30 days: 1 is untouched, 0 spent.", "percentunit",
                  [("min by (class) (postlane_error_budget_left)", "{{class}}")]),
            Panel("Answers that missed their objective", "Late or failed, of all; against the share that may be.",
                  "percentunit",
                  [
                      (f"{_rate('postlane_route_missed_total', 'class')}"
                       f" / {_rate('postlane_route_seconds_count', 'class')}", "{{class}}"),
                      ("1 - max by (class) (postlane_objective_share)", "{{class}} may"),
                  ]),
            Panel("Slowest routes, p95", "Of all processes.", "s",
                  [(f"topk(10, {_within(0.95, 'postlane_route_seconds', 'method, route')})", "{{method}} {{route}}")]),
            Panel("Routes that fail", "Answers of 500 and above, of all processes.", "reqps",
                  [(_rate("postlane_route_failed_total", "method, route"), "{{method}} {{route}}")]),
            Panel("API: time to answer", "All routes of the process that was scraped.", "s",
                  _spread("postlane_api_seconds")),
            Panel(
                "API: answers of 500 and above", "503 is PostgreSQL away, 500 a bug: the log has it.", "reqps",
                [(_rate("postlane_api_answers_total", "route, status", '{status=~"5.."}'), "{{status}} {{route}}")],
            ),
            Panel("Public pages: time to answer", "Unsubscribing, preferences, sign-up.", "s",
                  _spread("postlane_public_seconds")),
            Panel("Pixels and links: time to answer", "Opens and clicks of mail.", "s",
                  _spread("postlane_link_seconds", "kind")),
            Panel("Console: time to answer", "Pages for people.", "s", _spread("postlane_console_seconds")),
            Panel(
                "Public pages and console: answers", "Per second, by status.", "reqps",
                [
                    (_rate("postlane_public_answers_total", "status"), "public {{status}}"),
                    (_rate("postlane_console_answers_total", "status"), "console {{status}}"),
                ],
            ),
            Panel(
                "Mail that comes in", "Bounces and submissions, per second, by reply.", "short",
                [(_rate("postlane_inbound_mails_total", "listener, code"), "{{listener}} {{code}}")],
            ),
            Panel(
                "SMTP connections of clients", "Open at this moment.", "short",
                [("sum by (listener) (postlane_inbound_connections)", "{{listener}}")],
            ),
        ),
    ),
    (
        "Where does the time go?",
        (
            Panel("Steps of the delivery, p99", "For a batch or a part of it, but `send`: that is one mail.", "s",
                  [(_within(0.99, "postlane_step_seconds", "lane, step"), "{{lane}} {{step}}")]),
            Panel("Time spent in steps", "Seconds a second, all workers together.", "short",
                  [(_rate("postlane_step_seconds_sum", "step"), "{{step}}")]),
            Panel("Commits of outcomes", "Many outcomes each.", "s", _spread("postlane_outcome_commit_seconds")),
            Panel("Slowest statements, p99", "PostgreSQL, by what a statement is for.", "s",
                  [(f"topk(10, {_within(0.99, 'postlane_statement_seconds', 'family')})", "{{family}}")]),
            Panel("Time spent in statements", "Seconds a second, all processes together.", "short",
                  [(f"topk(10, {_rate('postlane_statement_seconds_sum', 'family')})", "{{family}}")]),
            Panel("Statements", "Per second; `commit` and `connection` (waiting for one) are counted, too.", "short",
                  [(f"topk(10, {_rate('postlane_statement_seconds_count', 'family')})", "{{family}}")]),
            Panel("Claimed", "Mails a second that workers took up.", "short",
                  [(_rate("postlane_claimed_total", "lane"), "{{lane}}")]),
            Panel(
                "In workers' hands", "Mail that was claimed, and outcomes that wait for their commit.", "short",
                [
                    ("sum by (process) (postlane_in_flight)", "{{process}} in flight"),
                    ("sum by (process) (postlane_outcomes_uncommitted)", "{{process}} uncommitted"),
                ],
            ),
            Panel("SMTP sessions", "Open connections to other servers.", "short",
                  [("sum by (process) (postlane_smtp_sessions)", "{{process}}")]),
            Panel("Hints to workers", "Per second; `lost` is Valkey away.", "short",
                  [(_rate("postlane_hints_total", "lane, result"), "{{lane}} {{result}}")]),
            Panel(
                "Due scans and due destinations", "One scan a second; none is no scheduler.", "short",
                [
                    ("sum(rate(postlane_scans_total[$__rate_interval]))", "scans a second"),
                    ("max by (lane) (postlane_queue_destinations_due)", "{{lane}} destinations"),
                ],
            ),
            Panel(
                "Replies that did not come", "Mail whose last dot was sent: it may go twice.", "short",
                [(_rate("postlane_uncertain_total", "lane"), "{{lane}}")],
            ),
        ),
    ),
    (
        "Does everybody hear?",
        (
            Panel("Webhooks", "Requests a second, by result.", "reqps",
                  [(_rate("postlane_webhook_attempts_total", "result"), "{{result}}")]),
            Panel("Webhooks: time to answer", "Of the applications' own servers.", "s",
                  _spread("postlane_webhook_seconds")),
            Panel("Bounce reports", "Worked through per second, by what they were.", "short",
                  [(_rate("postlane_inbound_reports_total", "result"), "{{result}}")]),
            Panel(
                "Opens and clicks", "Per second, and files of them that wait for the database.", "short",
                [
                    (_rate("postlane_hits_total", "kind, fate"), "{{kind}} {{fate}}"),
                    ("sum(postlane_hit_segments)", "files that wait"),
                ],
            ),
            Panel("Captured", "Test mail that stayed here, per second.", "short",
                  [(_rate("postlane_captured_total", "lane"), "{{lane}}")]),
            Panel("Flags that are switched", "Percent of its use for which a flag is on.", "short",
                  [("min by (flag) (postlane_flag_percent)", "{{flag}}")]),
            Panel("Age of what is known of flags", "Processes read the switches every two seconds.", "s",
                  [("max by (process) (time() - postlane_flags_read_timestamp_seconds)", "{{process}}")]),
            Panel("Traces", "Spans per second; `dropped` and `failed` cost no mail.", "short",
                  [(_rate("postlane_trace_spans_total", "result"), "{{result}}")]),
            Panel("Request log", "Requests a second that it had no room for.", "short",
                  [("sum(rate(postlane_request_log_dropped_total[$__rate_interval]))", "dropped")]),
        ),
    ),
)  # fmt: skip


def board() -> dict[str, Any]:
    """What Grafana imports."""
    return {
        "uid": "postlane",
        "title": "Postlane",
        "description": "Written by `python -m deploy.watching` from deploy/board.py: change it there.",
        "tags": ["postlane", "mail"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_SOURCES]},
        "annotations": {"list": [_alerts()]},
        "panels": [{"id": number, **panel} for number, panel in enumerate(_laid_out(), 1)],
    }


def _alerts() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "datasource": _SOURCE,
        "enable": True,
        "iconColor": "red",
        "expr": 'ALERTS{alertname=~"Postlane.*",alertstate="firing"}',
    }


def _laid_out() -> Iterator[dict[str, Any]]:
    """Rows from top to bottom, panels from left to right."""
    y = 0
    for title, panels in ROWS:
        yield {"type": "row", "title": title, "collapsed": False, "gridPos": _place(0, y, _WIDTH, 1), "panels": []}
        x, y = 0, y + 1
        for panel in panels:
            if x + panel.width > _WIDTH:
                x, y = 0, y + _HEIGHT
            yield _panel(panel, _place(x, y, panel.width, _HEIGHT))
            x += panel.width
        y += _HEIGHT


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}


def _panel(panel: Panel, place: dict[str, int]) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "description": panel.answers,
        "datasource": _SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "custom": {"fillOpacity": 8}}, "overrides": []},
        "options": {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": _SOURCE, "expr": expression, "legendFormat": called}
            for number, (expression, called) in enumerate(panel.queries)
        ],
    }
