"""The nouns of the console, in one list: where a new folder takes its place.

A noun is a module with a `NOUN`: its router, its lines in the navigation, and whatever the search jumps to.
"""

from collections.abc import Sequence
from typing import Final

from console import (
    account,
    alarms,
    applications,
    audit,
    automations,
    bounces,
    campaigns,
    domains,
    flags,
    forms,
    ips,
    jump,
    keys,
    logs,
    messages,
    overview,
    people,
    pools,
    providers,
    reports,
    sandbox,
    seeds,
    segments,
    sign_in,
    snippets,
    suppressions,
    system,
    templates,
    topics,
    users,
    warmup,
    webhooks,
)
from console.menu import add
from console.noun import Noun

NOUNS: Final[Sequence[Noun]] = (
    overview.NOUN,
    domains.NOUN,
    messages.NOUN,
    applications.NOUN,
    keys.NOUN,
    snippets.NOUN,
    webhooks.NOUN,
    sandbox.NOUN,
    logs.NOUN,
    campaigns.NOUN,
    automations.NOUN,
    people.NOUN,
    segments.NOUN,
    templates.NOUN,
    topics.NOUN,
    forms.NOUN,
    ips.NOUN,
    pools.NOUN,
    warmup.NOUN,
    users.NOUN,
    audit.NOUN,
    account.NOUN,
    providers.NOUN,
    suppressions.NOUN,
    bounces.NOUN,
    alarms.NOUN,
    seeds.NOUN,
    reports.NOUN,
    system.NOUN,
    flags.NOUN,
    sign_in.NOUN,
    jump.NOUN,
)
"""Every one of them. Routes are looked for in this order."""

for _noun in NOUNS:
    for _entry in _noun.menu:
        add(_entry)
