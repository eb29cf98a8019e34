"""`postlane install` into a folder that stands for /: what is laid out, kept and refused; the command that it makes."""

import json
import os
import shlex
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.commands.install import install
from cli.installing import files, laying
from cli.installing.laying import Asked, HalfWayError, InTheWayError, lay, plan
from cli.output import CliError
from core import settings as core_settings
from core.settings import Settings
from tests.installed_root import InstalledRoot
from tests.stack import reachable_folder
from tests.unit.deploy.commands import parse

SHIPPED = Path(__file__).parent.parent.parent.parent / "deploy" / "systemd"
NAME = {"POSTLANE_HOSTNAME": "mail.example.com"}


@pytest.fixture
def asked() -> Iterator[Asked]:
    with reachable_folder() as root:
        yield _asked(root)


def _asked(root: Path) -> Asked:
    program = root / "opt" / "postlane" / "bin" / "postlane"
    program.parent.mkdir(parents=True)
    program.write_text('#!/bin/sh\nenv\necho called with "$@"\n')
    program.chmod(0o755)
    return Asked(root, program, SHIPPED, NAME)


def _tree(root: Path) -> dict[str, tuple[int, bytes]]:
    """Every file with its mode and what it holds."""
    found = (path for path in root.rglob("*") if path.is_file() and path.name != ".pwd.lock")
    return {str(path.relative_to(root)): (path.stat().st_mode & 0o777, path.read_bytes()) for path in found}


def _settings(asked: Asked) -> dict[str, str]:
    return core_settings.given_by(asked.root / "etc/postlane/postlane.env")


def test_everything_is_laid_out(asked: Asked) -> None:
    lay(plan(asked))
    tree = _tree(asked.root)
    modes = {name: mode for name, (mode, _) in tree.items()}
    assert modes["etc/postlane/postlane.env"] == modes["etc/postlane/postgresql.sql"] == 0o600
    assert modes["etc/postlane/valkey.conf"] == 0o600
    assert modes["usr/local/bin/postlane"] == 0o755
    assert (asked.root / "var/lib/postlane").stat().st_mode & 0o777 == 0o700
    assert b"\npostlane:x:" in b"\n" + tree["etc/passwd"][1]
    units = {name for name in tree if name.startswith("etc/systemd/system/")}
    assert units == {f"etc/systemd/system/{file.name}" for file in SHIPPED.iterdir()}
    for name in units - {"etc/systemd/system/postlane.target"}:
        assert b"ExecStart=/opt/postlane/bin/postlane " in tree[name][1], name
        assert modes[name] == 0o644
    given = _settings(asked)
    assert len(bytes.fromhex(given["POSTLANE_SECRET"])) == 32
    assert Settings(_env_file=asked.root / "etc/postlane/postlane.env").hostname == "mail.example.com"  # type: ignore[call-arg]
    password = files.password_of(given["POSTLANE_DATABASE_URL"])
    assert f"'{password}'".encode() in tree["etc/postlane/postgresql.sql"][1]
    assert (
        f"requirepass {files.password_of(given['POSTLANE_REDIS_URL'])}\n".encode()
        in tree["etc/postlane/valkey.conf"][1]
    )
    if os.geteuid() == 0:
        line = next(line for line in tree["etc/passwd"][1].decode().splitlines() if line.startswith("postlane:"))
        assert (asked.root / "var/lib/postlane").stat().st_uid == int(line.split(":")[2])


def test_a_second_run_changes_nothing(asked: Asked) -> None:
    lay(plan(asked))
    before = _tree(asked.root)
    again = plan(replace(asked, given={}))
    assert {one.did for one in again.told()} == {"unchanged"}
    lay(again)
    assert _tree(asked.root) == before


