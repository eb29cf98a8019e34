"""What is remembered about the TLS of hosts."""

from pathlib import Path

import pytest

from mta.model import Host
from mta.tls import TlsMemory, TlsMode, TlsPolicy

HOSTS = [Host(f"mx{number}.test", "192.0.2.1", 10) for number in range(3)]


class Clock:
    """Seconds that a test sets."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def made(hosts: int = 10) -> tuple[TlsPolicy, Clock]:
    clock = Clock()
    return TlsPolicy(memory=TlsMemory(broken=100, cut=20, untrusted=10, demanded=50, hosts=hosts), clock=clock), clock


def test_the_memory_ends_and_is_bounded() -> None:
    policy, clock = made(hosts=2)
    policy.broken(HOSTS[0], cut=False)
    policy.worked(HOSTS[1], TlsMode.ENCRYPT)
    assert [policy.mode(host) for host in HOSTS] == [TlsMode.PLAIN, TlsMode.ENCRYPT, TlsMode.VERIFY]
    clock.now = 11.0
    assert [policy.mode(host) for host in HOSTS] == [TlsMode.PLAIN, TlsMode.VERIFY, TlsMode.VERIFY]
    policy.broken(HOSTS[1], cut=False)
    policy.broken(HOSTS[2], cut=True)
    assert [policy.mode(host) for host in HOSTS] == [TlsMode.VERIFY, TlsMode.PLAIN, TlsMode.PLAIN]
    clock.now = 32.0
    assert [policy.mode(host) for host in HOSTS] == [TlsMode.VERIFY, TlsMode.PLAIN, TlsMode.VERIFY]
    clock.now = 200.0
    assert {policy.mode(host) for host in HOSTS} == {TlsMode.VERIFY}


def test_a_session_that_came_about_refutes_what_was_worse() -> None:
    policy, _ = made()
    host = HOSTS[0]
    policy.broken(host, cut=False)
    policy.worked(host, TlsMode.ENCRYPT)
    assert policy.mode(host) is TlsMode.ENCRYPT
    policy.worked(host, TlsMode.VERIFY)
    assert policy.mode(host) is TlsMode.VERIFY
    policy.demanded(host)
    assert policy.is_demanded(host)
    policy.worked(host, TlsMode.VERIFY)
    assert not policy.is_demanded(host)


def test_the_certificate_is_looked_at_again_however_often_it_was_not() -> None:
    policy, clock = made()
    for now in (0.0, 6.0):
        clock.now = now
        policy.worked(HOSTS[0], TlsMode.ENCRYPT)
    clock.now = 11.0
    assert policy.mode(HOSTS[0]) is TlsMode.VERIFY


def test_who_demands_tls_has_no_broken_one_and_an_untrusted_one_still() -> None:
    policy, clock = made()
    policy.broken(HOSTS[0], cut=False)
    policy.worked(HOSTS[1], TlsMode.ENCRYPT)
    for host in HOSTS[:2]:
        policy.demanded(host)
    assert [policy.mode(host) for host in HOSTS[:2]] == [TlsMode.VERIFY, TlsMode.ENCRYPT]
    assert [policy.is_demanded(host) for host in HOSTS] == [True, True, False]
    clock.now = 51.0
    assert not policy.is_demanded(HOSTS[0])


def test_a_missing_ca_file_is_not_overlooked(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        TlsPolicy(tmp_path / "absent.pem")
