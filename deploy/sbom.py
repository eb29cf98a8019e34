"""`python -m deploy.sbom FILE`: what a server runs besides Postlane itself, as a CycloneDX document.

One component for each line of `requirements/server.lock`, with the hashes that pip verifies, and the licence that the
installed package states. Files that the console brings along (`console/assets`) stand in their own list there.
"""

import re
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from core.version import version

LOCK: Final = Path(__file__).parent.parent / "requirements" / "server.lock"

_LINE: Final = re.compile(
    r"^([a-z0-9-]+)(?:\[[^\]]*\])?==(\S+)[^\\\n]*((?:\\\n\s+--hash=sha256:[0-9a-f]{64}\s*)+)", re.MULTILINE
)
_HASH: Final = re.compile(r"sha256:([0-9a-f]{64})")
_LONGEST: Final = 100
"""Characters: some packages put the whole text where the name belongs."""
_LICENCES: Final = LicenseFactory()


def document(lock: str) -> str:
    """The document of a lock file's text, as JSON."""
    components = list(_components(lock))
    bom = Bom(components=components)
    ours = bom.metadata.component = Component(
        name="postlane", version=version(), bom_ref="postlane", type=ComponentType.APPLICATION,
        licenses=[_LICENCES.make_from_string("Apache-2.0")],
    )  # fmt: skip
    bom.register_dependency(ours, components)
    return JsonV1Dot6(bom).output_as_string(indent=1)


def _components(lock: str) -> Iterator[Component]:
    for name, number, hashes in _LINE.findall(lock):
        licence = _licence(name)
        yield Component(
            name=name, version=number, type=ComponentType.LIBRARY, purl=PackageURL("pypi", None, name, number),
            bom_ref=f"{name}=={number}",
            hashes=[HashType(alg=HashAlgorithm.SHA_256, content=one) for one in _HASH.findall(hashes)],
            licenses=[_LICENCES.make_from_string(licence)] if licence else [],
        )  # fmt: skip


def _licence(name: str) -> str:
    """What the installed package says; "" for one that is not installed here, which is another system's."""
    try:
        told = metadata.metadata(name).json
    except metadata.PackageNotFoundError:
        return ""
    given = str(told.get("license_expression") or told.get("license") or "")
    if 0 < len(given) < _LONGEST:
        return given
    licences = [one for one in told.get("classifier", ()) if one.startswith("License ::")]
    return " / ".join(one.rpartition(" :: ")[2] for one in licences)


def main() -> None:
    """Write it."""
    Path(sys.argv[1]).write_text(document(LOCK.read_text(encoding="utf-8")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