def test_settings_are_completed_and_never_replaced(asked: Asked) -> None:
    """As an installation by hand has them: the password of the database stays, and so does every line."""
    file = asked.root / "etc/postlane/postlane.env"
    file.parent.mkdir(parents=True)
    mine = '# mine\nPOSTLANE_SECRET="' + "ab" * 32 + '"\nPOSTLANE_DATABASE_URL=postgresql://p:x@db.example/p'
    file.write_text(mine)
    made = plan(asked)
    assert set(made.added) == {"POSTLANE_HOSTNAME", "POSTLANE_REDIS_URL"}
    lay(made)
    assert file.read_text().startswith(mine + "\n")
    assert _settings(asked)["POSTLANE_SECRET"] == "ab" * 32
    assert file.stat().st_mode & 0o777 == 0o600
    there = f"psql -qX < {asked.root}/etc/postlane/postgresql.sql   # there, as a superuser"
    assert made.next_steps()[0] == there
    with pytest.raises(InTheWayError, match="says another POSTLANE_HOSTNAME"):
        plan(replace(asked, given={"POSTLANE_HOSTNAME": "other.example.com"}))


def test_a_unit_of_an_earlier_version_is_renewed_and_an_edited_one_is_not(asked: Asked) -> None:
    lay(plan(asked))
    units = asked.root / "etc/systemd/system"
    earlier, edited = units / "postlane-api.service", units / "postlane-inbound.service"
    fresh = earlier.read_text()
    earlier.write_text(files.marked("[Unit]\nDescription=as it was\n"))
    edited.write_text(mine := edited.read_text().replace("PORT=25", "PORT=2525"))
    with pytest.raises(InTheWayError, match=r"postlane-inbound\.service is not ours, or was edited") as refused:
        plan(asked)
    assert "postlane-api.service" not in str(refused.value)
    made = plan(replace(asked, replace=True))
    did = {one.what: one.did for one in made.told() if one.did != "unchanged"}
    assert did == {
        "/etc/systemd/system/postlane-api.service": "updated",
        "/etc/systemd/system/postlane-inbound.service": "replaced",
    }
    lay(made)
    assert earlier.read_text() == fresh
    assert edited.with_name("postlane-inbound.service.old").read_text() == mine
    assert {one.did for one in plan(asked).told()} == {"unchanged"}


def _with_a_file(asked: Asked) -> Asked:
    (asked.root / "etc").write_text("")
    return asked


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda asked: replace(asked, program=asked.root / "opt/none"), "/opt/none does not exist"),
        (lambda asked: replace(asked, units=asked.root), "has no units: a container image brings none"),
        (lambda asked: replace(asked, root=asked.root / "none"), "none is no folder"),
        (_with_a_file, "etc is a file, and has to be a folder"),
    ],
    ids=["no program", "no units", "no root", "a file"],
)  # fmt: skip
def test_what_stands_in_the_way_is_said_and_nothing_is_written(
    asked: Asked, change: Callable[[Asked], Asked], said: str
) -> None:
    changed = change(asked)
    before = _tree(asked.root)
    with pytest.raises(InTheWayError, match=said) as refused:
        plan(changed)
    assert str(refused.value).startswith("Nothing was changed.\n- ")
    assert _tree(asked.root) == before


def test_the_machine_itself_is_for_root(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laying.os, "geteuid", lambda: 1000)
    with pytest.raises(InTheWayError, match="for root to make: sudo"):
        plan(replace(asked, root=Path("/")))
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(laying.shutil, "which", lambda *_a, **_k: None)
    with pytest.raises(InTheWayError, match="apt install systemd"):
        plan(asked)


def test_a_dry_run_says_and_does_nothing(
    asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "executable", str(asked.program.with_name("python")))
    before = _tree(asked.root)
    install(hostname="Mail.Example.com", root=asked.root, dry_run=True)
    told = json.loads(capsys.readouterr().out)
    assert _tree(asked.root) == before
    assert (told["dry_run"], {one["did"] for one in told["done"]}) == (True, {"made"})
    assert {"what": "/etc/postlane/postlane.env", "did": "made"} in told["done"]
    assert told["next"][-2:] == ["systemctl enable --now postlane.target", "postlane doctor"]
    install(hostname="mail.example.com", root=asked.root)
    printed = capsys.readouterr().out
    assert _settings(asked)["POSTLANE_HOSTNAME"] == "mail.example.com"
    assert _settings(asked)["POSTLANE_SECRET"] not in printed
    for wrong in ("mail", "mail .example"):
        with pytest.raises(CliError, match="--hostname"):
            install(hostname=wrong, root=asked.root)


