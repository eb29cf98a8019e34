"""Files that pages load: what is not ours is what it says it is."""

import hashlib
import tomllib

import pytest

from console.assets import ASSETS, FOLDER, KINDS

OURS = {"console.css", "console.js", "editor.js", "icons.svg", "mark.svg"}
OF_THE_EDITOR = {"Sortable.min.js", "editor.js", "squire.js"}
"""Loaded by one page alone."""


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
    first = [asset for name, asset in ASSETS.items() if name not in OF_THE_EDITOR]
    assert sum(len(asset.content) for asset in first) < 150 * 1024
    assert sum(len(ASSETS[name].content) for name in OF_THE_EDITOR) < 150 * 1024
    base = (FOLDER.parent / "layout" / "base.html").read_text(encoding="utf-8")
    assert not any(name in base for name in OF_THE_EDITOR)
    assert all(FOLDER.joinpath(name).suffix in KINDS for name in ASSETS)


@pytest.mark.parametrize("name", ["console.js", "editor.js"])
def test_a_script_writes_no_html(name: str) -> None:
    text = ASSETS[name].content.decode()

    assert not any(word in text for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("))


def test_html_becomes_nodes_in_one_place_of_the_editor() -> None:
    text = ASSETS["editor.js"].content.decode()

    assert (text.count("createPolicy("), text.count("createHTML("), text.count("parseFromString(")) == (1, 1, 1)
