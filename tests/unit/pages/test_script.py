"""The script of the sign-up pages finds what the server takes: run by Node, with as much of a browser as it needs."""

import json
import shutil
import subprocess
from datetime import UTC, datetime
from uuid import UUID

import pytest

from core.secrets import InstanceSecret
from pages.rendering import SCRIPT
from pages.work import Work

FORM = UUID(int=1)
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)

_BROWSER = """
globalThis.window = { addEventListener() {} };
globalThis.document = { querySelectorAll: () => [] };
globalThis.fetch = async () => ({ ok: true, json: async () => JSON.parse(process.argv[2]) });
"""
_ASK = "\nwindow.postlane.solve('/s/1/challenge').then((found) => console.log(JSON.stringify(found)));\n"


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no Node here")
def test_the_script_solves_what_the_server_asks() -> None:
    work = Work(InstanceSecret(b"k" * 32))
    puzzle = json.dumps({"challenge": work.challenge(FORM, NOW), "bits": work.bits})
    program = _BROWSER + SCRIPT.decode() + _ASK
    told = subprocess.run(
        ["node", "--input-type=commonjs", "-e", program, "-", puzzle],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    found = json.loads(told.stdout)

    assert work.done(FORM, found["challenge"], found["answer"], NOW)