def test_valkey_is_named_where_it_is(asked: Asked) -> None:
    assert "systemctl restart redis-server" in plan(asked).next_steps()
    (asked.root / "etc/valkey").mkdir(parents=True)
    (asked.root / "etc/valkey/valkey.conf").write_text("")
    steps = plan(asked).next_steps()
    assert f"cat {asked.root}/etc/postlane/valkey.conf >> {asked.root}/etc/valkey/valkey.conf" in steps
    assert "systemctl restart valkey-server" in steps


def test_the_command_hands_settings_on_as_they_stand(asked: Asked) -> None:
    """As systemd does: nothing is expanded, quotes around a value go."""
    lay(plan(asked))
    settings = asked.root / "etc/postlane/postlane.env"
    with settings.open("a") as file:
        file.write('POSTLANE_DNS_SERVERS=["127.0.0.1:53"]\nPOSTLANE_CONSOLE_URL="https://c.example"\n# POSTLANE_X=1\n')
        file.write("POSTLANE_API_KEY=$(id) `id`\nOTHER=1\nPOSTLANE_LOG_LEVEL=debug")
    done = InstalledRoot(asked.root).command("send", "two words", env={"POSTLANE_LOG_LEVEL": "info"})
    lines = done.stdout.splitlines()
    given = dict(line.split("=", 1) for line in lines if line.startswith("POSTLANE_"))
    assert given["POSTLANE_DNS_SERVERS"] == '["127.0.0.1:53"]'
    assert given["POSTLANE_CONSOLE_URL"] == "https://c.example"
    assert given["POSTLANE_API_KEY"] == "$(id) `id`"
    assert given["POSTLANE_LOG_LEVEL"] == "debug"
    assert given["POSTLANE_DATA_DIR"] == f"{asked.root}/var/lib/postlane"
    assert not {"POSTLANE_X", "OTHER"} & {line.partition("=")[0] for line in lines}
    assert lines[-1] == "called with send two words"
    settings.unlink()
    missing = InstalledRoot(asked.root).command("status", check=False)
    assert (missing.returncode, missing.stderr.endswith("is for root to read: sudo postlane ...\n")) == (1, True)


def _given(asked: Asked, **urls: str) -> Asked:
    return replace(asked, given=NAME | {f"POSTLANE_{name.upper()}_URL": url for name, url in urls.items()})


@pytest.mark.parametrize(
    ("password", "line"),
    [
        ("p4ss-w.rd", "requirepass p4ss-w.rd"),
        ("two%20words", 'requirepass "two words"'),
        ("a%22b%5Cc%23%27", 'requirepass "a\\"b\\\\c#\'"'),
        ("", None),
    ],
)
def test_a_password_is_one_word_for_valkey(asked: Asked, password: str, line: str | None) -> None:
    made = plan(_given(asked, redis=f"redis://:{password}@127.0.0.1:6379/0"))
    lay(made)
    lines = (asked.root / "etc/postlane/valkey.conf").read_text().splitlines()
    assert [one for one in lines if one.startswith("requirepass")] == ([line] if line else [])
    assert ("POSTLANE_REDIS_URL has no password" in " ".join(made.remarks())) is (line is None)


def test_a_role_without_a_password_keeps_the_one_it_has(asked: Asked) -> None:
    made = plan(_given(asked, database="postgresql://postlane@127.0.0.1/postlane"))
    lay(made)
    assert "PASSWORD" not in (asked.root / "etc/postlane/postgresql.sql").read_text()
    assert "POSTLANE_DATABASE_URL has no password" in " ".join(made.remarks())


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("database", "notaurl"),
        ("database", "postgresql://u:sesame@[::1/db"),
        ("database", "postgresql://u:sesame@h/db\nPOSTLANE_SECRET=1"),
        ("database", "postgresql://u:ses%0aame@h/db"),
        ("database", "postgresql://u:sesame%ff@h/db"),
        ("redis", "notaurl"),
        ("redis", "redis://:sesame%0aslaveof@h/0"),
        ("redis", "redis://:sesame%00@h/0"),
        ("redis", "redis://:ses ame@h/0"),
        ("redis", "redis://:sesame@[::1/0"),
    ],
)
def test_a_url_that_cannot_stand_in_a_file_is_refused(asked: Asked, name: str, url: str) -> None:
    before = _tree(asked.root)
    with pytest.raises(InTheWayError, match=f"POSTLANE_{name.upper()}_URL (has|must|cannot)") as refused:
        plan(_given(asked, **{name: url}))
    assert "ame" not in str(refused.value).replace("name", ""), "no password is quoted"
    assert _tree(asked.root) == before


