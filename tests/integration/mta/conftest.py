"""Runs the tests of the sending side in both event loops: uvloop in production, asyncio where uvloop is missing."""

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping

import pytest
import uvloop

# danted comes with a package that takes root to install: without either, test_socks.py is the proof.
collect_ignore = (
    [] if os.geteuid() == 0 or shutil.which("danted", path=f"{os.environ['PATH']}:/usr/sbin") else ["test_danted.py"]
)

BOTH_LOOPS = ("test_deliver", "test_session", "test_socks")


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Event loops that a test of this folder runs in."""
    if item.path.stem.startswith(BOTH_LOOPS):
        return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return {"asyncio": asyncio.new_event_loop}
