"""The OpenAPI document, made once in a run of the tests: that takes seconds, and every process of the run wants it."""

import fcntl
import json
import os
from functools import cache
from pathlib import Path
from typing import Any

from api.app import create_app
from core.settings import Settings


@cache
def document() -> dict[str, Any]:
    """Read only: tests share it."""
    kept = Path(os.environ["POSTLANE_TEST_RUN_FOLDER"]) / "openapi.json"
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            kept.write_text(json.dumps(create_app(Settings(secret="5" * 64)).openapi()), encoding="utf-8")
        return dict(json.loads(kept.read_text("utf-8")))
