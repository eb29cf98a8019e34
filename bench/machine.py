"""What the figures were measured on: machine, kernel, versions, disk. Goes into the JSON beside them."""

import os
import platform
import time
from pathlib import Path

import psycopg
import redis


def facts(folder: Path, database_url: str, redis_url: str) -> dict[str, object]:
    """Facts for whoever compares figures. `folder` is where databases and queues lie."""
    with psycopg.connect(database_url) as connection:
        shown = {
            name: _one(connection, f"SHOW {name}")
            for name in ("server_version", "fsync", "synchronous_commit", "shared_buffers")
        }
    with redis.Redis.from_url(redis_url) as client:
        server = client.info("server")
    load = os.getloadavg()
    return {
        "cpu": _cpu_model(),
        "cores": os.cpu_count() or 1,
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "postgresql": shown.pop("server_version"),
        "postgresql_settings": shown,
        "valkey": str(server.get("valkey_version") or server.get("redis_version", "")),
        "fsync_ms": round(fsync_milliseconds(folder), 2),
        "load_average_at_start": [round(load[0], 2), round(load[1], 2)],
    }


def fsync_milliseconds(folder: Path, times: int = 50) -> float:
    """Median time that 8 KB take to reach the disk of `folder`."""
    file = folder / "fsync.probe"
    taken = []
    handle = os.open(file, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        for _ in range(times):
            begun = time.perf_counter()
            os.pwrite(handle, b"x" * 8192, 0)
            os.fsync(handle)
            taken.append(time.perf_counter() - begun)
    finally:
        os.close(handle)
        file.unlink()
    return sorted(taken)[times // 2] * 1000


def _one(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> str:
    row = connection.execute(statement.encode()).fetchone()
    return str(row[0]) if row else ""


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
