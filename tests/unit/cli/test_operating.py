"""What is asked of whoever types a command."""

import io
import sys

import pytest

from cli.operating import asked_password
from cli.output import CliError


def test_where_nobody_types_the_password_is_the_first_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("open sesame\r\nmore\n"))
    assert asked_password() == "open sesame"
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    with pytest.raises(CliError, match="no password on standard input"):
        asked_password()
