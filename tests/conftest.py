"""Fixtures that every test may use: a database of its own with the real schema, and a Redis of its own.

The servers are embedded ones, started when the first test asks and shared by all xdist workers of the run. With
POSTLANE_TEST_DATABASE_URL (a role that may create databases) and POSTLANE_TEST_REDIS_URL set, those are used instead.
"""

import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Generator, Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from hypothesis.internal.conjecture import providers

from store.database import Database
from tests import order
from tests.databases import Databases
from tests.servers import TestServers, empty_redis, make_template, shared_servers, stop

# What 50 examples do not find in one run, the next runs find: each draws others.
hypothesis.settings.register_profile("any machine", deadline=None, max_examples=50)
hypothesis.settings.load_profile("any machine")

# Hypothesis would read the source of every module of ours, in each process, for constants to draw: seconds of
# processor time for examples that tests here name themselves.
providers.is_local_module_file = lambda _path: False

_FOLDER = "POSTLANE_TEST_RUN_FOLDER"
_OWNER = "POSTLANE_TEST_RUN_OWNER"


def pytest_configure(config: pytest.Config) -> None:
    """The process that owns the run names its folder; xdist workers inherit the name."""
    if not hasattr(config, "workerinput"):
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="postlane-test-")
        os.chmod(os.environ[_FOLDER], 0o711)  # as root, the servers' own account has to get to its data in there
        os.environ[_OWNER] = str(os.getpid())
    _log_plainly()


def _log_plainly() -> None:
    """structlog's own way to show an exception, with the values of all variables, takes seconds for each."""
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """All that is imported and collected stays to the end: Python need not look for garbage among it, now or later."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first: they are handed out in this order."""
    items.sort(key=order.place)
    for item in items:
        item.add_marker(pytest.mark.xdist_group(order.group(item)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In continuous integration a test that cannot run is a failure: nobody reads a list of skipped tests there."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} may not be skipped when CI=true: {call.excinfo and call.excinfo.value}"
    return report


def pytest_unconfigure(config: pytest.Config) -> None:
    """The owner stops what was started."""
    if not hasattr(config, "workerinput") and os.environ.get(_OWNER) == str(os.getpid()):
        folder = Path(os.environ[_FOLDER])
        stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def servers() -> TestServers:
    """The servers of this run."""
    database_url = os.environ.get("POSTLANE_TEST_DATABASE_URL")
    redis_url = os.environ.get("POSTLANE_TEST_REDIS_URL")
    if database_url and redis_url:
        _template_once(database_url)
        return TestServers(database_url, redis_url)
    own = shared_servers(Path(os.environ[_FOLDER]), int(os.environ[_OWNER]))
    if database_url:
        _template_once(database_url)
    return TestServers(database_url or own.database_url, redis_url or own.redis_url)


def _template_once(database_url: str) -> None:
    """The first worker of a run makes the template on a server that was given to us."""
    done = Path(os.environ[_FOLDER]) / "template-made"
    with (done.parent / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            make_template(database_url)
            done.touch()


@pytest.fixture(scope="session")
def databases(servers: TestServers) -> Iterator[Databases]:
    """The databases that tests of this process take turns with."""
    kept = Databases(servers.database_url)
    yield kept
    kept.close()


@pytest.fixture
def database_url(databases: Databases) -> Iterator[str]:
    """A migrated, empty database of the test's own."""
    yield databases.take()
    databases.give_back()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """The pool of connections of a process, on that database."""
    pool = Database(database_url, size=4, name="postlane-test")
    await pool.open()
    yield pool
    await pool.close()


@pytest.fixture
def redis_url(servers: TestServers) -> str:
    """An empty Redis database that no other worker uses."""
    return empty_redis(servers)
