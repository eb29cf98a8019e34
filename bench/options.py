"""What a run of the benchmark may be told, with the sizes of its two presets.

Pure. Made by `bench/__main__` from the command line, read by everything else, written into the JSON.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Options:
    """Sizes are messages, rows or entries; times are seconds."""

    messages: int = 20_000
    """Of one run of `delivered_per_s`."""
    runs: int = 3
    postfix_messages: int = 5_000
    """Postfix with OpenDKIM is slower: fewer messages give the same seconds."""
    postfix_inet_messages: int = 3_000
    """The same with OpenDKIM on a TCP socket, which is slower again."""
    cost_messages: int = 20_000
    """Whose cost is counted; a quarter of them one by one."""
    limits_messages: int = 7_000
    """Of one side of one pair of `limits_ratio`."""
    limits_runs: int = 5
    """Pairs of `limits_ratio`: a ratio near one wants many of them, each short, so that both see the same machine."""
    reroute_messages: int = 1_500
    """Of one round of `reroute_ms_*`; a round throttles one IP."""
    reroute_rounds: int = 3
    """Rounds of one run on each stack: a provider takes few connections, so a round meets few throttles."""
    batch_messages: int = 30_000
    """Of one run of `api_batch_per_s`."""
    reports: int = 6_000
    """Of one run of `dsn_per_s`."""
    beside_seconds: float = 60.0
    """How long reports come in during `dsn_beside_sending`."""
    beside_messages: int = 4_000
    """Of one part of the mail sent meanwhile."""
    single_seconds: float = 6.0
    """Length of one run of `api_single_per_s`."""
    webhook_events: int = 20_000
    """Of one run of `webhook_events_per_s`."""
    told_messages: int = 8_000
    """Of one side of one pair of `told_tracked_ratio`."""
    told_runs: int = 7
    """Pairs of it: for the same reason as of `limits_ratio`."""
    contacts: int = 1_000_000
    """People of the application whose campaigns are measured."""
    campaign_people: int = 100_000
    """Of the campaign that is sent to its end."""
    import_lines: int = 200_000
    """Of one run of `import_rows_per_s`."""
    counted_messages: int = 10_000_000
    """Whose counters `report_ms` is asked of."""
    counted_domains: int = 1_000
    """Sender domains of them."""
    report_asks: int = 7
    """Of each report of `report_ms`."""
    messages_stored: int = 2_000_000
    """Whose pages `page_ms` asks for."""
    page_asks: int = 20
    """Of each page."""
    latency_seconds: float = 15.0
    """Length of one run of the transactional latency."""
    window_seconds: float = 8.0
    """Length of one throughput window of `backlog_ratio`."""
    backlog: int = 2_000_000
    """Messages queued in the deep queue."""
    shallow: int = 10_000
    """Messages queued in the queue it is compared with."""
    loaded_backlog: int = 1_000_000
    """Marketing messages due during `tx_loaded_*`, when the deep queue is not there anyway."""
    suppressions: int = 1_000_000
    """Entries loaded during every figure but `suppression_cost`."""
    many_suppressions: int = 10_000_000
    """Entries of the long list of `suppression_cost`."""
    other_suppressions: int = 400_000
    """Further entries of it: hashes, domains, and for one stream or topic; and choices of people."""
    listed_lines: int = 500_000
    """Of the list that is imported into it."""
    claims: int = 300
    """Claims timed by `suppression_cost`, on each list."""
    domains: int = 1_000
    """Recipient domains, each with a mail server of its own name: so many sites, as limits and health count."""
    marketing_workers: int = 2
    batch_clients: int = 2
    """HTTP connections that post batches."""
    folder: Path = Path("build/bench")
    """For databases, queues and logs; must be on a disk, for fsync to mean something."""


BATCH = 1_000
"""Emails of one `POST /emails/batch`."""
SINGLE_CLIENTS = 32
LATENCY_RATE = 40.0
"""Transactional mails a second."""
MARKETING_ONLY = 200
"""Marketing mails a claim takes: the product's default `claim_batch`, used where a claim is timed by itself."""


def quick(folder: Path) -> Options:
    """Sizes for a look in about three minutes. The figures are rougher, and JSON and table say so."""
    return Options(
        messages=6_000,
        runs=1,
        postfix_messages=2_000,
        postfix_inet_messages=1_000,
        cost_messages=6_000,
        limits_messages=6_000,
        limits_runs=1,
        reroute_messages=1_000,
        reroute_rounds=2,
        batch_messages=10_000,
        reports=2_000,
        beside_seconds=4.0,
        beside_messages=2_000,
        single_seconds=3.0,
        webhook_events=5_000,
        told_messages=3_000,
        told_runs=1,
        contacts=100_000,
        campaign_people=6_000,
        import_lines=50_000,
        counted_domains=100,
        report_asks=3,
        messages_stored=100_000,
        page_asks=3,
        latency_seconds=6.0,
        window_seconds=4.0,
        backlog=200_000,
        loaded_backlog=200_000,
        suppressions=100_000,
        many_suppressions=1_000_000,
        other_suppressions=40_000,
        listed_lines=100_000,
        claims=60,
        folder=folder,
    )
