"""Signed mail that came by BDAT, judged by somebody else's verifier: Debian's OpenDKIM, told of our key by a file."""

import asyncio
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mta import sign
from mta.model import Envelope
from mta.sign import Algorithm, DkimKey
from tests.integration.mta.couriers import FIRST, courier, providers
from tests.integration.mta.test_deliver_limits import TO
from tests.smtp_sink import Offer, SmtpSink

pytestmark = [pytest.mark.asyncio, pytest.mark.timeout(60)]

OPENDKIM = shutil.which("opendkim") or shutil.which("opendkim", path="/usr/sbin")
BODIES = (
    b"hello\r\n", b".\r\n", b".\r\n.\r\n..\r\n...\r\n", b"\r\n\r\n.x\r\n\r\n\r\n", b"BDAT 3 LAST\r\nQUIT\r\n",
    b" trailing \t \r\n\t\r\n", b"x" * 990 + b"\r\n", b"y" * 76 + b"\r\n" * 300,
)  # fmt: skip


def signed(body: bytes, key: DkimKey, number: int) -> Envelope:
    head = b"From: a@acme.example\r\nTo: r%d@x.test\r\nSubject: %d\r\nDate: Sun, 29 Nov 2026 09:05:07 +0000\r\n" % (
        number,
        number,
    )
    whole = head + b"Message-ID: <%d@acme.example>\r\nMIME-Version: 1.0\r\n\r\n" % number + body
    front = sign.sign(whole, [key], datetime.now(UTC))
    return replace(Envelope("a@acme.example", f"r{number}@x.test", whole), front=front, chunked=True)


def verdicts(folder: Path, record: str, mails: list[bytes]) -> list[str]:
    (folder / "dns").write_text(f"r1._domainkey.acme.example {record}\n")
    (folder / "conf").write_text(f"Mode v\nTestDNSData file:{folder / 'dns'}\nSyslog no\n")
    files = []
    for n, data in enumerate(mails):
        files.append(folder / f"{n}.eml")
        files[-1].write_bytes(data)
    asked = [OPENDKIM, "-x", folder / "conf", "-t", ",".join(map(str, files))]
    said = subprocess.run([str(word) for word in asked], capture_output=True, text=True, timeout=60, check=True)
    return [line for line in (said.stdout + said.stderr).splitlines() if "verification" in line]


@pytest.mark.skipif(OPENDKIM is None, reason="needs opendkim (package opendkim)")
async def test_opendkim_verifies_what_came_by_bdat(tmp_path: Path) -> None:
    secret, public = sign.generate_rsa()
    key = sign.load_key("acme.example", "r1", secret)
    async with SmtpSink(offer=Offer(chunking=True)) as sink, courier(sink.port, providers(connections=1)) as out:
        sent = [signed(body, key, number) for number, body in enumerate(BODIES * 3)]
        found = await asyncio.gather(*(out.deliver(TO, FIRST, one) for one in sent))
    assert {one.response.code for one in found} == {250}
    assert sum(line.startswith("BDAT") for _, line in sink.journal.commands) == len(sent)
    spoiled = sink.mails[0].data.replace(b"hello", b"hallo")
    said = verdicts(tmp_path, sign.dns_record(public, Algorithm.RSA), [*(mail.data for mail in sink.mails), spoiled])
    assert [("succeeded" in line) for line in said] == [True] * len(sent) + [False], said
