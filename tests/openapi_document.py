"""The OpenAPI document, made once in a process: that takes a second and more."""

from functools import cache
from typing import Any

from api.app import create_app
from core.settings import Settings


@cache
def document() -> dict[str, Any]:
    """Read only: tests share it."""
    return create_app(Settings(secret="5" * 64)).openapi()
