"""How to enrol with the feedback loops and figures of large providers. Facts with their source; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Guide:
    """What somebody does at one provider, once."""

    provider: str
    by: str
    """What is enrolled: a domain, or IPs."""
    gives: str
    steps: Sequence[str]
    """May name `{domain}` and `{desk}`, the address that takes reports."""
    after: str
    command: str
    source: str


GUIDES: Final[Sequence[Guide]] = (
    Guide(
        "Google Postmaster Tools",
        "by domain",
        "Spam rate, authentication, and whether Google's rules for bulk senders are met, one-click unsubscribing"
        " included. The old charts of IP and domain reputation are gone since version 1 was switched off. There is no"
        " feedback loop with single complaints at Google.",
        (
            "Open postmaster.google.com with a Google account and add {domain}.",
            "Publish the TXT record that it shows, beside the records of this page, and confirm.",
            "Wait for mail: small days show nothing.",
        ),
        "Figures of its API can be brought in.",
        "postlane standing import google FILE",
        "developers.google.com/workspace/gmail/postmaster",
    ),
    Guide(
        "Microsoft SNDS and JMRP",
        "by IP",
        "SNDS shows the colour of each IP, complaints and trap hits at Outlook.com. JMRP sends a report for each"
        " complaint: headers only, with recipient and sender taken out; we find the mail by headers of our own.",
        (
            "Open the Smart Network Data Services of Microsoft, sign in, and ask for the IPs that send. Microsoft mails"
            " a link to the owner of the network, who confirms it.",
            "In the Junk Mail Reporting Program name {desk} as the address for reports.",
            "Attest again when asked: access ends after 10 months without. Links to report files live for 30 days.",
        ),
        "Reports that come to {desk} suppress who complained, by themselves. The CSV of SNDS can be brought in.",
        "postlane standing import snds FILE",
        "SNDS moved to a REST API with OAuth on 8 June 2026",
    ),
    Guide(
        "Yahoo Complaint Feedback Loop",
        "by DKIM domain",
        "A report (ARF) for each complaint about mail that is signed with {domain}, from Yahoo, AOL and those who use"
        " their mail. Insights show the complaint rate over mail that reached the inbox; 0.1 % is the line to stay"
        " below, 0.3 % is trouble.",
        (
            "Wait until the DKIM records of this page are found: Yahoo goes by the domain of the signature.",
            "Open senders.yahooinc.com, sign in, and add {domain}; confirm it as the page asks.",
            "Name {desk} as the address for reports. They come from feedback@arf.mail.yahoo.com.",
        ),
        "Reports that come to {desk} suppress who complained, by themselves. Figures can be brought in.",
        "postlane standing import yahoo FILE",
        "senders.yahooinc.com/faqs",
    ),
)


def guides(domain: str, hostname: str) -> list[Guide]:
    """With the names of this domain and this server."""
    names = {"domain": domain, "desk": f"fbl@{hostname}"}
    return [
        Guide(
            one.provider, one.by, one.gives.format(**names), [step.format(**names) for step in one.steps],
            one.after.format(**names), one.command, one.source,
        )
        for one in GUIDES
    ]  # fmt: skip
