"""The standard library's smtplib against each behaviour of the simulated providers, over real sockets."""

import smtplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from simulator import client
from simulator.ledger import read_ledger
from simulator.state import SimulatorState

GMAIL, MICROSOFT, YAHOO, APPLE, GMX = "127.0.0.11", "127.0.0.13", "127.0.0.15", "127.0.0.17", "127.0.0.18"
DOMAINS = {GMAIL: "gmail.sim", MICROSOFT: "outlook.sim", YAHOO: "yahoo.sim", APPLE: "icloud.sim", GMX: "gmx.sim"}
MAIL = "From: Shop <shop@demo.sim>\r\nSubject: =?utf-8?q?Caf=C3=A9?=\r\nMessage-ID: <1@demo.sim>\r\n\r\n.hello\r\n"


@contextmanager
def connected(state: SimulatorState, address: str, *, ip: str = "127.0.1.2") -> Iterator[smtplib.SMTP]:
    """A greeted connection from a pool IP."""
    smtp = smtplib.SMTP(address, state.smtp_port, "mta.test", timeout=10, source_address=(ip, 0))
    try:
        smtp.ehlo()
        yield smtp
    finally:
        smtp.close()


def refused(send: Callable[[], object]) -> tuple[int, bytes]:
    """Code and text of the refusal that `send` runs into."""
    with pytest.raises((smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused)) as caught:
        send()
    error = caught.value
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return next(iter(error.recipients.values()))
    assert isinstance(error, smtplib.SMTPResponseException)
    return error.smtp_code, bytes(error.smtp_error) if isinstance(error.smtp_error, bytes) else b""


@pytest.mark.parametrize("address", DOMAINS)
def test_ordinary_mail_is_taken_and_can_be_read(simulator: SimulatorState, address: str) -> None:
    with connected(simulator, address) as smtp:
        assert {"pipelining", "8bitmime", "smtputf8", "starttls", "size"} <= set(smtp.esmtp_features)
        assert ("enhancedstatuscodes" in smtp.esmtp_features) == (address != GMX)
        smtp.sendmail("shop@demo.sim", [f"Joe@{DOMAINS[address]}"], MAIL)
    (mail,) = client.mailbox(simulator, f"joe@{DOMAINS[address]}", raw=True)
    assert mail.data == MAIL.encode()
    assert (mail.client, mail.ehlo_name, mail.mail_from) == ("127.0.1.2", "mta.test", "shop@demo.sim")
    assert (mail.subject, mail.sender, mail.message_id) == ("Café", "Shop <shop@demo.sim>", "<1@demo.sim>")


@pytest.mark.parametrize("address", DOMAINS)
@pytest.mark.parametrize(
    ("local_part", "code", "enhanced"),
    [
        ("unknown-1", 550, b"5.1.1"),
        ("full", 452, b"4.2.2"),
        ("full+552", 552, b"5.2.2"),
        ("spam", 550, b"5.7.1"),
        ("block", 554, b"5.7.1"),
        ("greylist", 451, b"4.7.1"),
        ("throttle", 421, b"4.7."),
    ],
)
def test_refusals(simulator: SimulatorState, address: str, local_part: str, code: int, enhanced: bytes) -> None:
    recipient = f"{local_part}@{DOMAINS[address]}"
    with connected(simulator, address) as smtp:
        got, text = refused(lambda: smtp.sendmail("shop@demo.sim", [recipient], MAIL))
    assert got == (451 if address == MICROSOFT and local_part == "throttle" else code)
    if address == MICROSOFT and code == 550 and local_part.startswith("unknown"):
        enhanced = b"5.5.0"  # the code that the real one is known for
    assert text.startswith(enhanced) == (address != GMX)
    assert client.mailbox(simulator, recipient) == []


def test_each_provider_has_its_own_words(simulator: SimulatorState) -> None:
    texts = set()
    for address, domain in DOMAINS.items():
        with connected(simulator, address) as smtp:
            send = partial(smtp.sendmail, "a@demo.sim", [f"throttle@{domain}"], MAIL)
            texts.add(refused(send)[1][:30])
    assert len(texts) == len(DOMAINS)


