"""Users of the console as JSON. Pure."""

from accounts.users import User


def user_face(user: User) -> dict[str, object]:
    """A user, without secrets."""
    return {
        "object": "user",
        "id": user.id,
        "email": user.email,
        "name": user.name,
        "role": user.role,
        "applications": list(user.applications),
        "state": "disabled" if user.disabled_at else "enabled" if user.has_password else "invited",
        "second_factor": user.has_totp,
        "created_at": user.created_at,
        "signed_in_at": user.signed_in_at,
    }


def user_audit(user: User) -> dict[str, object]:
    """What the audit log compares."""
    face = user_face(user)
    return {name: face[name] for name in ("name", "role", "applications", "second_factor")} | {
        "disabled": user.disabled_at is not None
    }
