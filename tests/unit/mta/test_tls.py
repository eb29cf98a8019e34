"""What is remembered about the TLS of hosts."""

from pathlib import Path

import pytest

from mta.model import Host
from mta.tls import TlsMemory, TlsMode, TlsPolicy


def test_the_memory_ends_and_is_bounded() -> None:
    now = 0.0
    policy = TlsPolicy(memory=TlsMemory(broken_seconds=100, untrusted_seconds=10, hosts=2), clock=lambda: now)
    hosts = [Host(f"mx{number}.test", "192.0.2.1", 10) for number in range(3)]
    policy.broken(hosts[0])
    policy.untrusted(hosts[1])
    assert [policy.mode(host) for host in hosts] == [TlsMode.PLAIN, TlsMode.ENCRYPT, TlsMode.VERIFY]
    now = 11.0
    assert [policy.mode(host) for host in hosts] == [TlsMode.PLAIN, TlsMode.VERIFY, TlsMode.VERIFY]
    policy.broken(hosts[1])
    policy.broken(hosts[2])
    assert [policy.mode(host) for host in hosts] == [TlsMode.VERIFY, TlsMode.PLAIN, TlsMode.PLAIN]
    now = 200.0
    assert {policy.mode(host) for host in hosts} == {TlsMode.VERIFY}


def test_a_missing_ca_file_is_not_overlooked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        TlsPolicy(tmp_path / "absent.pem")
