"""Whether an address that somebody typed can be theirs: said to them at once, for it says nothing about whom we know.

A typo is asked about once: whoever gives the same address again means it. DNS has `PATIENCE`; without an answer nothing
is said against anybody.
"""

import asyncio
from typing import Final

from audience import checks
from audience.checks import MailRecords
from audience.checks import Problem as Found
from core.addresses import Mailbox
from mta.resolve import DnsUnavailableError
from pages.filled import Problem

PATIENCE: Final = 3.0
"""Seconds that somebody waits for DNS."""


async def spoken_against(records: MailRecords, box: Mailbox, sure: str) -> Problem | None:
    """What is wrong with it for its reader. `sure` is the address that they gave before, and were asked about."""
    seen = checks.seen(box.wire)
    if seen.suggestion and sure != box.wire:
        return Problem("email", "signup.wrong.typo", {"suggestion": seen.suggestion})
    if Found.DISPOSABLE in seen.problems:
        return Problem("email", "signup.wrong.disposable", {"domain": box.domain})
    if await _takes_no_mail(records, box.domain):
        return Problem("email", "signup.wrong.domain", {"domain": box.domain})
    return None


async def _takes_no_mail(records: MailRecords, domain: str) -> bool:
    try:
        async with asyncio.timeout(PATIENCE):
            return await checks.trouble_of(records, domain) in checks.DEAD
    except (DnsUnavailableError, TimeoutError):
        return False
