"""Was it a person? Opens and clicks judged by who asked, how, when, and what else was asked for. Pure.

Machines are marked, never dropped: their opens and clicks stand in the timeline with the reason. Who is known stands in
`machines.toml`; whoever is not known gives himself away: by the link that no person sees, by following three links of a
mail within seconds, by asking for the head only, by coming before the mail was delivered or in the second after it.

A proxy that loads pictures for a reader is named too, and counts as the reader.
"""

import tomllib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Final

from messages.link_tokens import Kind
from messages.model import MessageRef
from outcomes.hits import Hit

BURST_LINKS: Final = 3
BURST: Final = timedelta(seconds=3)
"""So many different links of one mail within so much time: no person reads that fast."""

TOO_SOON: Final = timedelta(seconds=1)
"""After delivery. Nobody has opened a mail that has not been shown to him."""

TRAPPED: Final = timedelta(seconds=60)
"""Around a visit to the hidden link, what the same mail's links bring is a machine's."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One entry of `machines.toml`."""

    name: str
    kind: str
    agents: tuple[str, ...]
    """In lower case."""
    exactly: str
    networks: tuple[IPv4Network | IPv6Network, ...]

    def is_it(self, agent: str, ip: str) -> bool:
        """Whether this is it, by what it calls itself or where it comes from."""
        lower = agent.lower()
        if (self.exactly and agent == self.exactly) or any(part in lower for part in self.agents):
            return True
        return bool(self.networks) and _within(ip, self.networks)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who did it."""

    machine: str | None = None
    """Why it is taken for a machine's; None: a person's."""
    proxy: str | None = None
    """Who asked in the person's place."""


class MachineBook:
    """All that are known."""

    def __init__(self, machines: tuple[Machine, ...]) -> None:
        self.machines = machines
        self.known = lru_cache(4096)(self._known)
        """What is known of a client, by what it calls itself and its IP."""

    def _known(self, agent: str, ip: str) -> Verdict:
        if not agent:
            return Verdict("no_name")
        found = next((machine for machine in self.machines if machine.is_it(agent, ip)), None)
        if found is None:
            return Verdict()
        return Verdict(proxy=found.name) if found.kind == "proxy" else Verdict(found.name)


@lru_cache(1)
def load_machines() -> MachineBook:
    """The shipped book."""
    with (Path(__file__).parent / "machines.toml").open("rb") as file:
        entries = tomllib.load(file)["machine"]
    return MachineBook(
        tuple(
            Machine(
                entry["name"],
                entry["kind"],
                tuple(text.lower() for text in entry.get("agent", ())),
                entry.get("exactly", ""),
                tuple(ip_network(text) for text in entry.get("networks", ())),
            )
            for entry in entries
        )
    )


def judge(
    hits: Sequence[Hit], around: Iterable[Hit], delivered: Mapping[MessageRef, datetime | None], book: MachineBook
) -> list[Verdict]:
    """A verdict for each hit. `around`: what was asked for shortly before and after, beside them. `delivered`: when
    each message was; None when it was not (yet)."""
    of_mail: dict[MessageRef, list[Hit]] = defaultdict(list)
    for hit in (*hits, *around):
        of_mail[hit.ref].append(hit)
    return [_verdict(hit, of_mail[hit.ref], delivered.get(hit.ref), book) for hit in hits]


def _verdict(hit: Hit, same_mail: Sequence[Hit], delivered: datetime | None, book: MachineBook) -> Verdict:
    known = book.known(hit.agent, hit.ip)
    if known.machine:
        return known
    reason = (
        "head_request" if hit.head
        else "hidden_link" if _is_trapped(hit, same_mail)
        else "all_links" if _is_burst(hit, same_mail)
        else "before_delivery" if delivered is None or hit.at < delivered
        else "too_soon" if hit.at - delivered < TOO_SOON
        else None
    )  # fmt: skip
    return Verdict(reason) if reason else known


def _is_trapped(hit: Hit, same_mail: Sequence[Hit]) -> bool:
    return hit.kind is Kind.TRAP or any(
        other.kind is Kind.TRAP and abs(other.at - hit.at) <= TRAPPED and _same_client(other, hit)
        for other in same_mail
    )


def _same_client(one: Hit, other: Hit) -> bool:
    """A scanner asks through several addresses under one name."""
    return one.ip == other.ip or one.agent == other.agent


def _is_burst(hit: Hit, same_mail: Sequence[Hit]) -> bool:
    if hit.kind is not Kind.CLICK:
        return False
    clicks = sorted((other.at, other.link) for other in same_mail if other.kind is Kind.CLICK)
    for start, (begin, _) in enumerate(clicks):
        if begin > hit.at:
            break
        if hit.at - begin <= BURST and len({link for at, link in clicks[start:] if at - begin <= BURST}) >= BURST_LINKS:
            return True
    return False


def _within(ip: str, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    try:
        address = ip_address(ip)
    except ValueError:
        return False
    return any(address in network for network in networks)
