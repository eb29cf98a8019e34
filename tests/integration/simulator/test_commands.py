"""`simulator` commands as a user types them, and EHLO mode, where only 127.0.0.1 is used."""

import json
import smtplib
import ssl
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from simulator import client
from simulator.state import SimulatorState, read_state
from tests.integration.simulator.conftest import simulator_process

MAIL = "Subject: hello\r\nMessage-ID: <1@demo.sim>\r\n\r\nx\r\n"


def command(folder: Path, *arguments: str) -> Any:
    """What a command prints when piped, read as JSON."""
    output = _run(folder, *arguments)
    assert output.returncode == 0, output.stderr
    return json.loads(output.stdout)


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "simulator", *arguments, "--state", str(folder / "simulator.json")]
    return subprocess.run(line, capture_output=True, text=True, timeout=30, check=False)


def test_commands_show_what_happened(simulator: SimulatorState, simulator_folder: Path) -> None:
    with smtplib.SMTP("127.0.0.11", simulator.smtp_port, "mta.test", source_address=("127.0.1.2", 0)) as smtp:
        smtp.sendmail("b@demo.sim", ["joe@gmail.sim"], MAIL)
    (mail,) = command(simulator_folder, "mailbox", "joe@gmail.sim")
    assert (mail["subject"], mail["client"], mail["message_id"]) == ("hello", "127.0.1.2", "<1@demo.sim>")
    assert _run(simulator_folder, "mailbox", "joe@gmail.sim", "--raw").stdout == MAIL.replace("\r\n", "\n")
    assert command(simulator_folder, "counts") == [
        {"provider": "gmail", "client": "127.0.1.2", "connections": 1, "accepted": 1}
    ]
    domains = command(simulator_folder, "domains")
    assert {"domain": "acme-corp.sim", "provider": "gmail"} in domains
    assert len(domains) == len(simulator.domains)


def test_throttle_sets_and_clears(simulator: SimulatorState, simulator_folder: Path) -> None:
    command(simulator_folder, "throttle", "gmail", "127.0.1.2", "--mails", "3", "--seconds", "60")
    (rule,) = command(simulator_folder, "rules")
    assert (rule["behaviour"], rule["provider"], rule["client"], rule["mails"]) == ("throttle", "gmail", "127.0.1.2", 3)
    assert command(simulator_folder, "throttle", "gmail", "127.0.1.2", "--clear") == [{"cleared": 1}]
    assert client.rules(simulator) == []


def test_without_a_simulator_a_command_says_so(tmp_path: Path) -> None:
    output = _run(tmp_path, "counts")
    assert output.returncode == 1
    assert "no practice internet is running" in output.stderr
    assert output.stdout == ""


def test_a_state_file_left_by_a_killed_simulator_is_not_believed(tmp_path: Path) -> None:
    with simulator_process(tmp_path) as state:
        left_behind = tmp_path / "left.json"
        left_behind.write_text((tmp_path / "simulator.json").read_text())
        assert client.wait_for_state(left_behind, 5) == state
    with pytest.raises(client.SimulatorUnavailableError):
        client.wait_for_state(left_behind, 0.1)
    assert _run(tmp_path, "counts").returncode == 1


def test_on_one_address_providers_are_told_by_recipient_and_clients_by_ehlo_name(tmp_path: Path) -> None:
    with simulator_process(tmp_path, "--single-address") as state:
        assert state.ehlo_mode
        assert read_state(tmp_path / "simulator.json") == state
        client.throttle(state, "yahoo", "mta-1.test")
        for name, code in (("mta-1.test", 421), ("mta-2.test", 250)):
            smtp = smtplib.SMTP("127.0.0.1", state.smtp_port, name)
            smtp.sendmail("b@demo.sim", ["joe@gmail.sim"], MAIL)
            smtp.mail("b@demo.sim")
            assert smtp.rcpt("joe@yahoo.sim")[0] == code
            smtp.close()
        accepted = {(row["provider"], row["client"]): row.get("accepted", 0) for row in client.counts(state)}
        assert accepted[("gmail", "mta-1.test")] == accepted[("gmail", "mta-2.test")] == 1
        assert accepted[("yahoo", "mta-1.test")] == 0
        _tls_by_name(state)


def _tls_by_name(state: SimulatorState) -> None:
    """Behind the shared address the asked name chooses the certificate, or the broken handshake."""
    trusting = ssl.create_default_context(cafile=state.ca_certificate)
    for name, works in (("mx1.google.sim", True), ("mx.brokentls.sim", False), ("mx.selfsigned.sim", False)):
        with smtplib.SMTP("127.0.0.1", state.smtp_port, "mta.test") as smtp:
            smtp._host = name  # type: ignore[attr-defined]  # the name smtplib asks for and verifies
            if works:
                assert smtp.starttls(context=trusting)[0] == 220
            else:
                with pytest.raises(ssl.SSLError):
                    smtp.starttls(context=trusting)
