"""Our IPs as JSON. Pure."""

from mta.via import masked
from pools.ip_status import IpStatus
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
