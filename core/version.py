"""Which version of Postlane this is."""

import importlib.metadata
import tomllib
from functools import cache
from pathlib import Path


@cache
def version() -> str:
    """Of the installed package, or of the checkout this file belongs to."""
    try:
        return importlib.metadata.version("postlane")
    except importlib.metadata.PackageNotFoundError:
        with (Path(__file__).parent.parent / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
