"""Seed accounts and their probes as JSON. Pure."""

from collections.abc import Sequence

from alarms.seeds import Probe, Seed, shares


def seed_face(seed: Seed) -> dict[str, object]:
    """A seed account as `SeedAnswer`; its password is never shown."""
    return {
        "object": "seed",
        "id": seed.id,
        "address": seed.address,
        "provider": seed.provider,
        "host": seed.host,
        "port": seed.port,
        "tls": seed.tls,
        "login": seed.login,
        "sender": seed.sender,
        "stream": seed.lane,
        "every_minutes": seed.every_minutes,
        "active": seed.active,
        "created_at": seed.created_at,
        "trouble": seed.trouble or None,
        "probed_at": seed.probed_at,
        "placement": seed.placement,
        "folder": seed.folder or None,
    }


def seed_detail(seed: Seed, probes: Sequence[Probe]) -> dict[str, object]:
    """A seed account with its last probes, as `SeedDetail`."""
    return {**seed_face(seed), "placements": shares(probes), "probes": [probe_face(probe) for probe in probes]}


def probe_face(probe: Probe) -> dict[str, object]:
    """One mail to a seed account."""
    return {
        "sent_at": probe.sent_at,
        "placement": probe.placement,
        "folder": probe.folder or None,
        "found_at": probe.found_at,
        "email_id": probe.email_id,
    }
