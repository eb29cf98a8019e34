"""Settings of one command: what the environment says, completed by what a running `postlane up` has written down.

With no server configured, a command in a second terminal finds the embedded ones of its data folder.
"""

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pydantic import SecretStr, ValidationError
from pydantic_settings import SettingsError

from cli.running.embedded import running_urls
from cli.running.embedded_place import lock_holder
from core import settings as core_settings
from core.errors import ConfigurationError
from core.secrets import InstanceSecret
from core.settings import Settings

CHECKOUT = Path(__file__).parent.parent
"""Where our packages lie: a checkout, or the folder that wheels are installed in."""

SECRET_FILE = "secret"  # a file name, not a secret


RUNNING_FILE = "running.json"
"""Settings of the `postlane up` that runs in a data folder, such as its port and the demo's practice internet."""

UP_LOCK = "up.lock"
"""Held by the `postlane up` of a data folder."""


def settings() -> Settings:
    """Complete settings, or ConfigurationError saying what to set or start."""
    found = complete(read())
    if not found.database_url:
        raise ConfigurationError(
            "no PostgreSQL to work with: start one with `postlane up` in this folder, or set POSTLANE_DATABASE_URL"
        )
    return found


def read() -> Settings:
    """The environment and `.env`. Raises ConfigurationError naming the variable that is wrong."""
    try:
        return core_settings.load()
    except ValidationError as error:
        first = error.errors()[0]
        name = "POSTLANE_" + "_".join(str(part) for part in first["loc"]).upper()
        raise ConfigurationError(f"{name}: {first['msg'].removeprefix('Value error, ')}") from None
    except SettingsError as error:  # a list that is not JSON
        raise ConfigurationError(f'{error}: lists are JSON, such as ["127.0.0.1:53"]') from error
    except OSError as error:
        raise ConfigurationError(f"{error.filename or '.env'} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f".env cannot be read: it is not UTF-8 (byte {error.start})") from None


def complete(found: Settings) -> Settings:
    """Fill in the embedded servers that run in the data folder, and its secret."""
    update: dict[str, object] = _running(found)
    if not found.database_url or not found.redis_url:
        urls = running_urls(found.data_dir)
        if urls:
            update["database_url"] = found.database_url or urls.database_url
            update["redis_url"] = found.redis_url or urls.redis_url
    if not found.secret.get_secret_value() and (secret := secret_of(found.data_dir)):
        update["secret"] = SecretStr(secret)
    return found.model_copy(update=update) if update else found


def instance_secret(found: Settings) -> InstanceSecret:
    """What sealed values are opened with. Raises ConfigurationError saying what is wrong with it."""
    return InstanceSecret.from_text(found.secret.get_secret_value())


def secret_if_set(found: Settings) -> InstanceSecret | None:
    """The same for commands that need it for some values only."""
    return instance_secret(found) if found.secret.get_secret_value() else None


def kept_secret(data_dir: Path) -> str:
    """The instance secret of a data folder, made when there is none yet (mode 0600)."""
    return keep_secret(data_dir, secrets.token_hex(32))


def keep_secret(data_dir: Path, secret: str) -> str:
    """Keep this one in a data folder that has none; the one that is in force there then."""
    file = data_dir / SECRET_FILE
    try:
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return _read_secret(file)
    with os.fdopen(handle, "w") as out:
        out.write(secret + "\n")
    return secret


def secret_of(data_dir: Path) -> str:
    """The instance secret that is kept in a data folder; "" when there is none. Raises ConfigurationError."""
    return _read_secret(data_dir / SECRET_FILE)


def running_api_url(found: Settings) -> str:
    """Where the API of the `up` that runs in this data folder answers; "" when none does."""
    port = _running_env(found.data_dir).get("POSTLANE_API_PORT")
    return f"http://127.0.0.1:{port}" if port and lock_holder(found.data_dir / UP_LOCK) else ""


def _read_secret(file: Path) -> str:
    """The secret kept in a data folder; "" when there is none. Raises ConfigurationError, never quoting it."""
    try:
        text = file.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The instance secret {file} cannot be read: {_reason(error)}.") from None
    try:
        InstanceSecret.from_text(text)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{file}: {error} Restore it from your backup: keys in the database need it."
        ) from None
    return text


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "unknown") if isinstance(error, OSError) else "it is no text"


def write_running(file: Path, env: Mapping[str, str]) -> None:
    """Write environment variables for commands in other terminals; no secrets among them."""
    fresh = file.with_suffix(".fresh")
    fresh.write_text(json.dumps(dict(env), indent=1) + "\n")
    fresh.replace(file)


def _running(found: Settings) -> dict[str, object]:
    """Fields that the running `up` sets and the environment does not."""
    env = _running_env(found.data_dir)
    names = {name.removeprefix("POSTLANE_").lower(): value for name, value in env.items()}
    known = Settings.model_fields.keys() - found.model_fields_set
    plain = {name: value for name, value in names.items() if name in known}
    parsed = {name: json.loads(value) if value.startswith("[") else value for name, value in plain.items()}
    validated = Settings.model_validate(found.model_dump() | parsed)
    return {name: getattr(validated, name) for name in parsed}


def _running_env(data_dir: Path) -> dict[str, str]:
    """What the `up` of this folder wrote down; {} when there is none."""
    try:
        env = json.loads((data_dir / RUNNING_FILE).read_text())
    except (OSError, ValueError):
        return {}
    return env if isinstance(env, dict) else {}
