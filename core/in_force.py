"""The settings in force, as people may see them: secrets and passwords are left out. Pure."""

import re
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from core.settings import Settings

HIDDEN: Final = "\N{BULLET}" * 8
_LOGIN: Final = re.compile(r"(://[^:@/\s]*:).*@", re.S)
"""From the first colon behind the scheme to the last @: a password may hold any sign."""
_OPTION: Final = re.compile(r"([?&;\s][a-z_]*pass(?:word|wd|phrase)?=)[^&;\s]*", re.I)


@dataclass(frozen=True, slots=True)
class InForce:
    """One setting."""

    name: str
    """Of its environment variable."""
    value: str
    """As text; "" for none."""
    given: bool
    """Somebody set it, perhaps to what it is anyway."""
    meaning: str


def in_force(settings: Settings) -> list[InForce]:
    """All of them, in the order of the class."""
    prefix = str(Settings.model_config["env_prefix"])
    return [
        InForce(
            f"{prefix}{name.upper()}",
            _text(getattr(settings, name)),
            name in settings.model_fields_set,
            field.description or "",
        )
        for name, field in Settings.model_fields.items()
    ]


def _text(value: object) -> str:
    if isinstance(value, SecretStr):
        return HIDDEN if value.get_secret_value() else ""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ", ".join(_text(one) for one in value)
    return _OPTION.sub(rf"\1{HIDDEN}", _LOGIN.sub(rf"\1{HIDDEN}@", str(value)))
