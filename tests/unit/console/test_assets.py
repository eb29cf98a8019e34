"""Files that pages load: what is not ours is what it says it is."""

import hashlib
import tomllib

from console.assets import ASSETS, FOLDER, KINDS

OURS = {"console.css", "console.js", "icons.svg", "mark.svg"}


def test_vendored_files_are_those_of_their_release() -> None:
    with (FOLDER / "VENDORED.toml").open("rb") as file:
        vendored = tomllib.load(file)

    assert set(ASSETS) == OURS | set(vendored)
    for name, known in vendored.items():
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == known["sha256"], name
        assert known["version"]
        assert known["license"] in ("0BSD", "MIT", "BSD-3-Clause", "Apache-2.0", "ISC")
        assert (FOLDER / f"LICENSE.{known['project']}").exists()


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name in OURS:
        text = (FOLDER / name).read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "http:" not in text, name
        assert "https:" not in text, name
        assert "@import" not in text, name


def test_the_first_load_is_light() -> None:
    assert sum(len(asset.content) for asset in ASSETS.values()) < 150 * 1024
    assert all(FOLDER.joinpath(name).suffix in KINDS for name in ASSETS)


def test_the_script_writes_no_html() -> None:
    text = ASSETS["console.js"].content.decode()

    assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("))
