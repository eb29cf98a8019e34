"""What the doctor says of the environment and of name servers."""

from pathlib import Path

import pytest

from cli.checks.environment import environment
from cli.checks.findings import Finding, Level
from cli.checks.name_servers import name_servers
from core.settings import Settings
from tests.dns_table import DnsTable

SECRET = "5e" * 32


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def found(text: str | None = None, mode: int = 0o600) -> dict[str, list[Finding]]:
    """By check; `text` of `.env`."""
    if text is not None:
        Path(".env").write_text(text)
        Path(".env").chmod(mode)
    by_check: dict[str, list[Finding]] = {}
    for finding in environment():
        by_check.setdefault(finding.check, []).append(finding)
    return by_check


def test_without_a_file_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    (finding,) = found()[".env"]
    assert (finding.level, finding.found.startswith("none in ")) == (Level.OK, True)


def test_a_misspelt_name_is_told_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_HOSTNAM", "mail.example.com")
    told = found("POSTLANE_REDISURL=redis://127.0.0.1\nPOSTGRES_PASSWORD=x\n")
    first, second = told["settings"]
    assert first.found == "POSTLANE_HOSTNAM is no setting: it does nothing"
    assert (second.found, second.do) == (
        "POSTLANE_REDISURL (in .env) is no setting: it does nothing", "write POSTLANE_REDIS_URL",
    )  # fmt: skip
    assert {one.level for one in told["settings"]} == {Level.WARNING}


def test_a_sound_file_is_said_to_be_there() -> None:
    told = found(f"# ours\nexport POSTLANE_SECRET={SECRET}\n\n POSTLANE_HOSTNAME = mail.example.com # name\n")
    (finding,) = told[".env"]
    assert (finding.level, finding.found) == (Level.OK, f"{Path('.env').resolve()}: 2 variables")


def test_lines_that_say_nothing_are_counted_and_not_shown() -> None:
    told = found(f"POSTLANE_HOSTNAME mail.example.com\nPOSTLANE_SECRET: {SECRET}\nPOSTLANE_API_PORT=8025\n")
    (finding,) = told[".env"]
    assert (finding.level, finding.found.startswith("lines 1, 2 of ")) == (Level.FAILED, True)
    assert SECRET not in finding.found


def test_what_the_environment_overrules_is_named_without_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POSTLANE_SECRET", "aa" * 32)
    monkeypatch.setenv("POSTLANE_API_PORT", "8025")
    told = found(f"POSTLANE_SECRET={SECRET}\nPOSTLANE_API_PORT=8025\n")
    (finding,) = told[".env"]
    assert finding.level is Level.WARNING
    assert finding.found.startswith("POSTLANE_SECRET stand in .env")
    assert "POSTLANE_API_PORT" not in finding.found
    assert SECRET not in finding.found


def test_a_secret_that_everybody_can_read_is_told() -> None:
    (finding,) = found(f"POSTLANE_SECRET={SECRET}\n", 0o644)[".env"]
    assert (finding.level, finding.do) == (Level.WARNING, "chmod 600 .env")
    (finding,) = found("POSTLANE_API_PORT=8025\n", 0o644)[".env"]
    assert finding.level is Level.OK


async def _asked(server: DnsTable) -> Finding:
    (finding,) = await name_servers(Settings(dns_servers=(server.address,), simulator=True))
    return finding


async def test_a_firewall_before_a_name_server_is_told_by_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsTable({("gmail.sim", "MX"): ["10 mx.gmail.sim."]}) as server:
        assert (await _asked(server)).level is Level.OK
        server._tcp.close()
        no_tcp = await _asked(server)
        assert no_tcp.level is Level.WARNING
        assert no_tcp.found.startswith("answers by UDP and not by TCP (connection refused)")
        assert "TCP port" in no_tcp.do
    neither = await _asked(server)
    assert neither.level is Level.FAILED
    assert neither.found.startswith("neither by UDP (")


async def test_udp_that_is_dropped_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    async with DnsTable({("gmail.sim", "MX"): ["10 mx.gmail.sim."]}) as server:
        server._udp.close()
        finding = await _asked(server)
    assert finding.level is Level.FAILED
    assert finding.found.startswith("answers by TCP and not by UDP (")
    assert "UDP port" in finding.do
