"""Our IPs as JSON. Pure."""

from collections.abc import Mapping, Sequence

from mta.via import masked
from pools.ip_history import Line
from pools.ip_status import IpStatus
from pools.reputation import Evidence, reputation
from pools.reputation_repository import Imported
from web.faces.throttles import throttle_face


def ip_face(one: IpStatus) -> dict[str, object]:
    """An IP as `IpAnswer`. The password of a proxy stays inside."""
    warming = one.warming
    return {
        "object": "ip",
        "id": one.ip.address,
        "address": one.ip.address,
        "ehlo_name": one.ip.ehlo_name,
        "bind_address": one.ip.bind_address,
        "via": masked(one.ip.via),
        "limits": one.ip.limits,
        "state": one.state,
        "paused_reason": None if one.ip.active else one.ip.paused_reason,
        "pools": one.pools,
        "warmup": warming
        and {
            "state": warming.state,
            "plan": warming.plan,
            "stage": warming.stage,
            "stages": warming.stages,
            "tracks": warming.tracks,
        },
        "throttles": [throttle_face(row) for row in one.throttles],
        "today": one.uses,
        "created_at": one.ip.created_at,
        "changed_at": one.ip.changed_at,
    }


def story_face(one: IpStatus, site: str, now: Sequence[str], changes: Sequence[Line]) -> dict[str, object]:
    """How an IP stands and came to that, at a site or ("") everywhere, as `StoryAnswer`."""
    return {"object": "story", "ip": one.ip.address, "provider": site or None, "now": now, "changes": changes}


def reputation_face(
    ip: str, days: int, found: Mapping[str, Evidence], imported: Sequence[Imported]
) -> dict[str, object]:
    """How good an IP's name is at each provider, and what others say, as `ReputationAnswer`."""
    return {
        "object": "reputation",
        "ip": ip,
        "days": days,
        "providers": [_judged(provider, evidence) for provider, evidence in found.items()],
        "imported": [imported_face(one) for one in imported],
    }


def imported_face(one: Imported) -> dict[str, object]:
    """A figure somebody else gave, as `ImportedAnswer`."""
    return {"provider": one.provider, "source": one.source, "figure": one.figure, "note": one.note, "at": one.at}


def _judged(provider: str, evidence: Evidence) -> dict[str, object]:
    judged = reputation(evidence)
    return {
        "provider": provider,
        "score": judged.score,
        "reason": judged.reason,
        "parts": judged.parts,
        "evidence": evidence,
    }
