"""A mailbox that is read by IMAP: Debian's Dovecot where it is installed, and a small server of our own everywhere.

Both hold one account (`USER`, `PASSWORD`) with an inbox, a folder of junk and another one, and take mail as files.
"""

import asyncio
import contextlib
import os
import pwd
import re
import shutil
import ssl
import tempfile
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trustme

USER, PASSWORD = "seed", 'p"ss\\word'
FOLDERS = {"INBOX": "", "Junk": ".Junk", "Promotions": ".Promotions"}
DOVECOT = shutil.which("dovecot") or shutil.which("dovecot", path="/usr/sbin:/usr/local/sbin")
_MISSING = pytest.mark.skipif(DOVECOT is None, reason="needs Dovecot (package dovecot-imapd)")
KINDS = ["twin", *([pytest.param("dovecot", marks=_MISSING)] if os.geteuid() == 0 else [])]
"""Servers that can run here: Dovecot as root only, which has accounts for its parts and can install it. Where it is
missing its tests are skipped, which continuous integration takes for a failure (`.ci/run` installs it)."""

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
protocols = imap
listen = 127.0.0.1
ssl = yes
ssl_cert = <{folder}/server.pem
ssl_key = <{folder}/server.pem
disable_plaintext_auth = no
mail_location = maildir:{folder}/mail
first_valid_uid = 1
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
    ssl = yes
  }}
}}
service anvil {{
  chroot =
}}
namespace inbox {{
  inbox = yes
  separator = /
  mailbox Junk {{
    special_use = \\Junk
    auto = create
  }}
  mailbox Promotions {{
    auto = create
  }}
}}
passdb {{
  driver = passwd-file
  args = scheme=PLAIN username_format=%u {folder}/passwd
}}
userdb {{
  driver = static
  args = uid={uid} gid={gid} home={folder}/home
}}
"""


@dataclass
class Mailbox:
    """A running server."""

    folder: Path
    tls: int
    """Port of implicit TLS on 127.0.0.1."""
    plain: int
    """Port without, where STARTTLS is offered if the server knows it."""
    owner: int = -1
    commands: list[str] = field(default_factory=list)

    def deliver(self, message_id: str, folder: str = "INBOX") -> None:
        """Put a mail into a folder."""
        place = self.folder / "mail" / FOLDERS[folder] / "cur"
        for part in (place, place.parent / "new", place.parent / "tmp"):
            part.mkdir(parents=True, exist_ok=True)
        file = place / f"{uuid.uuid4().hex}.test:2,"
        file.write_text(f"From: a@example.com\r\nMessage-ID: {message_id}\r\nSubject: x\r\n\r\nHello\r\n")
        if self.owner >= 0:
            for one in (*(self.folder / "mail").rglob("*"), self.folder / "mail"):
                os.chown(one, self.owner, -1)


@contextlib.asynccontextmanager
async def mailbox(kind: str, certificate: trustme.LeafCert) -> AsyncIterator[Mailbox]:
    """A server of this kind with an empty mailbox."""
    folder = Path(tempfile.mkdtemp(prefix="postlane-imap-"))
    folder.chmod(0o711)  # as root, Dovecot reads as another account
    try:
        async with (_dovecot if kind == "dovecot" else _twin)(folder, certificate) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.asynccontextmanager
async def _dovecot(folder: Path, certificate: trustme.LeafCert) -> AsyncIterator[Mailbox]:
    account = pwd.getpwnam("nobody")
    plain, tls = _free_ports()
    (folder / "server.pem").write_bytes(certificate.private_key_and_cert_chain_pem.bytes())
    (folder / "passwd").write_text(f"{USER}:{PASSWORD}\n")
    for part in ("mail", "home", "run", "state"):
        (folder / part).mkdir()
        if part in ("mail", "home"):
            os.chown(folder / part, account.pw_uid, account.pw_gid)
    (folder / "dovecot.conf").write_text(
        _CONFIGURATION.format(
            folder=folder, plain=plain, tls=tls, uid=account.pw_uid, gid=account.pw_gid,
        )
    )  # fmt: skip
    assert DOVECOT is not None
    process = await asyncio.create_subprocess_exec(
        DOVECOT, "-F", "-c", str(folder / "dovecot.conf"),
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    try:
        await _listening(plain, process, folder / "log")
        yield Mailbox(folder, tls, plain, account.pw_uid)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listening(port: int, process: asyncio.subprocess.Process, log: Path) -> None:
    async with asyncio.timeout(30):
        while True:
            said = log.read_text() if log.exists() else ""
            assert process.returncode is None, said
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return


def _free_ports() -> tuple[int, int]:
    import socket

    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


@contextlib.asynccontextmanager
async def _twin(folder: Path, certificate: trustme.LeafCert) -> AsyncIterator[Mailbox]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    running = Mailbox(folder, 0, 0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await _Session(running, reader, writer).run()
        writer.close()

    tls = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    plain = await asyncio.start_server(serve, "127.0.0.1", 0)
    running.tls, running.plain = (one.sockets[0].getsockname()[1] for one in (tls, plain))
    yield running
    for server in (tls, plain):
        server.close()
    await asyncio.sleep(0.05)  # the servers' sides see the end of their connections


class _Session:
    """The commands that the product uses."""

    def __init__(self, box: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._box, self._reader, self._writer = box, reader, writer
        self._selected = "INBOX"

    async def run(self) -> None:
        self._say("* OK ready")
        while line := (await self._reader.readline()).decode().rstrip("\r\n"):
            tag, _, rest = line.partition(" ")
            self._box.commands.append(rest.split(" ")[0].upper())
            done = self._answer(rest)
            self._say(f"{tag} {done}")
            await self._writer.drain()
            if rest.upper() == "LOGOUT":
                return

    def _say(self, line: str) -> None:
        self._writer.write(f"{line}\r\n".encode())

    def _answer(self, command: str) -> str:
        words = _words(command)
        name = words[0].upper()
        if name == "CAPABILITY":
            self._say("* CAPABILITY IMAP4rev1")
        elif name == "LOGIN":
            return "OK in" if words[1:] == [USER, PASSWORD] else "NO [AUTHENTICATIONFAILED] wrong password"
        elif name == "LIST":
            for folder, flags in (("Promotions", ""), ("Junk", "\\Junk"), ("INBOX", "")):
                self._say(f'* LIST (\\HasNoChildren{" " + flags if flags else ""}) "/" {folder}')
        elif name in ("SELECT", "EXAMINE"):
            self._selected = words[1]
            self._say("* 1 EXISTS")
        elif name == "SEARCH":
            self._say(f"* SEARCH {self._found(words[-1])}".rstrip())
        return "OK done"

    def _found(self, message_id: str) -> str:
        folder = self._box.folder / "mail" / FOLDERS[self._selected] / "cur"
        return " ".join(str(n) for n, file in enumerate(sorted(folder.glob("*")), 1) if message_id in file.read_text())


def _words(command: str) -> list[str]:
    found = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', command)
    return [re.sub(r"\\(.)", r"\1", quoted) if quoted or not plain else plain for quoted, plain in found]