@pytest.mark.parametrize(
    "place", ["etc/postlane/postlane.env", "usr/local/bin/postlane", "var/lib/postlane", "etc/systemd/system"]
)
@pytest.mark.parametrize("leads", [True, False], ids=["to something", "to nothing"])
def test_a_link_is_in_the_way(asked: Asked, place: str, leads: bool) -> None:
    """Before anything is written; but for one to a folder, which serves as well as the folder."""
    link, target = asked.root / place, asked.root / "elsewhere"
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target)
    folder = place in ("var/lib/postlane", "etc/systemd/system")
    if leads:
        target.mkdir() if folder else target.write_text("POSTLANE_SECRET=" + "ab" * 32)
    before = _tree(asked.root)
    if leads and folder:
        lay(plan(asked))
        assert link.is_symlink()
        return
    with pytest.raises(InTheWayError, match=f"{place} is a link"):
        plan(asked)
    assert (_tree(asked.root), link.is_symlink()) == (before, True)


def test_a_link_that_stands_in_the_way_is_kept_on_demand(asked: Asked) -> None:
    link = asked.root / "usr/local/bin/postlane"
    link.parent.mkdir(parents=True)
    link.symlink_to(asked.program)
    program = asked.program.read_text()
    lay(plan(replace(asked, replace=True)))
    assert (link.is_symlink(), link.with_name("postlane.old").is_symlink()) == (False, True)
    assert asked.program.read_text() == program


def test_what_stops_it_half_way_does_not_say_that_nothing_was_changed(asked: Asked) -> None:
    made = plan(asked)
    (asked.root / "var").write_text("")
    with pytest.raises(HalfWayError, match="What was written so far stays") as stopped:
        lay(made)
    assert "Nothing was changed" not in str(stopped.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_data_folder_that_is_still_roots_gets_its_owner(asked: Asked) -> None:
    """A run was killed between making it and giving it away."""
    lay(plan(asked))
    data = asked.root / "var/lib/postlane"
    owner = data.stat().st_uid
    os.chown(data, 0, 0)
    again = plan(asked)
    assert [one.what for one in again.told() if one.did == "updated"] == ["/var/lib/postlane"]
    lay(again)
    assert (data.stat().st_uid, owner != 0) == (owner, True)
    assert {one.did for one in plan(asked).told()} == {"unchanged"}


def test_below_another_folder_a_hidden_checkout_is_a_remark(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    """`--root` only looks. On the server itself it is in the way."""
    program = asked.root / "home/anna/bin/postlane"
    program.parent.mkdir(parents=True)
    program.write_text("")
    hidden = replace(asked, program=program)
    assert "home/anna/bin/postlane is where services cannot look" in " ".join(plan(hidden).remarks())
    monkeypatch.setattr(sys, "executable", str(asked.root / "root/python"))
    assert "root/python, is where services cannot look" in " ".join(plan(asked).remarks())
    monkeypatch.setattr(laying, "_HIDDEN", (str(asked.root),))
    with pytest.raises(InTheWayError, match="where services cannot look"):
        plan(replace(hidden, root=Path("/")))


def test_without_a_name_nothing_is_to_be_started(
    asked: Asked,
) -> None:
    made = plan(replace(asked, given={}))
    named = f"{asked.program} install --hostname mail.example.com --root {asked.root}"
    assert made.next_steps() == [named]
    assert parse(shlex.split(named)[1:]) == "install"


def test_what_comes_after_it_can_be_typed_and_fits() -> None:
    assert [parse(shlex.split(command)[1:]) for command, _ in files.FIRST_MAIL] == [
        "ips", "pools", "pools", "domains", "keys", "console",
    ]  # fmt: skip
    width = max(len(command) for command, _ in files.FIRST_MAIL)
    assert max(2 + width + 2 + len(what) for _, what in files.FIRST_MAIL) <= 80
