"""API keys as JSON; the token is in the answer that makes a key and nowhere else. Pure."""

from accounts.repository import ApiKey


def key_face(key: ApiKey) -> dict[str, object]:
    """A key as `KeyAnswer`."""
    return {
        "id": key.id,
        "name": key.name,
        "created_at": key.created_at,
        "last_used_at": key.last_used_at,
        "permission": key.permission,
        "domain_id": key.domain_id,
        "hint": key.hint,
        "test": key.test,
    }


def key_audit(key: ApiKey) -> dict[str, object]:
    """What somebody decided about it, for the audit log."""
    return {
        "name": key.name,
        "begins_with": key.hint,
        "permission": key.permission,
        "test": key.test,
        "domain_id": str(key.domain_id or ""),
    }


def key_created(key: ApiKey, token: str) -> dict[str, object]:
    """A key that was just made, as `KeyCreated`."""
    return {"id": key.id, "token": token, "test": key.test}
