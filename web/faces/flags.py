"""Feature flags as JSON. Pure; fields as in `api/schemas/flags`."""

from flags.repository import Setting
from flags.service import State


def flag_face(state: State) -> dict[str, object]:
    """A flag as `FlagAnswer`."""
    flag, setting = state.flag, state.setting
    return {
        "object": "flag",
        "id": flag.name,
        "name": flag.name,
        "percent": state.percent,
        "meaning": flag.meaning,
        "off": flag.off,
        "share_of": flag.by,
        "default": flag.default,
        "owner": flag.owner,
        "introduced": flag.introduced,
        "until": flag.until,
        "changed_at": setting.at if setting else None,
        "changed_by": setting.by if setting else None,
        "reason": setting.reason or None if setting else None,
        "applications": [_own_face(one) for one in state.own],
    }


def _own_face(one: Setting) -> dict[str, object]:
    return {
        "application_id": one.application_id,
        "application": one.application,
        "percent": one.percent,
        "changed_at": one.at,
        "changed_by": one.by,
        "reason": one.reason or None,
    }
