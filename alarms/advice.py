"""What each kind of alarm means, and what to do about it: for people at three in the morning. Pure."""

from collections.abc import Mapping
from typing import Final

from alarms.model import AlarmKind

MEANING: Final[Mapping[AlarmKind, str]] = {
    AlarmKind.BLOCKLISTED: "A provider refuses mail because we are on a blocklist.",
    AlarmKind.LOCAL_ADDRESS: "One of our addresses cannot be used from this host.",
    AlarmKind.WARMUP_STALLED: "A warm-up makes no progress.",
    AlarmKind.RULES_FILE: "The operator's own reply rules cannot be read.",
    AlarmKind.WEBHOOK_DISABLED: "A webhook endpoint was switched off: it failed for days, or is gone.",
    AlarmKind.COMPLAINTS: "Too many recipients call this mail spam.",
    AlarmKind.HARD_BOUNCES: "Too many of the addresses written to do not exist.",
    AlarmKind.DELIVERED_SHARE: "A provider takes less of this mail than it did all week.",
    AlarmKind.QUEUE_AGE: "Mail is due and nobody sends it.",
    AlarmKind.IP_RESTING: "An IP has been resting at a provider for hours.",
    AlarmKind.POOL_RESTING: "All IPs of a pool rest at a provider at once: its mail there waits.",
    AlarmKind.SEED_MISSING: "Mail to one of our own test accounts does not reach its inbox.",
    AlarmKind.CERTIFICATE: "A certificate ends soon, or is not valid.",
    AlarmKind.DNS_RECORD: "A DNS record is not what it has to be.",
    AlarmKind.AUTOMATION: "An automation does not do what it is for.",
    AlarmKind.DOMAIN_LOST: "A sender domain lost its records and may not send.",
    AlarmKind.PROCESS_SILENT: "A process gives no sign of life: it was killed, hangs, or does not reach PostgreSQL.",
    AlarmKind.ALARM_MAIL: "Mail about alarms cannot be sent.",
}

WHAT_TO_DO: Final[Mapping[AlarmKind, str]] = {
    AlarmKind.BLOCKLISTED: "Read the reply in `postlane ips why IP`, ask the list for removal where it says, and look "
    "for what put us there: complaints, a new list, a stolen key.",
    AlarmKind.LOCAL_ADDRESS: "See whether the address is on this host (`ip addr`) or its proxy answers; "
    "`postlane doctor` tries both.",
    AlarmKind.WARMUP_STALLED: "`postlane warmup show IP` says what holds it: too little mail, or too many refusals.",
    AlarmKind.RULES_FILE: "Correct the line that is named; the rules before the edit stay in force until then.",
    AlarmKind.WEBHOOK_DISABLED: "Repair what answers there, enable the endpoint again, and replay what failed: "
    "`postlane webhooks --help`.",
    AlarmKind.COMPLAINTS: "Find the mail: `postlane reports --by tag --provider PROVIDER`. Stop the list or campaign "
    "it came from, and check that people asked for it and that its unsubscribe link works. A stream that was stopped "
    "goes on by itself; `postlane alarms breakers end` lets it go on at once.",
    AlarmKind.HARD_BOUNCES: "`postlane reports --by tag --stream STREAM` shows whose list it is. Stop it: an old or "
    "bought list costs the reputation of every IP it leaves through. Dead addresses are suppressed already.",
    AlarmKind.DELIVERED_SHARE: "`postlane reports --by hour --provider PROVIDER` shows since when, `postlane ips list` "
    "who rests there, `postlane messages list --state deferred` what the provider says.",
    AlarmKind.QUEUE_AGE: "Look whether workers run and reach the database (`postlane doctor`, their /healthz), and "
    "what `postlane queue` shows.",
    AlarmKind.IP_RESTING: "`postlane ips why IP` has the reply behind it. Its mail leaves through other IPs; if those "
    "rest too, send less there, or ask the provider's postmaster.",
    AlarmKind.POOL_RESTING: "`postlane throttles list` has the replies and when each returns, `postlane messages list "
    "--state deferred` the mail. Send less there until then. Only where the reason is gone: `postlane throttles "
    "override IP PROVIDER` lets an IP try at once.",
    AlarmKind.SEED_MISSING: "`postlane seeds show ADDRESS` has the last placements. In spam: look at what changed in "
    "content, volume or records. Missing: follow the mail with `postlane messages why`.",
    AlarmKind.CERTIFICATE: "Renew it: the file that is named, or what your TLS proxy shows for the host that is named.",
    AlarmKind.DNS_RECORD: "`postlane domains verify DOMAIN` shows the record that has to be there.",
    AlarmKind.AUTOMATION: "`postlane automations runs AUTOMATION` has the reason of each run. Change its steps, "
    "publish the template or verify the domain that is named; or disable it.",
    AlarmKind.DOMAIN_LOST: "`postlane domains verify DOMAIN` shows what has to be published; the domain sends again "
    "as soon as it is there.",
    AlarmKind.PROCESS_SILENT: "Look at its log and whether it runs (`docker compose ps`, `systemctl status`); one that "
    "hangs has to be killed, then its service starts it again. One that is gone on purpose is forgotten after a day; "
    "`postlane alarms ack ID` is silent until then. `postlane status` shows all processes.",
    AlarmKind.ALARM_MAIL: "`postlane alarms mail test` tries it now and says what the server answers.",
}


def meaning(kind: str) -> str:
    """What it means, in a sentence; "" for a kind of a newer version."""
    return MEANING.get(AlarmKind(kind), "") if kind in list(AlarmKind) else ""


def what_to_do(kind: str) -> str:
    """What to do; "" for a kind of a newer version."""
    return WHAT_TO_DO.get(AlarmKind(kind), "") if kind in list(AlarmKind) else ""