def test_greylisting_passes_after_half_a_second(simulator: SimulatorState) -> None:
    with connected(simulator, GMAIL) as smtp:
        code, _ = refused(lambda: smtp.sendmail("shop@demo.sim", ["greylist@gmail.sim"], MAIL))
        assert code == 451
        time.sleep(0.6)
        assert smtp.sendmail("shop@demo.sim", ["greylist@gmail.sim"], MAIL) == {}


def test_a_drop_hangs_up_after_the_dot(simulator: SimulatorState) -> None:
    for recipient, kept in (("drop@gmail.sim", 0), ("drop-kept@gmail.sim", 1)):
        with connected(simulator, GMAIL) as smtp, pytest.raises(smtplib.SMTPServerDisconnected):
            smtp.sendmail("shop@demo.sim", [recipient], MAIL)
        assert len(client.mailbox(simulator, recipient)) == kept


def test_slow_waits_before_the_answer(simulator: SimulatorState) -> None:
    with connected(simulator, GMAIL) as smtp:
        start = time.monotonic()
        smtp.sendmail("shop@demo.sim", ["slow+0.4@gmail.sim"], MAIL)
        assert time.monotonic() - start >= 0.4


def test_after_421_the_connection_is_closed(simulator: SimulatorState) -> None:
    with connected(simulator, APPLE) as smtp:
        smtp.mail("shop@demo.sim")
        assert smtp.rcpt("throttle@icloud.sim")[0] == 421
        assert smtp.sock is not None
        assert smtp.sock.recv(1) == b""


def test_tls_with_a_certificate_that_can_be_verified(simulator: SimulatorState) -> None:
    trusting = ssl.create_default_context(cafile=simulator.ca_certificate)
    with connected(simulator, GMAIL) as smtp:
        smtp._host = "mx1.google.sim"  # type: ignore[attr-defined]  # the name smtplib verifies
        assert smtp.starttls(context=trusting)[0] == 220
        smtp.ehlo()
        assert not smtp.has_extn("starttls")
        smtp.sendmail("shop@demo.sim", ["joe@gmail.sim"], MAIL)
    assert client.mailbox(simulator, "joe@gmail.sim")[0].tls
    assert next(row for row in client.counts(simulator) if row["provider"] == "gmail")["tls_sessions"] == 1


@pytest.mark.parametrize("address", ["127.0.0.22", GMAIL])
def test_tls_that_nobody_vouches_for_works_unverified(simulator: SimulatorState, address: str) -> None:
    with connected(simulator, address) as smtp, pytest.raises(ssl.SSLCertVerificationError):
        smtp.starttls(context=ssl.create_default_context())
    careless = ssl.create_default_context()
    careless.check_hostname = False
    careless.verify_mode = ssl.CERT_NONE
    domain = "selfsigned.sim" if address != GMAIL else "gmail.sim"
    with connected(simulator, address) as smtp:
        smtp.starttls(context=careless)
        assert smtp.sendmail("shop@demo.sim", [f"joe@{domain}"], MAIL) == {}


def test_broken_tls_fails_the_handshake_and_the_clear_works(simulator: SimulatorState) -> None:
    with connected(simulator, "127.0.0.21") as smtp:
        assert smtp.has_extn("starttls")
        with pytest.raises(ssl.SSLError):
            smtp.starttls()
    with connected(simulator, "127.0.0.21") as smtp:
        assert smtp.sendmail("shop@demo.sim", ["joe@brokentls.sim"], MAIL) == {}
    with connected(simulator, "127.0.0.23") as smtp:
        assert not smtp.has_extn("starttls")


def test_a_rule_breaks_tls_for_one_client(simulator: SimulatorState) -> None:
    client.set_rule(simulator, "badtls", provider="gmail", client="127.0.1.7")
    with connected(simulator, GMAIL, ip="127.0.1.7") as smtp, pytest.raises(ssl.SSLError):
        smtp.starttls()
    with connected(simulator, GMAIL, ip="127.0.1.8") as smtp:
        assert smtp.starttls()[0] == 220


