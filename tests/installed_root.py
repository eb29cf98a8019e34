"""A folder that stands for `/` of a server, with Postlane laid out in it by `postlane install`.

Paths in what was laid out are those of the server. Here they get the folder in front, and nothing else is changed.
"""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cli.installing import files
from cli.running.processes import Account
from core import settings as core_settings

OPT = "/opt/postlane"


@dataclass(frozen=True, slots=True)
class Unit:
    """What systemd would start."""

    words: tuple[str, ...]
    env: dict[str, str]
    wants: tuple[str, ...]
    restarts: bool


@dataclass(frozen=True, slots=True)
class InstalledRoot:
    """`path` is the folder."""

    path: Path

    def here(self, text: str) -> str:
        """A text of the server with its paths as they are here."""
        for path in (files.SETTINGS, files.DATA, OPT):
            text = text.replace(str(path), f"{self.path}{path}")
        return text

    def settings(self) -> dict[str, str]:
        """What the settings say."""
        return core_settings.given_by(self.path / "etc/postlane/postlane.env")

    def account(self) -> Account | None:
        """Whom services run as; None where they run as we do, for want of a right to choose."""
        lines = (self.path / "etc/passwd").read_text().splitlines()
        uid, gid = next(line.split(":")[2:4] for line in lines if line.startswith("postlane:"))
        return Account("postlane", int(uid), int(gid)) if os.geteuid() == 0 else None

    def unit(self, name: str) -> Unit:
        """One of the units, `postlane-marketing@0.service` too, with the environment that it gives to its process."""
        stem, _, instance = name.removesuffix(".service").partition("@")
        file = f"{stem}@.service" if instance else name
        text = (self.path / "etc/systemd/system" / file).read_text().replace("%i", instance)
        pairs = [line.partition("=")[::2] for line in self.here(text).splitlines() if "=" in line and line[0] != "#"]
        told = " ".join(value for key, value in pairs if key == "Environment").split()
        given = self.settings() if any(key == "EnvironmentFile" for key, _ in pairs) else {}
        (start,) = [value for key, value in pairs if key == "ExecStart"] or [""]
        wants = " ".join(value for key, value in pairs if key == "Wants").split()
        return Unit(
            tuple(start.split()),
            {"PATH": os.defpath} | given | dict(pair.split("=", 1) for pair in told),
            tuple(wants),
            ("Restart", "always") in pairs,
        )

    def command(
        self, *words: str, env: Mapping[str, str] | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """What `postlane` is on this server."""
        text = self.here((self.path / "usr/local/bin/postlane").read_text())
        if account := self.account():  # the user stands in the folder's own /etc/passwd
            text = text.replace("--reuid=postlane --regid=postlane", f"--reuid={account.uid} --regid={account.gid}")
        return subprocess.run(
            ["sh", "-c", text, "postlane", *words],
            env={"PATH": os.environ["PATH"]} | dict(env or {}), capture_output=True, text=True, check=check, timeout=60,
            cwd=self.path / "etc/postlane",  # as closed to others as root's home
        )  # fmt: skip
