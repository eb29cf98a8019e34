"""Ways in which a Valkey answers and refuses to write. Each returns what ends it."""

from collections.abc import Callable
from pathlib import Path

import redis

from tests.integration.core.test_publish import eventually


def cannot_save(client: redis.Redis, folder: Path) -> Callable[[], object]:
    """MISCONF, as a server with snapshots has it on a full disk."""
    (folder / "dump.rdb" / "x").mkdir(parents=True, exist_ok=True)  # what cannot be replaced by a file
    client.config_set("save", "3600 1000000")
    client.config_set("stop-writes-on-bgsave-error", "yes")
    client.bgsave()
    assert eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")
    return lambda: [client.config_set("stop-writes-on-bgsave-error", "no"), client.config_set("save", "")]


def no_memory(client: redis.Redis, _folder: Path) -> Callable[[], object]:
    client.config_set("maxmemory", 1)
    return lambda: client.config_set("maxmemory", 0)


def read_only(client: redis.Redis, _folder: Path) -> Callable[[], object]:
    client.replicaof("127.0.0.1", 1)
    return lambda: client.replicaof("no", "one")


REFUSALS = [cannot_save, no_memory, read_only]