@pytest.mark.parametrize(("address", "domain"), DOMAINS.items())
def test_a_provider_throttles_one_pool_ip_and_not_the_other(
    simulator: SimulatorState, address: str, domain: str
) -> None:
    provider = next(name for name, entry in simulator.providers.items() if domain in entry["domains"])
    with connected(simulator, address) as before:
        name = client.throttle(simulator, provider, "127.0.1.2", for_seconds=60)
        code, _ = refused(lambda: before.sendmail("shop@demo.sim", [f"joe@{domain}"], MAIL))
        assert code == (451 if address == MICROSOFT else 421)
    with connected(simulator, address, ip="127.0.1.3") as other:
        assert other.sendmail("shop@demo.sim", [f"joe@{domain}"], MAIL) == {}
    assert client.rules(simulator)[0]["answered"] == 1
    assert client.clear_rules(simulator, name) == 1
    with connected(simulator, address) as after:
        assert after.sendmail("shop@demo.sim", [f"joe@{domain}"], MAIL) == {}
    outcomes = {row["client"]: row for row in client.counts(simulator) if row["provider"] == provider}
    assert (outcomes["127.0.1.2"]["throttled"], outcomes["127.0.1.2"]["accepted"]) == (1, 1)
    assert outcomes["127.0.1.3"]["accepted"] == 1


def test_a_throttle_at_the_banner(simulator: SimulatorState) -> None:
    client.throttle(simulator, "gmx", "127.0.1.2", mails=1)
    with pytest.raises(smtplib.SMTPConnectError) as caught, connected(simulator, GMX):
        pass
    assert caught.value.smtp_code == 421
    with connected(simulator, GMX) as smtp:
        assert smtp.noop()[0] == 250


def test_the_ledger_has_a_line_for_each_accepted_recipient(simulator: SimulatorState, tmp_path: Path) -> None:
    file = tmp_path / "ledger.tsv"
    client.keep_ledger(simulator, file)
    with connected(simulator, GMAIL) as smtp:
        smtp.sendmail("shop@demo.sim", ["a@gmail.sim", "b@gmail.sim", "unknown@gmail.sim"], MAIL)
        smtp.sendmail("shop@demo.sim", ["a@gmail.sim"], MAIL)
    time.sleep(0.3)
    entries = read_ledger(file)
    client.keep_ledger(simulator, None)
    assert [(entry.message_id, entry.recipient, entry.client) for entry in entries] == [
        ("<1@demo.sim>", "a@gmail.sim", "127.0.1.2"),
        ("<1@demo.sim>", "b@gmail.sim", "127.0.1.2"),
        ("<1@demo.sim>", "a@gmail.sim", "127.0.1.2"),
    ]
    assert client.recipients(simulator, "?@gmail.sim") == {"a@gmail.sim": 2, "b@gmail.sim": 1}


def test_a_mailbox_keeps_the_last_fifty(simulator: SimulatorState) -> None:
    with connected(simulator, "127.0.2.1") as smtp:
        for number in range(53):
            smtp.sendmail("a@demo.sim", ["joe@small-001.sim"], f"Subject: {number}\r\n\r\nx\r\n")
    mails = client.mailbox(simulator, "joe@small-001.sim")
    assert [mail.subject for mail in mails] == [str(number) for number in range(3, 53)]
    assert client.recipients(simulator) == {"joe@small-001.sim": 53}


def test_nothing_listens_at_the_dead_address(simulator: SimulatorState) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.9", simulator.smtp_port), timeout=5)


@pytest.mark.parametrize(
    ("request_fields", "said"),
    [
        ({"op": "explode"}, "op"),
        ({"op": "rule.set", "rule": 5}, "rule"),
        ({"op": "ledger", "path": "/nowhere/x"}, "No"),
    ],
)
def test_a_bad_request_is_refused_with_a_reason(
    simulator: SimulatorState, request_fields: dict[str, object], said: str
) -> None:
    fields = {key: value for key, value in request_fields.items() if key != "op"}
    with pytest.raises(client.RefusedError, match=said):
        client.call(simulator, str(request_fields["op"]), **fields)
