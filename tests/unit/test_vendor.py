"""What tests use and is not ours is what it says it is."""

import hashlib
import tomllib

from tests.accessibility import VENDOR


def test_vendored_files_are_those_of_their_release() -> None:
    vendored = tomllib.loads((VENDOR / "VENDORED.toml").read_text(encoding="utf-8"))
    kept = {file.name for file in VENDOR.iterdir()} - {"VENDORED.toml"}

    assert {name for name in kept if not name.startswith("LICENSE")} == set(vendored)
    for name, known in vendored.items():
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == known["sha256"], name
        assert known["license"] in ("MPL-2.0", "MIT", "BSD-3-Clause", "Apache-2.0", "ISC")
        assert (VENDOR / f"LICENSE.{known['project']}").exists()
